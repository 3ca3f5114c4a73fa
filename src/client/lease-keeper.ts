// Extends the leases of what a consumer works on, at half of their deadline, with one timer for all of them; and lets go of
// what a leader that is gone gave and nobody has resumed.
import type { Cancel, Clock } from "../base/clock.ts";
import type { HeldDelivery } from "./held-delivery.ts";

/** What the keeper looks after. */
export interface Leases {
  held(): Iterable<HeldDelivery>;
  /** Deliveries without a leader whose time is over are lost. */
  expire(): void;
  /** The lease of something that is worked on has ended, and the broker says nothing. */
  overdue(delivery: HeldDelivery): void;
}

const LOOK_MS_MIN = 100;
const LOOK_MS_MAX = 10_000;
/** A look that is due may be so late. */
const LATE_MS_MIN = 10;
/** So long after the end of a lease the broker's word about it may still be under way. */
const NOTICE_MS = 250;

export class LeaseKeeper {
  readonly #clock: Clock;
  readonly #leases: Leases;
  readonly #extendMaxMs: number;
  #cancel: Cancel | undefined;

  constructor(clock: Clock, leases: Leases, extendMaxMs: number) {
    this.#clock = clock;
    this.#leases = leases;
    this.#extendMaxMs = extendMaxMs;
  }

  /** Something is held: look after it. Costs nothing when that is known. */
  wake(ackDeadlineMs: number): void {
    this.#lookIn(lookMs(ackDeadlineMs));
  }

  /** The deadline changed: looking may be due earlier. */
  retime(ackDeadlineMs: number): void {
    if (this.#cancel === undefined) return;
    this.close();
    this.wake(ackDeadlineMs);
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #lookIn(delayMs: number): void {
    this.#cancel ??= this.#clock.schedule(delayMs, () => this.#look());
  }

  #look(): void {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonicMs();
    this.#leases.expire();
    let nextMs = Number.POSITIVE_INFINITY;
    const overdue: HeldDelivery[] = [];
    for (const delivery of this.#leases.held()) {
      // What waits is not extended: a slow consumer must not keep from others what it has not begun.
      const endMs = delivery.keepLeases(nowMs, this.#extendMaxMs);
      const isOrphan = delivery.place === undefined;
      const lateMs = isOrphan ? endMs : endMs + NOTICE_MS;
      if (!isOrphan && nowMs >= lateMs) overdue.push(delivery);
      const delayMs = Math.min(
        lookMs(delivery.ackDeadlineMs),
        Math.max(lateMs - nowMs, LATE_MS_MIN),
      );
      nextMs = Math.min(nextMs, delayMs);
    }
    for (const delivery of overdue) this.#leases.overdue(delivery);
    if (nextMs !== Number.POSITIVE_INFINITY) this.#lookIn(nextMs);
  }
}

/** Often enough to extend between a half and five eighths of the deadline. */
function lookMs(ackDeadlineMs: number): number {
  return Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, ackDeadlineMs / 8));
}
