// Replicates what happened to the subscriptions of one led partition: one `deliver` entry per turn for all of them, a few under
// way, and again after a refusal, so that nothing that a consumer said is forgotten while this node leads. Part of
// PartitionDeliveries.
import { type Clock, sleep } from "../base/clock.ts";
import type { TaskGroup } from "../base/task-group.ts";
import { isBrokerError } from "../model/errors.ts";
import type { SubscriptionUpdate } from "./delivery-commands.ts";
import { splitUpdates } from "./delivery-encoder.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import type { DeliveryPartition } from "./ports.ts";

const ENTRIES_UNDER_WAY_MAX = 3;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2000;

export interface CarrierDeps {
  readonly clock: Clock;
  readonly tasks: TaskGroup;
  /** Still the leadership that the runners belong to. */
  readonly isLeading: () => boolean;
  readonly onApplied: (runner: DeliveryRunner) => void;
  /** Nobody knows whether its update took effect: it must begin anew from the replicated state. */
  readonly onUnknown: (runner: DeliveryRunner) => void;
}

export class UpdateCarrier {
  readonly #partition: DeliveryPartition;
  readonly #deps: CarrierDeps;
  /** Those that may have something. */
  readonly #waiting = new Set<DeliveryRunner>();
  #underWay = 0;

  constructor(partition: DeliveryPartition, deps: CarrierDeps) {
    this.#partition = partition;
    this.#deps = deps;
  }

  add(runner: DeliveryRunner): void {
    this.#waiting.add(runner);
  }

  /** Proposes what there is, in one entry. */
  carry(): void {
    if (this.#underWay >= ENTRIES_UNDER_WAY_MAX || this.#waiting.size === 0) return;
    const updates: SubscriptionUpdate[] = [];
    const carried: DeliveryRunner[] = [];
    for (const runner of this.#waiting) {
      const update = runner.takeUpdate();
      if (update === undefined) continue;
      updates.push(update);
      carried.push(runner);
    }
    this.#waiting.clear();
    if (updates.length === 0) return;
    this.#underWay += 1;
    this.#deps.tasks.spawn("deliver", async (signal) => {
      let isApplied = false;
      try {
        isApplied = await this.#propose(updates, signal);
      } finally {
        this.#underWay -= 1;
        if (this.#deps.isLeading()) this.#over(carried, isApplied);
      }
    });
  }

  #over(carried: readonly DeliveryRunner[], isApplied: boolean): void {
    for (const runner of carried) {
      const isInForce = isApplied && !runner.isOrphaned;
      if (isInForce) runner.updateApplied();
      if (isInForce) this.#deps.onApplied(runner);
      else this.#deps.onUnknown(runner);
    }
    this.carry();
  }

  /** @returns false: nobody may be told anything, because the leadership ended or the outcome is unknown */
  async #propose(updates: readonly SubscriptionUpdate[], signal: AbortSignal): Promise<boolean> {
    for (const portion of splitUpdates(updates)) {
      for (let failures = 0; ; failures += 1) {
        try {
          await this.#partition.propose({ type: "deliver", updates: portion });
          if (!this.#deps.isLeading()) return false;
          break;
        } catch (error) {
          if (!isBrokerError(error)) throw error;
          // What may have taken effect is not said again: counted twice, a failure would kill a message too early.
          if (error.outcome === "unknown" || !this.#deps.isLeading()) return false;
        }
        await sleep(this.#deps.clock, Math.min(RETRY_MIN_MS * 2 ** failures, RETRY_MAX_MS), signal);
        if (!this.#deps.isLeading()) return false;
      }
    }
    return true;
  }
}
