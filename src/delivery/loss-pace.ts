// How fast messages may fail by their ack deadline: each failure is replicated, so consumers that take much and settle nothing
// could keep all replicas of a partition busy. A bucket: a burst at once, then so many a second. What has no turn yet stays
// out, can still be settled, and keeps new messages from going out. Pure; part of the dispatcher.

/** Failures at once. One delivery more is let through. */
export const LOSSES_AT_ONCE = 5000;
export const LOSSES_PER_SECOND = 1000;

export class LossPace {
  /** Left at `#atMs`; below 0 when the last delivery was larger than what was left. */
  #left = LOSSES_AT_ONCE;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Whether messages may fail now. @param nowMs never less than in the call before */
  mayLose(nowMs: number): boolean {
    const gained = ((nowMs - this.#atMs) * LOSSES_PER_SECOND) / 1000;
    this.#left = Math.min(LOSSES_AT_ONCE, this.#left + gained);
    this.#atMs = nowMs;
    return this.#left >= 1;
  }

  lost(count: number): void {
    this.#left -= count;
  }

  /** From when on they may; in the past: they may now. */
  get nextMs(): number {
    if (this.#left >= 1) return this.#atMs;
    return this.#atMs + Math.ceil(((1 - this.#left) * 1000) / LOSSES_PER_SECOND);
  }
}
