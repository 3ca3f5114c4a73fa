// Messages that were out before and go out again, each not before its time: first those that are due for longest, then by
// offset. Pure.
import type { Offset } from "../model/positions.ts";
import { MinHeap } from "./min-heap.ts";

interface Retry {
  readonly offset: Offset;
  readonly dueMs: number;
}

export class RetryTable {
  readonly #dueMs = new Map<Offset, number>();
  /** Both may hold what is not valid any more: valid is what stands in #dueMs with the same time. */
  readonly #later = new MinHeap<Retry>(
    (a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.offset < b.offset),
  );
  #due: Retry[] = [];
  #dueStart = 0;

  get size(): number {
    return this.#dueMs.size;
  }

  has(offset: Offset): boolean {
    return this.#dueMs.has(offset);
  }

  dueMsOf(offset: Offset): number | undefined {
    return this.#dueMs.get(offset);
  }

  /** @param dueMs 0: at once, before all others */
  add(offset: Offset, dueMs: number): void {
    if (this.#dueMs.get(offset) === dueMs) return;
    this.#dueMs.set(offset, dueMs);
    this.#later.push({ offset, dueMs });
  }

  delete(offset: Offset): boolean {
    return this.#dueMs.delete(offset);
  }

  clear(): void {
    this.#dueMs.clear();
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
    this.#promote(nowMs);
    for (; this.#dueStart < this.#due.length; this.#dueStart += 1) {
      const retry = this.#due[this.#dueStart];
      if (retry !== undefined && this.#isValid(retry)) return retry.offset;
    }
    this.#due = [];
    this.#dueStart = 0;
    return undefined;
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
    return this.#dueMs.keys();
  }

  #promote(nowMs: number): void {
    while (this.nextDueMs() <= nowMs) {
      const retry = this.#later.pop();
      if (retry !== undefined) this.#due.push(retry);
    }
  }

  #isValid({ offset, dueMs }: Retry): boolean {
    return this.#dueMs.get(offset) === dueMs;
  }
}
