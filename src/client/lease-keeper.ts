// Extends the leases of what a consumer works on, at half of their deadline, with one timer for all of them; and lets go of
// what a leader that is gone gave and nobody has resumed.
import type { Cancel, Clock } from "../base/clock.ts";
import type { HeldDelivery } from "./held-delivery.ts";

/** What the keeper looks after. */
export interface Leases {
  held(): Iterable<HeldDelivery>;
  /** Deliveries without a leader whose time is over are lost. */
  expire(): void;
}

const LOOK_MS_MIN = 100;
const LOOK_MS_MAX = 10_000;

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
    this.#cancel ??= this.#clock.schedule(lookMs(ackDeadlineMs), () => this.#look());
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

  #look(): void {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonicMs();
    this.#leases.expire();
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const delivery of this.#leases.held()) {
      shortestMs = Math.min(shortestMs, delivery.ackDeadlineMs);
      // What waits is not extended: a slow consumer must not keep from others what it has not begun.
      delivery.keepLeases(nowMs, this.#extendMaxMs);
    }
    if (shortestMs !== Number.POSITIVE_INFINITY) this.wake(shortestMs);
  }
}

/** Often enough to extend between a half and five eighths of the deadline. */
function lookMs(ackDeadlineMs: number): number {
  return Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, ackDeadlineMs / 8));
}
