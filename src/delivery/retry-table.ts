// Messages that were out before and go out again, each not before its time: first those that are due for longest, then by
// offset. Pure.
import type { Offset } from "../model/positions.ts";
import { MinHeap } from "./min-heap.ts";

interface Retry {
  readonly offset: Offset;
  readonly dueMs: number;
}

/** So many that are done with are kept at least before they are forgotten together. */
const DONE_MAX = 1024;

export class RetryTable {
  readonly #valid = new Map<Offset, Retry>();
  /** Both may hold what is not valid any more. */
  readonly #later = new MinHeap<Retry>(
    (a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.offset < b.offset),
  );
  #due: Retry[] = [];
  #dueStart = 0;

  get size(): number {
    return this.#valid.size;
  }

  /** Entries that are kept, those included that are not valid any more. */
  get kept(): number {
    return this.#due.length + this.#later.size;
  }

  has(offset: Offset): boolean {
    return this.#valid.has(offset);
  }

  dueMsOf(offset: Offset): number | undefined {
    return this.#valid.get(offset)?.dueMs;
  }

  /** @param dueMs 0: at once, before all others */
  add(offset: Offset, dueMs: number): void {
    if (this.dueMsOf(offset) === dueMs) return;
    const retry: Retry = { offset, dueMs };
    this.#valid.set(offset, retry);
    this.#later.push(retry);
  }

  delete(offset: Offset): boolean {
    return this.#valid.delete(offset);
  }

  clear(): void {
    this.#valid.clear();
    this.#later.clear();
    this.#due = [];
    this.#dueStart = 0;
  }

  /** Those that are due, in the order in which they became so. At most `count`. */
  due(nowMs: number, count: number): Offset[] {
    this.#promote(nowMs);
    const offsets: Offset[] = [];
    for (let at = this.#dueStart; at < this.#due.length && offsets.length < count; at += 1) {
      const retry = this.#due[at];
      if (retry !== undefined && this.#isValid(retry)) offsets.push(retry.offset);
    }
    return offsets;
  }

  firstDue(nowMs: number): Offset | undefined {
    if (this.#valid.size === 0 && this.#due.length === 0) return undefined;
    this.#promote(nowMs);
    for (; this.#dueStart < this.#due.length; this.#dueStart += 1) {
      const retry = this.#due[this.#dueStart];
      if (retry === undefined || !this.#isValid(retry)) continue;
      this.#forgetDone();
      return retry.offset;
    }
    this.#due = [];
    this.#dueStart = 0;
    return undefined;
  }

  /** Something may be due all the time: what is done with would be kept for ever. */
  #forgetDone(): void {
    if (this.#dueStart < DONE_MAX || this.#dueStart * 2 < this.#due.length) return;
    this.#due.splice(0, this.#dueStart);
    this.#dueStart = 0;
  }

  /** When the next one becomes due; Infinity: none is waiting. */
  nextDueMs(): number {
    for (let next = this.#later.peek(); next !== undefined; next = this.#later.peek()) {
      if (this.#isValid(next)) return next.dueMs;
      this.#later.pop();
    }
    return Number.POSITIVE_INFINITY;
  }

  offsets(): Iterable<Offset> {
    return this.#valid.keys();
  }

  #promote(nowMs: number): void {
    while (this.nextDueMs() <= nowMs) {
      const retry = this.#later.pop();
      if (retry !== undefined) this.#due.push(retry);
    }
  }

  #isValid(retry: Retry): boolean {
    return this.#valid.get(retry.offset) === retry;
  }
}
