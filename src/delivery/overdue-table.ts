// Messages whose ack deadline has passed, from then until their failure is decided. Each failure is replicated, so only so many a
// second get through: consumers that take much and settle nothing would keep all replicas of a partition busy. A bucket: a
// burst at once, then a steady rate, in portions. Pure; part of the dispatcher.
import type { Offset } from "../model/positions.ts";

/** Failures at once. */
export const OVERDUE_AT_ONCE = 2000;
export const OVERDUE_PER_SECOND = 250;
/** So many of those that wait go on together, so that their update is worth it. */
const PORTION = 100;

export class OverdueTable {
  /** In the order in which they came; each with its random number for the jitter of delays. */
  readonly #waiting = new Map<Offset, number>();
  /** Left of the bucket at `#atMs`. */
  #left = OVERDUE_AT_ONCE;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  get size(): number {
    return this.#waiting.size;
  }

  has(offset: Offset): boolean {
    return this.#waiting.has(offset);
  }

  add(offset: Offset, random: number): void {
    this.#waiting.set(offset, random);
  }

  /** Those whose turn it is. @param nowMs never less than in the call before */
  take(nowMs: number): (readonly [Offset, number])[] {
    const gained = ((nowMs - this.#atMs) * OVERDUE_PER_SECOND) / 1000;
    this.#left = Math.min(OVERDUE_AT_ONCE, this.#left + gained);
    this.#atMs = nowMs;
    const taken: (readonly [Offset, number])[] = [];
    if (this.#left < this.#portion()) return taken;
    for (const entry of this.#waiting) {
      if (this.#left < 1) break;
      this.#left -= 1;
      taken.push(entry);
      this.#waiting.delete(entry[0]);
    }
    return taken;
  }

  /** When {@link take} gives something next; in the past: now; Infinity: nothing waits. */
  nextMs(): number {
    return this.#waiting.size === 0 ? Number.POSITIVE_INFINITY : this.#msOf(this.#portion());
  }

  /** When all that wait now have had their turn. */
  endMs(): number {
    return this.#msOf(this.#waiting.size);
  }

  clear(): void {
    this.#waiting.clear();
  }

  #portion(): number {
    return Math.min(PORTION, this.#waiting.size);
  }

  #msOf(count: number): number {
    const missing = Math.max(0, count - this.#left);
    return this.#atMs + Math.ceil((missing * 1000) / OVERDUE_PER_SECOND);
  }
}
