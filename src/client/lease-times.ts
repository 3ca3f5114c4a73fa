// Until when the leases of what is worked on run. Extending some messages of a delivery gives only them more time: the others
// keep the deadline of the delivery. So each message that somebody works on has its own time; what waits has the delivery's.
import { extendRanges, type PlannedSettle } from "./record-states.ts";

interface LeaseTime {
  /** Since when it is known to be worked on, monotonic ms. */
  readonly sinceMs: number;
  /** Since when its lease runs, monotonic ms. */
  fromMs: number;
}

/** How a lease stands when it is looked at. */
export interface LeaseLook {
  readonly nowMs: number;
  readonly ackDeadlineMs: number;
  /** A message is given more time for so long. */
  readonly extendMaxMs: number;
}

export class LeaseTimes {
  /** Of what waits, and of what was begun since the last look: monotonic ms. */
  #fromMs: number;
  /** By offset: of what is worked on. */
  #running = new Map<number, LeaseTime>();
  /** What begins from now on gets more time at once: the next look may be too late for it. */
  #isLate = false;
  #lookedMs: number;

  constructor(nowMs: number) {
    this.#fromMs = nowMs;
    this.#lookedMs = nowMs;
  }

  /** All leases begin anew, with another leader. */
  restart(nowMs: number): void {
    this.#fromMs = nowMs;
    this.#isLate = false;
    for (const time of this.#running.values()) time.fromMs = nowMs;
  }

  /**
   * Looked at each eighth of the deadline, everything is extended between a half and five eighths of it.
   * @param running pairs: first offset, count
   * @returns what must be extended now, likewise
   */
  look(running: readonly number[], { nowMs, ackDeadlineMs, extendMaxMs }: LeaseLook): number[] {
    this.#lookedMs = nowMs;
    this.#isLate = extendMaxMs > 0 && nowMs - this.#fromMs >= (ackDeadlineMs * 3) / 8;
    const times = new Map<number, LeaseTime>();
    const due: number[] = [];
    for (let i = 0; i + 1 < running.length; i += 2) {
      const from = running[i] ?? 0;
      const to = from + (running[i + 1] ?? 0);
      for (let offset = from; offset < to; offset += 1) {
        const time = this.#running.get(offset) ?? { sinceMs: nowMs, fromMs: this.#fromMs };
        times.set(offset, time);
        if (nowMs - time.sinceMs >= extendMaxMs) continue;
        if (nowMs - time.fromMs < ackDeadlineMs / 2) continue;
        time.fromMs = nowMs;
        extendRanges(due, offset);
      }
    }
    this.#running = times;
    return due;
  }

  /** These settlements are about to be sent: what they begin late is extended with the same request. */
  extendBegun(settles: PlannedSettle[], from: number): void {
    if (!this.#isLate) return;
    for (const { kind, ranges } of settles.slice(from)) {
      if (kind !== "begun") continue;
      settles.push({ kind: "extend", retryAtMs: 0, error: "", ranges: [...ranges] });
      for (let i = 0; i + 1 < ranges.length; i += 2) {
        const first = ranges[i] ?? 0;
        for (let offset = first; offset < first + (ranges[i + 1] ?? 0); offset += 1) {
          this.#running.set(offset, { sinceMs: this.#lookedMs, fromMs: this.#lookedMs });
        }
      }
    }
  }
}
