// Messages of one lane towards one node: queued while the stream's buffer is full, dropped beyond a limit (raft
// re-sends what matters). The stream is the one that the other node opened at us; a newer one replaces it.
import { PeerEnvelope } from "../../rpc/generated/flotilla-internal-v1.ts";
import type { MessageStream } from "../../rpc/ports.ts";

type OutStream = MessageStream<PeerEnvelope, never>;

/** Takes half a second on a link of 1 Mbit/s. Larger messages are announced. */
const LARGE_BYTES = 64 * 1024;
/** The rest of a queue is for messages that are in memory anyway. */
const ROOM_RATIO = 0.25;
const EMPTY: OutMessage = { envelope: PeerEnvelope.create({}), bytes: 0 };

/** `bytes` is the envelope's approximate size; `done` is told whether it was handed to the transport. */
export interface OutMessage {
  readonly envelope: PeerEnvelope;
  readonly bytes: number;
  readonly done?: ((ok: boolean) => void) | undefined;
}

export class OutboundLane {
  readonly #bytesMax: number;
  readonly #onDropped: () => void;
  #stream: OutStream | undefined;
  #blocked = false;
  #queue: OutMessage[] = [];
  #queuedBytes = 0;

  constructor(bytesMax: number, onDropped: () => void) {
    this.#bytesMax = bytesMax;
    this.#onDropped = onDropped;
  }

  get isAttached(): boolean {
    return this.#stream !== undefined;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** What is handed over leaves soon, as far as is known. */
  get hasRoom(): boolean {
    return this.isAttached && this.#queuedBytes < this.#bytesMax * ROOM_RATIO;
  }

  /** Takes a newly opened stream; what was queued for an older one is dropped. */
  attach(stream: OutStream): void {
    const previous = this.#stream;
    this.#dropQueue();
    this.#stream = stream;
    this.#blocked = false;
    previous?.cancel();
    stream.onDrain = () => {
      if (this.#stream === stream) this.#drain();
    };
    stream.onEnd = () => {
      if (this.#stream !== stream) return;
      this.#stream = undefined;
      this.#dropQueue();
    };
    this.sayAlive();
  }

  /** Shows that the stream works; unless messages wait, which will. */
  sayAlive(): void {
    if (this.#stream !== undefined && !this.#blocked) this.#push(EMPTY);
  }

  /** Dropped when it does not fit in the queue. */
  send(message: OutMessage): void {
    if (this.#queuedBytes + message.bytes > this.#bytesMax) this.#refuse(message);
    else this.#push(message);
  }

  /**
   * All of them or none. When nothing else waits they may be larger than the queue: they are parts of one state image, which
   * is in memory anyway.
   */
  sendAll(messages: readonly OutMessage[]): void {
    const bytes = messages.reduce((sum, one) => sum + one.bytes, 0);
    const fits = this.#queue.length === 0 || this.#queuedBytes + bytes <= this.#bytesMax;
    for (const message of messages) {
      if (fits) this.#push(message);
      else this.#refuse(message);
    }
  }

  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#dropQueue();
    stream?.end();
  }

  #push(message: OutMessage): void {
    if (this.#stream === undefined) {
      this.#refuse(message);
      return;
    }
    if (this.#blocked) {
      this.#queue.push(message);
      this.#queuedBytes += message.bytes;
      return;
    }
    if (message.bytes > LARGE_BYTES) {
      this.#stream.send(PeerEnvelope.create({ nextBytes: message.bytes }));
    }
    this.#blocked = !this.#stream.send(message.envelope);
    message.done?.(true);
  }

  #refuse({ done }: OutMessage): void {
    this.#onDropped();
    done?.(false);
  }

  #drain(): void {
    this.#blocked = false;
    for (const message of this.#takeQueue()) this.#push(message);
  }

  #dropQueue(): void {
    for (const message of this.#takeQueue()) this.#refuse(message);
  }

  #takeQueue(): readonly OutMessage[] {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    return queue;
  }
}
