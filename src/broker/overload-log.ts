// Which limits refused somebody lately: what the health page says when people ask why the broker is under pressure.
// Filled where overloads are counted.
import type { Clock } from "../base/clock.ts";

/** A limit that refused nobody for so long is forgotten. */
const LATELY_MS = 30_000;

interface Entry {
  count: number;
  lastMs: number;
}

export class OverloadLog {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param limit one of the broker's own names: there are only so many */
  note(limit: string): void {
    const nowMs = this.#clock.monotonicMs();
    const entry = this.#entries.get(limit);
    if (entry === undefined || nowMs - entry.lastMs > LATELY_MS) {
      this.#entries.set(limit, { count: 1, lastMs: nowMs });
      return;
    }
    entry.count += 1;
    entry.lastMs = nowMs;
  }

  /** Limits that refused within the last half minute, with how often they did without such a pause. */
  lately(): readonly { readonly limit: string; readonly count: number }[] {
    const nowMs = this.#clock.monotonicMs();
    for (const [limit, { lastMs }] of this.#entries) {
      if (nowMs - lastMs > LATELY_MS) this.#entries.delete(limit);
    }
    return [...this.#entries].map(([limit, { count }]) => ({ limit, count }));
  }
}
