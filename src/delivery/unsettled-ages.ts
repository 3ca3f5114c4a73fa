// How old the oldest message is that a subscription has not settled, per partition led here. Its time stands in the log: it is read
// when the cursor has moved, one after the other, and for a bounded time per look, so that whoever asks is not held up by a disk.
// The broker's metrics ask at each scrape.
import { type Clock, sleep } from "../base/clock.ts";
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import { appendTimeOf } from "./progress.ts";

/** Reading ends then; what was not reached comes first in the next look. */
const LOOK_MS_MAX = 200;

interface Known {
  readonly cursor: Offset;
  readonly appendedMs: number;
  /** Wall clock, when it was read. */
  readonly readMs: number;
}

export class UnsettledAges {
  readonly #clock: Clock;
  readonly #known = new WeakMap<DeliveryRunner, Known>();
  /** In the order in which they are read. */
  readonly #due = new Set<DeliveryRunner>();
  #reading: Promise<void> | undefined;
  /** On the clock's monotonic scale. */
  #endMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Brings the ages of these up to date as far as time allows. */
  async look(runners: Iterable<DeliveryRunner>): Promise<void> {
    for (const runner of runners) if (this.#isDue(runner)) this.#due.add(runner);
    if (this.#due.size === 0) return;
    this.#endMs = this.#clock.monotonicMs() + LOOK_MS_MAX;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    const over = new AbortController();
    const timeout = sleep(this.#clock, LOOK_MS_MAX, over.signal).catch(() => undefined);
    try {
      await Promise.race([this.#reading, timeout]);
    } finally {
      over.abort();
    }
  }

  /** 0: it has settled everything. Undefined: not known yet. Of a cursor that moved since: as it was read last. */
  ageMs(runner: DeliveryRunner): number | undefined {
    if (isUpToDate(runner)) return 0;
    const known = this.#known.get(runner);
    if (known === undefined) return undefined;
    const isSame = known.cursor === runner.state.settled.cursor;
    const asOfMs = isSame ? this.#clock.wallMs() : known.readMs;
    return Math.max(0, asOfMs - known.appendedMs);
  }

  #isDue(runner: DeliveryRunner): boolean {
    if (runner.isClosed || isUpToDate(runner)) return false;
    return this.#known.get(runner)?.cursor !== runner.state.settled.cursor;
  }

  async #read(): Promise<void> {
    for (const runner of this.#due) {
      if (this.#clock.monotonicMs() >= this.#endMs) return;
      this.#due.delete(runner);
      if (!this.#isDue(runner)) continue;
      const { cursor } = runner.state.settled;
      try {
        const appendedMs = await appendTimeOf(runner, cursor);
        // 0: retention dropped it meanwhile.
        if (appendedMs === 0) continue;
        this.#known.set(runner, { cursor, appendedMs, readMs: this.#clock.wallMs() });
      } catch (error) {
        // Led here no more, or unreadable right now: the next look tries again.
        if (!isBrokerError(error)) throw error;
      }
    }
  }
}

function isUpToDate({ partition, state }: DeliveryRunner): boolean {
  return state.settled.cursor >= partition.highWatermark;
}
