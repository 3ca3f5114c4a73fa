// Administration of subscriptions. Definitions are changed on the leader of the metadata group; progress, positions and
// parked keys are asked of the leaders of the partitions.
import { sleep } from "../base/clock.ts";
import { isBrokerError } from "../model/errors.ts";
import { PAGE_SIZE_MAX } from "../model/limits.ts";
import type {
  AlterSubscriptionResponse,
  MatchedTopic,
  SubscriptionDefinition,
} from "../rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../rpc/methods.ts";
import type { ClientDeps } from "./client-deps.ts";
import { DeadLetterSearch, type MessageExplanation } from "./dead-letter-search.ts";
import { asFlotillaError, FlotillaError } from "./flotilla-error.ts";
import {
  fromWire,
  type NewSubscription,
  PAUSED_UNTIL_RESUMED,
  type Subscription,
  type SubscriptionChanges,
  toWire,
  withChanges,
} from "./subscription-definition.ts";
import { isAsAsked } from "./subscription-match.ts";
import {
  type MessageName,
  type ParkedKeyOfPartition,
  type PartitionChoice,
  type PartitionSeek,
  type SeekOptions,
  type SeekTarget,
  SubscriptionPartitions,
  type SubscriptionProgress,
} from "./subscription-partitions.ts";
import { CALL_TIMEOUT_MS_DEFAULT, type CallSettings, type UnaryCaller } from "./unary-caller.ts";

export interface ListSubscriptionsOptions extends CallSettings {
  readonly prefix?: string | undefined;
  /** Only those that select this topic. */
  readonly topic?: string | undefined;
  /** Items per question, 1 to 1000; default 1000. */
  readonly pageSize?: number | undefined;
}

export interface ExplainOptions extends CallSettings {
  /**
   * Look for a message that is settled among the dead letters as well, which asks their leaders (default). false: only the
   * leader of its partition is asked, for which what stands in the dead letter topic is settled.
   */
  readonly deadLetters?: boolean | undefined;
}

export interface CreatedSubscription {
  /** "" with validateOnly. */
  readonly subscriptionId: string;
  /** Topics that it selects now. */
  readonly topics: readonly string[];
}

export interface DescribedSubscription {
  readonly subscription: Subscription;
  readonly topics: readonly MatchedTopic[];
}

/** Somebody else changes it all the time: then it is his turn. */
const CONFLICTS_MAX = 10;
const ATTACHED_LOOK_MS = 200;

export class SubscriptionAdmin {
  readonly #deps: ClientDeps;
  readonly #caller: UnaryCaller;
  readonly #partitions: SubscriptionPartitions;
  readonly #letters: DeadLetterSearch;

  constructor(deps: ClientDeps, caller: UnaryCaller) {
    this.#deps = deps;
    this.#caller = caller;
    this.#partitions = new SubscriptionPartitions(deps, caller);
    this.#letters = new DeadLetterSearch(deps, caller);
  }

  /**
   * Creates a subscription; resolves when each partition of its topics keeps a cursor for it, so that nothing that is sent
   * from now on can pass it by. A repetition that finds it after an attempt of unknown outcome takes it as its own when it is
   * defined as asked here.
   *
   * @param settings validateOnly: only check, change nothing
   * @throws FlotillaError INVALID_REQUEST, SUBSCRIPTION_EXISTS, UNKNOWN_TOPIC_OR_PARTITION, DEADLINE (it may exist)
   */
  async create(
    subscription: NewSubscription,
    settings: CallSettings & { readonly validateOnly?: boolean } = {},
  ): Promise<CreatedSubscription> {
    const { clock } = this.#deps;
    const deadlineMs = clock.monotonicMs() + (settings.timeoutMs ?? CALL_TIMEOUT_MS_DEFAULT);
    const { validateOnly = false } = settings;
    const definition = toWire(subscription);
    let mayExist = false;
    try {
      return await this.#caller.call(
        {
          ...settings,
          method: subscriptionService.createSubscription,
          target: { kind: "controller" },
          isSlow: true,
          request: () => ({ definition, validateOnly }),
        },
        () => {
          mayExist = !validateOnly;
        },
      );
    } catch (error) {
      if (!mayExist || !isBrokerError(error, "SUBSCRIPTION_EXISTS")) throw error;
      const answer = await this.#partitions.describe("controller", subscription.name, settings);
      const found = fromWire(answer.subscription);
      if (!isAsAsked(definition, found)) throw error;
      await this.#attached(subscription.name, deadlineMs, settings.signal);
      const topics = answer.topics.map(({ name }) => name);
      return { subscriptionId: found.subscriptionId, topics };
    }
  }

  /**
   * Changes what is named; the rest stays. Reads the definition first, and again when somebody else changed it meanwhile.
   *
   * @param version only if this is still the version
   * @returns the new version
   * @throws FlotillaError INVALID_REQUEST, UNKNOWN_SUBSCRIPTION, UNKNOWN_TOPIC_OR_PARTITION; VERSION_CONFLICT
   */
  alter(
    name: string,
    changes: SubscriptionChanges,
    settings: CallSettings & { readonly version?: number | undefined } = {},
  ): Promise<AlterSubscriptionResponse> {
    return this.#change(name, settings, (before) => withChanges(before, changes));
  }

  /** Hands nothing out from now on. @param untilMs ms since 1970; default: until resume() */
  async pause(
    name: string,
    untilMs: number = PAUSED_UNTIL_RESUMED,
    settings: CallSettings = {},
  ): Promise<void> {
    await this.#change(name, settings, (before) => ({ ...before, pausedUntilMs: untilMs }));
  }

  async resume(name: string, settings: CallSettings = {}): Promise<void> {
    await this.#change(name, settings, (before) => ({ ...before, pausedUntilMs: 0 }));
  }

  /** Deletes a subscription with its cursors; its dead letter topic stays. @throws FlotillaError UNKNOWN_SUBSCRIPTION */
  async delete(name: string, settings: CallSettings = {}): Promise<void> {
    let mayBeDone = false;
    try {
      await this.#caller.call(
        {
          ...settings,
          method: subscriptionService.deleteSubscription,
          target: { kind: "controller" },
          request: () => ({ name }),
        },
        () => {
          mayBeDone = true;
        },
      );
    } catch (error) {
      if (!mayBeDone || !isBrokerError(error, "UNKNOWN_SUBSCRIPTION")) throw error;
    }
  }

  /** In name order; asks for a page at a time. */
  async *list(options: ListSubscriptionsOptions = {}): AsyncGenerator<Subscription> {
    const { pageSize = PAGE_SIZE_MAX, prefix = "", topic = "" } = options;
    let pageToken = "";
    do {
      const request = { pageSize, pageToken, prefix, topic };
      const page = await this.#caller.call({
        ...options,
        method: subscriptionService.listSubscriptions,
        target: { kind: "any" },
        request: () => request,
      });
      for (const subscription of page.subscriptions) yield fromWire(subscription);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Definition and topics. @throws FlotillaError UNKNOWN_SUBSCRIPTION */
  async describe(name: string, settings: CallSettings = {}): Promise<DescribedSubscription> {
    const { subscription, topics } = await this.#partitions.describe("any", name, settings);
    return { subscription: fromWire(subscription), topics };
  }

  /** How far it is, as the leaders of its partitions say. @throws FlotillaError UNKNOWN_SUBSCRIPTION */
  progress(name: string, settings: CallSettings = {}): Promise<SubscriptionProgress> {
    return this.#partitions.progress(name, settings);
  }

  /**
   * Moves the cursors of all partitions, or of those that are named. With dryRun nothing is moved; the answer says what
   * would be skipped and what repeated.
   * @throws FlotillaError UNKNOWN_SUBSCRIPTION, INVALID_REQUEST; DEADLINE (some cursors may have moved)
   */
  async seek(
    name: string,
    to: SeekTarget,
    options: SeekOptions = {},
  ): Promise<readonly PartitionSeek[]> {
    try {
      return await this.#partitions.seek(name, to, options);
    } catch (error) {
      throw asFlotillaError(error);
    }
  }

  /** What became of one message, and why it is not delivered yet. */
  async explain(
    name: string,
    message: MessageName,
    options: ExplainOptions = {},
  ): Promise<MessageExplanation> {
    const { deadLetters = true, signal, timeoutMs } = options;
    const settings = { signal, timeoutMs };
    const told = await this.#partitions.explain(name, message, settings);
    if (!deadLetters || told.fate !== "settled") return told;
    return this.#letters.explained(name, message, told, settings);
  }

  /** Keys whose messages wait because one of them failed for good; of all partitions, or of those that are named. */
  parkedKeys(
    name: string,
    options: CallSettings & PartitionChoice = {},
  ): AsyncGenerator<ParkedKeyOfPartition> {
    return this.#partitions.parkedKeys(name, options);
  }

  /**
   * Lets a parked key go on.
   * @param message what parked it; skipMessage: it goes to the dead letters, instead of being tried again
   */
  release(
    name: string,
    message: MessageName & { readonly skipMessage?: boolean },
    settings: CallSettings = {},
  ): Promise<void> {
    const { skipMessage = false } = message;
    return this.#partitions.releaseKey(name, { ...message, skipMessage }, settings);
  }

  async #change(
    name: string,
    settings: CallSettings & { readonly version?: number | undefined },
    change: (before: SubscriptionDefinition) => SubscriptionDefinition,
  ): Promise<AlterSubscriptionResponse> {
    for (let attempt = 1; ; attempt += 1) {
      // The controller knows the newest version; others may lag behind.
      const { subscription } = await this.#partitions.describe("controller", name, settings);
      if (subscription?.definition === undefined) {
        throw new FlotillaError(
          "INTERNAL",
          "the broker's answer about a subscription is incomplete",
        );
      }
      const version = settings.version ?? subscription.version;
      const definition = change(subscription.definition);
      try {
        return await this.#caller.call({
          ...settings,
          method: subscriptionService.alterSubscription,
          target: { kind: "controller" },
          isSlow: true,
          request: () => ({ definition, version }),
        });
      } catch (error) {
        const isNew = settings.version === undefined && attempt < CONFLICTS_MAX;
        if (!isNew || !isBrokerError(error, "VERSION_CONFLICT")) throw error;
      }
    }
  }

  /** What the broker waits for in a creation, when its answer was lost. */
  async #attached(name: string, deadlineMs: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    for (;;) {
      const { partitions, unknown } = await this.progress(
        name,
        signal === undefined ? {} : { signal },
      );
      if (unknown.length === 0 && partitions.every(({ attached }) => attached)) return;
      if (clock.monotonicMs() >= deadlineMs) {
        throw new FlotillaError(
          "DEADLINE",
          "the subscription exists, but not every partition keeps a cursor for it yet",
          { subscription: name },
        );
      }
      await this.#pauseFor(ATTACHED_LOOK_MS, signal);
    }
  }

  async #pauseFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(this.#deps.clock, ms, signal);
    } catch (error) {
      throw asFlotillaError(error);
    }
  }
}
