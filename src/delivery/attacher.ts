// Sees to it that a led partition keeps a cursor for every subscription that selects its topic, and for no other
// (docs/adr/0015). Part of PartitionDeliveries, which is told whenever something may differ.
import { type Clock, sleep } from "../base/clock.ts";
import type { TaskGroup } from "../base/task-group.ts";
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS, type SubscriptionRow } from "../model/subscription.ts";
import { planAttachments, withinLimit } from "./attach-plan.ts";
import type { DeliveryPartition, SubscriptionDirectory } from "./ports.ts";

/** Proposals under way at a time. */
const PROPOSALS_MAX = 16;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 10_000;

export interface AttacherDeps {
  readonly clock: Clock;
  readonly tasks: TaskGroup;
  readonly directory: SubscriptionDirectory;
  readonly isLeading: () => boolean;
  /** The subscription is about to be detached. */
  readonly onDetach: (id: string) => void;
  /** The replicated state, or what the metadata says, changed. */
  readonly onChanged: () => void;
}

export class Attacher {
  readonly #partition: DeliveryPartition;
  readonly #deps: AttacherDeps;
  readonly #detaching = new Set<string>();
  #isRunning = false;
  #isAgainDue = false;

  constructor(partition: DeliveryPartition, deps: AttacherDeps) {
    this.#partition = partition;
    this.#deps = deps;
  }

  /** Everything that the metadata selects is attached, and nothing else is. */
  get isComplete(): boolean {
    const plan = this.#plan();
    return plan !== undefined && plan.attach.length === 0 && plan.detach.length === 0;
  }

  /** It is about to be no more, whatever the metadata says by now. */
  isDetaching(id: string): boolean {
    return this.#detaching.has(id);
  }

  /** Compares and proposes; calls while that is under way are remembered. */
  look(): void {
    this.#isAgainDue = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#deps.tasks.spawn("attach", async (signal) => {
      try {
        await this.#run(signal);
      } finally {
        this.#isRunning = false;
      }
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (this.#isAgainDue && this.#deps.isLeading()) {
      this.#isAgainDue = false;
      if (await this.#once()) {
        failures = 0;
        continue;
      }
      this.#isAgainDue = true;
      await sleep(this.#deps.clock, Math.min(RETRY_MIN_MS * 2 ** failures, RETRY_MAX_MS), signal);
      failures += 1;
    }
  }

  #plan(): ReturnType<typeof planAttachments> | undefined {
    const { directory } = this.#deps;
    const { deliveries, topicId } = this.#partition;
    // An image without the topic is older than the topic, or the topic is being deleted: it says nothing.
    if (directory.topicCreatedIndex(topicId) === undefined) return undefined;
    return planAttachments(directory.selecting(topicId), deliveries.all(), directory.version);
  }

  /** @returns false: something was refused and is to be tried again */
  async #once(): Promise<boolean> {
    const wanted = this.#plan();
    if (wanted === undefined) return true;
    const attached = this.#partition.deliveries.all();
    const plan = withinLimit(wanted, attached, SUBSCRIPTION_LIMITS.perPartition);
    const steps = [
      ...plan.detach.map((id) => () => this.#detach(id)),
      ...plan.attach.map((row) => () => this.#attach(row)),
    ];
    let isDone = true;
    const worker = async (): Promise<void> => {
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
        if (!this.#deps.isLeading()) return;
        try {
          if (!(await step())) isDone = false;
        } catch (error) {
          if (!isBrokerError(error)) throw error;
          isDone = false;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(PROPOSALS_MAX, steps.length) }, worker));
    if (this.#deps.isLeading()) this.#deps.onChanged();
    return isDone;
  }

  async #detach(id: string): Promise<boolean> {
    this.#detaching.add(id);
    this.#deps.onDetach(id);
    try {
      await this.#partition.propose({ type: "detach", id });
    } finally {
      this.#detaching.delete(id);
    }
    return true;
  }

  async #attach(row: SubscriptionRow): Promise<boolean> {
    const { createdIndex, subscriptionId: id, version } = row;
    const isAttached = this.#partition.deliveries.get(id) !== undefined;
    const startOffset = isAttached ? 0 : await this.#startOf(row);
    if (!this.#deps.isLeading()) return false;
    const reply = await this.#partition.propose({
      type: "attach",
      id,
      version,
      startOffset,
      createdIndex,
    });
    return reply.outcome !== "limit";
  }

  /** A topic that is younger than the subscription is read from its first message on: nobody misses any. */
  async #startOf({ createdIndex, definition }: SubscriptionRow): Promise<Offset> {
    const { highWatermark, logStartOffset, topicId } = this.#partition;
    const topicIndex = this.#deps.directory.topicCreatedIndex(topicId) ?? 0;
    const { start } = definition;
    if (topicIndex > createdIndex || start.kind === "earliest") return logStartOffset;
    if (start.kind === "latest") return highWatermark;
    return (await this.#partition.offsetOfTime(start.timeMs)) ?? highWatermark;
  }
}
