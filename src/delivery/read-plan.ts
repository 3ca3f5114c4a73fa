// Where messages may be that are to be read: everything from the front on, and runs below it that came back. It may name
// more than there is – the reader looks – but never less. Pure.
import type { Offset } from "../model/positions.ts";

/** Runs below the front that are kept apart. Beyond: neighbours become one. */
const RUNS_MAX = 64;

export class ReadPlan {
  /** Disjoint, ascending, without the last one, which has no end and begins at the front. */
  #starts: Offset[] = [];
  #ends: Offset[] = [];
  #front: Offset;

  constructor(front: Offset) {
    this.#front = front;
  }

  /** Everything at or above it was never read. */
  get front(): Offset {
    return this.#front;
  }

  /** The lowest place. */
  get first(): Offset {
    return this.#starts[0] ?? this.#front;
  }

  /** Where the run that begins at `first` ends. */
  get firstEnd(): Offset {
    return this.#ends[0] ?? Number.POSITIVE_INFINITY;
  }

  /** The lowest place ≥ `from`. */
  next(from: Offset): Offset {
    for (let at = 0; at < this.#starts.length; at += 1) {
      if (from < (this.#ends[at] ?? 0)) return Math.max(from, this.#starts[at] ?? 0);
    }
    return Math.max(from, this.#front);
  }

  reset(front: Offset): void {
    this.#starts = [];
    this.#ends = [];
    this.#front = front;
  }

  /** [from, to) is to be read again. */
  add(from: Offset, to: Offset): void {
    const end = Math.min(to, this.#front);
    if (from >= end) return;
    if (end === this.#front && this.#starts.length === 0) {
      this.#front = from;
      return;
    }
    // Those that touch it become one with it.
    let at = 0;
    while (at < this.#ends.length && (this.#ends[at] ?? 0) < from) at += 1;
    let last = at;
    while (last < this.#starts.length && (this.#starts[last] ?? 0) <= end) last += 1;
    const start = Math.min(from, this.#starts[at] ?? from);
    const stop = Math.max(end, last > at ? (this.#ends[last - 1] ?? end) : end);
    this.#starts.splice(at, last - at, last > at ? start : from);
    this.#ends.splice(at, last - at, stop);
    if (this.#starts.length > RUNS_MAX) this.#joinNearest();
  }

  /** [from, to) was looked at. */
  remove(from: Offset, to: Offset): void {
    for (let at = 0; at < this.#starts.length; ) {
      const start = this.#starts[at] ?? 0;
      const end = this.#ends[at] ?? 0;
      if (start >= to) return;
      if (end <= from) {
        at += 1;
        continue;
      }
      const rest: [Offset, Offset][] = [];
      if (start < from) rest.push([start, from]);
      if (end > to) rest.push([to, end]);
      this.#starts.splice(at, 1, ...rest.map(([restStart]) => restStart));
      this.#ends.splice(at, 1, ...rest.map(([, restEnd]) => restEnd));
      at += rest.length;
    }
    if (to <= this.#front) return;
    if (from > this.#front) {
      this.#starts.push(this.#front);
      this.#ends.push(from);
    }
    this.#front = to;
  }

  #joinNearest(): void {
    let best = 0;
    let bestGap = Number.POSITIVE_INFINITY;
    for (let at = 0; at + 1 < this.#starts.length; at += 1) {
      const gap = (this.#starts[at + 1] ?? 0) - (this.#ends[at] ?? 0);
      if (gap >= bestGap) continue;
      best = at;
      bestGap = gap;
    }
    this.#starts.splice(best + 1, 1);
    this.#ends.splice(best, 1);
  }
}
