// What stands beside a record batch so that delivery may pass it over undecoded: which tags its messages carry, as hashes.
// Hints may name more than there is, never less; where there are none, or none that this version knows, the batch is
// decoded. Whoever encodes a batch makes them: brokers do not look into batches when they store them, and a producer that
// names too little hides its own messages from subscriptions by tag, nobody else's.
//
//   0  u8 kind (1: tags; others are passed over)     1  u8 count, 0 to 64
//   2  count × u32 hash, big-endian, ascending, each once
import { HEADER } from "./headers.ts";

/** Distinct tags of a batch. Beyond: it has no hints. */
export const HINT_TAGS_MAX = 64;
/** Encoded, inclusive. */
export const HINTS_BYTES_MAX: number = 2 + 4 * HINT_TAGS_MAX;

const KIND_TAGS = 1;

/** Words of the header of tags, separated by commas; empty ones are none. */
export function tagWords(header: string): string[] {
  const words = header.split(",").map((word) => word.trim());
  return words.filter((word) => word !== "");
}

/** FNV-1a over UTF-16 units, 32 bits unsigned. Part of the stored format: never changed. */
export function tagHash(tag: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < tag.length; at += 1) {
    hash = Math.imul(hash ^ tag.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

const NO_TAGS = Buffer.from([KIND_TAGS, 0]);
const NO_HINTS = Buffer.alloc(0);

/** Headers whose hashes are remembered: messages carry the same few tags again and again. */
const REMEMBERED_MAX = 256;
const REMEMBERED_BYTES_MAX = 64;

/** Gathers the hints of one batch after the other, while each is being encoded. */
export class HintCollector {
  readonly #remembered = new Map<string, readonly number[]>();
  #hashes: Set<number> | undefined;
  #isOver = false;

  /** A header of one of the batch's messages. */
  add(name: string, value: Uint8Array): void {
    if (name !== HEADER.TAGS || this.#isOver) return;
    this.#hashes ??= new Set();
    for (const hash of this.#hashesOf(value)) this.#hashes.add(hash);
    if (this.#hashes.size > HINT_TAGS_MAX) this.#isOver = true;
  }

  #hashesOf(value: Uint8Array): readonly number[] {
    const bytes = Buffer.isBuffer(value)
      ? value
      : Buffer.from(value.buffer, value.byteOffset, value.length);
    const text = bytes.toString("utf8");
    const known = this.#remembered.get(text);
    if (known !== undefined) return known;
    const hashes = tagWords(text).map(tagHash);
    if (value.length > REMEMBERED_BYTES_MAX) return hashes;
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(text, hashes);
    return hashes;
  }

  /** Encoded; empty: none. The collector begins anew. */
  take(): Buffer {
    const hashes = this.#hashes;
    const isOver = this.#isOver;
    this.#hashes = undefined;
    this.#isOver = false;
    if (isOver) return NO_HINTS;
    if (hashes === undefined) return NO_TAGS;
    const sorted = Uint32Array.from(hashes).sort();
    const bytes = Buffer.alloc(2 + 4 * sorted.length);
    bytes[0] = KIND_TAGS;
    bytes[1] = sorted.length;
    for (const [at, hash] of sorted.entries()) bytes.writeUInt32BE(hash, 2 + 4 * at);
    return bytes;
  }
}

/** Whether these are hints that may be stored: of any kind, not too long. What this version does not know is passed over. */
export function areHints(bytes: Uint8Array): boolean {
  if (bytes.length < 2 || bytes.length > HINTS_BYTES_MAX) return false;
  return bytes[0] !== KIND_TAGS || bytes.length === 2 + 4 * (bytes[1] ?? 0);
}

/** Whether a message of the batch may carry one of these tags. True whenever that can not be told. */
export function mayCarry(hints: Buffer | undefined, tagHashes: ReadonlySet<number>): boolean {
  if (hints === undefined || hints[0] !== KIND_TAGS || !areHints(hints)) return true;
  for (let at = 2; at < hints.length; at += 4) {
    if (tagHashes.has(hints.readUInt32BE(at))) return true;
  }
  return false;
}
