// Until when the leases of what is held run, as far as is known here: a lease is longer only when the broker has confirmed so,
// from when it was asked. Extending some messages of a delivery gives only them more time: the others keep the deadline of
// the delivery. So each message that somebody works on has its own time; what waits has the delivery's.
import { extendRanges, offsetsOf, type PlannedSettle } from "./record-states.ts";

interface LeaseTime {
  /** Since when it is known to be worked on, monotonic ms. */
  readonly sinceMs: number;
  /** Since when its lease runs, and until when, monotonic ms. */
  fromMs: number;
  endMs: number;
  /** When more time was last asked for, monotonic ms; not after fromMs: the broker has answered. */
  askedMs: number;
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
  #endMs: number;
  /** By offset: of what is worked on, or was and is not confirmed. */
  readonly #own = new Map<number, LeaseTime>();
  /** What begins from now on gets more time at once: the next look may be too late for it. */
  #isLate = false;
  #lookedMs: number;

  constructor(nowMs: number, ackDeadlineMs: number) {
    this.#fromMs = nowMs;
    this.#endMs = nowMs + ackDeadlineMs;
    this.#lookedMs = nowMs;
  }

  /** All leases begin anew, with another leader. */
  restart(nowMs: number, ackDeadlineMs: number): void {
    this.#fromMs = nowMs;
    this.#endMs = nowMs + ackDeadlineMs;
    this.#isLate = false;
    for (const time of this.#own.values()) {
      time.fromMs = nowMs;
      time.endMs = this.#endMs;
      time.askedMs = nowMs;
    }
  }

  /** Monotonic ms. */
  endMs(offset: number): number {
    return this.#own.get(offset)?.endMs ?? this.#endMs;
  }

  /**
   * Looked at each eighth of the deadline, everything is extended between a half and five eighths of it.
   * @param running pairs: first offset, count
   * @param isHeld of any offset: it is still worked on or not confirmed
   * @returns what must be extended now, as pairs
   */
  look(
    running: readonly number[],
    isHeld: (offset: number) => boolean,
    { nowMs, ackDeadlineMs, extendMaxMs }: LeaseLook,
  ): number[] {
    this.#lookedMs = nowMs;
    this.#isLate = extendMaxMs > 0 && nowMs - this.#fromMs >= (ackDeadlineMs * 3) / 8;
    for (const offset of this.#own.keys()) if (!isHeld(offset)) this.#own.delete(offset);
    const due: number[] = [];
    for (const offset of offsetsOf(running)) {
      const time = this.#timeOf(offset, nowMs);
      if (nowMs - time.sinceMs >= extendMaxMs) continue;
      if (nowMs - Math.max(time.fromMs, time.askedMs) < ackDeadlineMs / 2) continue;
      time.askedMs = nowMs;
      extendRanges(due, offset);
    }
    return due;
  }

  /** These settlements are about to be sent: what they begin late is extended with the same request. */
  extendBegun(settles: PlannedSettle[], from: number): void {
    if (!this.#isLate) return;
    for (const { kind, ranges } of settles.slice(from)) {
      if (kind !== "begun") continue;
      settles.push({ kind: "extend", retryAtMs: 0, error: "", ranges: [...ranges] });
      for (const offset of offsetsOf(ranges)) {
        this.#timeOf(offset, this.#lookedMs).askedMs = this.#lookedMs;
      }
    }
  }

  /**
   * The broker confirmed that the leases of these begin anew. One may end earlier than before: the ack deadline was lowered.
   * @param ranges pairs @param askedMs when it was asked for it
   */
  extended(ranges: readonly number[], askedMs: number, ackDeadlineMs: number): void {
    for (const offset of offsetsOf(ranges)) {
      const time = this.#timeOf(offset, askedMs);
      if (askedMs < time.fromMs) continue;
      time.fromMs = askedMs;
      time.endMs = askedMs + ackDeadlineMs;
    }
  }

  /** The broker refused for now: the next look asks again. @param ranges pairs */
  notExtended(ranges: readonly number[]): void {
    for (const offset of offsetsOf(ranges)) {
      const time = this.#own.get(offset);
      if (time !== undefined) time.askedMs = time.fromMs;
    }
  }

  #timeOf(offset: number, nowMs: number): LeaseTime {
    const known = this.#own.get(offset);
    if (known !== undefined) return known;
    const fromMs = this.#fromMs;
    const time = { sinceMs: nowMs, fromMs, endMs: this.#endMs, askedMs: fromMs };
    this.#own.set(offset, time);
    return time;
  }
}
