// How much the streams of one reader may still be sent, all together. What may still come and what waits here have one
// limit in common, whoever sent it: what ended streams brought leaves later ones less, and is theirs as it is consumed.
// Decides only; fetch-streams.ts asks it after whatever may have freed something.

/** Each stream may be sent so much when nothing waits here, however little is left of the limit. */
export const CREDIT_BYTES_MIN: number = 64 * 1024;
/** Less is not worth a request. */
const GRANT_BYTES_MIN = CREDIT_BYTES_MIN / 4;

interface Account {
  /** What may be under way and wait here at most. */
  shareBytes: number;
  /** Granted and not arrived. Below zero: the last batch was larger than what was left. */
  openBytes: number;
  /** Arrived and not consumed. */
  queuedBytes: number;
}

export class FetchCredit<Stream> {
  readonly #limitBytes: number;
  readonly #accounts = new Map<Stream, Account>();
  /** Of all streams, ended ones included. */
  #queuedBytes = 0;

  /** @param limitBytes granted or queued at most: beyond it, CREDIT_BYTES_MIN and one batch per stream */
  constructor(limitBytes: number) {
    this.#limitBytes = Math.max(CREDIT_BYTES_MIN, Math.floor(limitBytes));
  }

  /**
   * A stream begins; nothing is granted yet. Those that began with more keep what they have, but get no more than the same
   * share from now on.
   * @param streams how many there will be, as far as is known
   */
  begin(stream: Stream, streams: number): void {
    const count = Math.max(1, streams, this.#accounts.size + 1);
    const shareBytes = Math.max(CREDIT_BYTES_MIN, Math.floor(this.#limitBytes / count));
    for (const account of this.#accounts.values()) {
      account.shareBytes = Math.min(account.shareBytes, shareBytes);
    }
    this.#accounts.set(stream, { shareBytes, openBytes: 0, queuedBytes: 0 });
  }

  /** Nothing more comes. What has come is still queued. */
  end(stream: Stream): void {
    this.#accounts.delete(stream);
  }

  arrived(stream: Stream, bytes: number): void {
    this.#queuedBytes += bytes;
    const account = this.#accounts.get(stream);
    if (account === undefined) return;
    account.openBytes -= bytes;
    account.queuedBytes += bytes;
  }

  /** @param stream the one that brought it; it may have ended */
  consumed(stream: Stream, bytes: number): void {
    this.#queuedBytes -= bytes;
    const account = this.#accounts.get(stream);
    if (account !== undefined) account.queuedBytes -= bytes;
  }

  /** The stream to be granted something next: the one that has least of its share. */
  due(): Stream | undefined {
    let neediest: Stream | undefined;
    let least = Number.POSITIVE_INFINITY;
    const usedBytes = this.#usedBytes();
    for (const [stream, account] of this.#accounts) {
      if (this.#dueBytes(account, usedBytes) === 0) continue;
      const fill = heldBytes(account) / account.shareBytes;
      if (fill >= least) continue;
      least = fill;
      neediest = stream;
    }
    return neediest;
  }

  /** What to grant this stream now; 0 unless it is due. */
  take(stream: Stream): number {
    const account = this.#accounts.get(stream);
    if (account === undefined) return 0;
    const dueBytes = this.#dueBytes(account, this.#usedBytes());
    if (dueBytes === 0) return 0;
    const bytes = dueBytes - Math.min(0, account.openBytes);
    account.openBytes += bytes;
    return bytes;
  }

  #usedBytes(): number {
    let bytes = this.#queuedBytes;
    for (const { openBytes } of this.#accounts.values()) bytes += Math.max(0, openBytes);
    return bytes;
  }

  /**
   * Granted in larger pieces: a quarter of what the stream can have now, which is less than its share while others hold
   * more than theirs. The floor reckons with the whole queue, so that stream after stream does not add to it; a stream
   * without credit is therefore due at the latest when the queue is empty.
   */
  #dueBytes(account: Account, usedBytes: number): number {
    const { openBytes, shareBytes } = account;
    const floorBytes = CREDIT_BYTES_MIN - Math.max(0, openBytes) - this.#queuedBytes;
    const freeBytes = Math.max(this.#limitBytes - usedBytes, floorBytes);
    const held = heldBytes(account);
    const bytes = Math.min(shareBytes - held, freeBytes);
    return bytes >= GRANT_BYTES_MIN && bytes >= (held + bytes) / 4 ? bytes : 0;
  }
}

function heldBytes({ openBytes, queuedBytes }: Account): number {
  return Math.max(0, openBytes) + queuedBytes;
}
