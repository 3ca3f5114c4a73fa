// Bytes of records that this node holds on their way: entries in memory of all groups, what is being read for those who are
// behind, and what is queued for other brokers. Each group has limits of its own, but there are many groups; this is the
// limit of all together. Asked before each append: measured now and then, in between what was appended is added.
import type { Clock } from "../base/clock.ts";
import type { BrokerError } from "../model/errors.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";

export interface LogMemoryDeps {
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  /** Adds up what there is; not for every append. */
  readonly measure: () => number;
}

const MEASURE_MS = 10;
/** Batches up to this size may use the whole share; larger ones leave a quarter of it to them. */
const SMALL_BATCH_BYTES = 64 * 1024;
const LARGE_RATIO = 0.75;

export class LogMemory {
  readonly #deps: LogMemoryDeps;
  #measuredMs = Number.NEGATIVE_INFINITY;

  constructor(deps: LogMemoryDeps) {
    this.#deps = deps;
  }

  /** Counts a batch that is about to be appended, or says why it must not be. One batch always fits. */
  refusal(bytes: number): BrokerError | undefined {
    const { budget } = this.#deps;
    this.#measure();
    const usedBytes = budget.used("log");
    const limitBytes = budget.limit("log") * (bytes > SMALL_BATCH_BYTES ? LARGE_RATIO : 1);
    if (usedBytes > 0 && usedBytes + bytes > limitBytes) return budget.refusal("log");
    budget.take("log", bytes);
    return undefined;
  }

  #measure(): void {
    const { budget, clock, measure } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#measuredMs < MEASURE_MS) return;
    this.#measuredMs = nowMs;
    budget.set("log", measure());
  }
}
