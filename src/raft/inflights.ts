// The window of unanswered append requests to one follower, limited by count and by bytes. Used by progress.ts.
import type { LogIndex } from "../model/positions.ts";

interface Inflight {
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

export class Inflights {
  readonly #countMax: number;
  readonly #bytesMax: number;
  #queue: Inflight[] = [];
  #bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True when a request of this size may go. An empty window admits any size: else a large entry could never go. */
  admits(bytes: number): boolean {
    if (this.#queue.length === 0) return true;
    return this.#queue.length < this.#countMax && this.#bytes + bytes <= this.#bytesMax;
  }

  /** Bytes that one more request may hold; 0 when the window is full. */
  get room(): number {
    if (this.#queue.length === 0) return this.#bytesMax;
    if (this.#queue.length >= this.#countMax) return 0;
    return Math.max(0, this.#bytesMax - this.#bytes);
  }

  add(lastIndex: LogIndex, bytes: number): void {
    this.#queue.push({ lastIndex, bytes });
    this.#bytes += bytes;
  }

  /** Forgets requests that end at or below `index`. */
  freeTo(index: LogIndex): void {
    let done = 0;
    for (const inflight of this.#queue) {
      if (inflight.lastIndex > index) break;
      this.#bytes -= inflight.bytes;
      done += 1;
    }
    if (done > 0) this.#queue.splice(0, done);
  }

  clear(): void {
    if (this.#queue.length > 0) this.#queue = [];
    this.#bytes = 0;
  }
}
