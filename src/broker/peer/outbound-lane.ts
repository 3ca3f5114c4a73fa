// Messages of one lane towards one node: queued while the stream's buffer is full, dropped beyond a limit (raft
// re-sends what matters). The stream is the one that the other node opened at us; a newer one replaces it.
import { PeerEnvelope } from "../../rpc/generated/flotilla-internal-v1.ts";
import type { MessageStream } from "../../rpc/ports.ts";

type OutStream = MessageStream<PeerEnvelope, never>;

interface Queued {
  readonly envelope: PeerEnvelope;
  readonly bytes: number;
  readonly done: ((ok: boolean) => void) | undefined;
}

export class OutboundLane {
  readonly #bytesMax: number;
  readonly #onDropped: () => void;
  #stream: OutStream | undefined;
  #blocked = false;
  #queue: Queued[] = [];
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
    if (this.#stream !== undefined && !this.#blocked) this.send(PeerEnvelope.create({}), 0);
  }

  /** `bytes` is the envelope's approximate size; `done` is told whether it was handed to the transport. */
  send(envelope: PeerEnvelope, bytes: number, done?: (ok: boolean) => void): void {
    if (this.#stream === undefined || this.#queuedBytes + bytes > this.#bytesMax) {
      this.#onDropped();
      done?.(false);
      return;
    }
    if (this.#blocked) {
      this.#queue.push({ envelope, bytes, done });
      this.#queuedBytes += bytes;
      return;
    }
    this.#blocked = !this.#stream.send(envelope);
    done?.(true);
  }

  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#dropQueue();
    stream?.end();
  }

  #drain(): void {
    this.#blocked = false;
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const item of queue) this.send(item.envelope, item.bytes, item.done);
  }

  #dropQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const item of queue) {
      this.#onDropped();
      item.done?.(false);
    }
  }
}
