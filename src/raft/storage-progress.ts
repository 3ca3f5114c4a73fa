// How far the own disk is. Completions name the I/O, not an index: an index can be appended, truncated and appended
// again while an old completion is under way (ABA, raft.md T30). For each I/O the last index that it still vouches
// for is kept, and lowered when a later truncation cuts below it. Part of log-view.ts.
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../model/positions.ts";

export class StorageProgress {
  #writtenIndex: LogIndex;
  #flushedIndex: LogIndex;
  #lastIo = 0;
  /** I/O number of `#pending[0]`. */
  #firstIo = 1;
  /** Last index vouched for by each I/O that is not flushed yet; never decreases along the queue. */
  #pending: LogIndex[] = [];

  /** What was recovered counts as flushed: the host reads it from disk, so it makes sure of that. */
  constructor(lastIndex: LogIndex) {
    this.#writtenIndex = lastIndex;
    this.#flushedIndex = lastIndex;
  }

  get writtenIndex(): LogIndex {
    return this.#writtenIndex;
  }

  get flushedIndex(): LogIndex {
    return this.#flushedIndex;
  }

  get lastIo(): number {
    return this.#lastIo;
  }

  /** A new I/O, after which the log ends at `lastIndex`. */
  issue(lastIndex: LogIndex): number {
    this.#lastIo += 1;
    this.#pending.push(lastIndex);
    return this.#lastIo;
  }

  /** This I/O and all before it are in the page cache. */
  written(io: number): void {
    const index = this.#vouchedBy(io);
    if (index !== undefined) this.#writtenIndex = Math.max(this.#writtenIndex, index);
  }

  /** This I/O and all before it are on disk (and therefore written). */
  flushed(io: number): void {
    const index = this.#vouchedBy(io);
    if (index === undefined) return;
    this.#writtenIndex = Math.max(this.#writtenIndex, index);
    this.#flushedIndex = Math.max(this.#flushedIndex, index);
    this.#pending.splice(0, io - this.#firstIo + 1);
    this.#firstIo = io + 1;
  }

  /** Entries ≥ from are void: no completion, past or future, vouches for them. */
  cut(from: LogIndex): void {
    const last = from - 1;
    this.#writtenIndex = Math.min(this.#writtenIndex, last);
    this.#flushedIndex = Math.min(this.#flushedIndex, last);
    for (let at = this.#pending.length - 1; at >= 0; at -= 1) {
      if ((this.#pending[at] ?? 0) <= last) break;
      this.#pending[at] = last;
    }
  }

  /** The log was replaced: it ends at `lastIndex`, on disk; earlier I/Os mean nothing any more. */
  reset(lastIndex: LogIndex): void {
    this.#writtenIndex = lastIndex;
    this.#flushedIndex = lastIndex;
    this.#pending = [];
    this.#firstIo = this.#lastIo + 1;
  }

  #vouchedBy(io: number): LogIndex | undefined {
    assert(io <= this.#lastIo, "completion of an I/O that was never issued", { io });
    return io < this.#firstIo ? undefined : this.#pending[io - this.#firstIo];
  }
}
