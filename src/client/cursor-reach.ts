// Whether a cursor's partition can be reached: failures in a row and since when, for pauses and for giving up. Decides only.
import type { BrokerError } from "../model/errors.ts";

/**
 * Brokers do not confirm that a cursor was opened. One that was not refused for so long is open, although its partition
 * has nothing new; what cannot be connected to fails earlier. One that is dropped again and again before is lost.
 */
export const OPEN_MS = 5000;
/** Damage that comes again this often is not the network's. */
const DAMAGED_MAX = 3;

export class CursorReach {
  #attempt = 0;
  #openedMs: number | undefined;
  #lostSinceMs: number | undefined;
  #cause: BrokerError | undefined;
  #damaged = 0;

  /** Failures since it was last open, or gave something new. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The last failure. */
  get cause(): BrokerError | undefined {
    return this.#cause;
  }

  /** It was asked for on a stream. */
  opened(nowMs: number): void {
    this.#openedMs = nowMs;
  }

  /** Something new arrived sound. Anything else that arrives proves little: a broker may say it and drop the cursor. */
  progressed(): void {
    this.#found();
    this.#damaged = 0;
  }

  /** It is on no stream any more. Says nothing of failure yet. */
  left(nowMs: number): void {
    const openedMs = this.#openedMs;
    this.#openedMs = undefined;
    if (openedMs !== undefined && nowMs - openedMs >= OPEN_MS) this.#found();
  }

  /** @param error undefined: no leader is known @returns for how long it has been lost, ms */
  failed(nowMs: number, error: BrokerError | undefined): number {
    this.#lostSinceMs ??= nowMs;
    this.#attempt += 1;
    this.#cause = error ?? this.#cause;
    return nowMs - this.#lostSinceMs;
  }

  /**
   * What arrived was damaged: its leader was reached, so this is not a failure to reach it.
   * @returns how often in a row before; undefined: too often
   */
  damaged(): number | undefined {
    const before = this.#damaged;
    this.#damaged += 1;
    return before < DAMAGED_MAX ? before : undefined;
  }

  #found(): void {
    this.#attempt = 0;
    this.#lostSinceMs = undefined;
    this.#cause = undefined;
  }
}
