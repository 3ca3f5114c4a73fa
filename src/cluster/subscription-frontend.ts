// Changes of subscriptions on the metadata leader: checks the request against the rules of this software version, makes the
// dead letter topic, proposes the command, and for a creation waits until every partition keeps a cursor. The subscription
// service calls it.
import { type Clock, sleep } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { compileTopicSelection } from "../filter/topic-selection.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import {
  DEAD_LETTER_PREFIX,
  redriveTopicOf,
  SUBSCRIPTION_LIMITS,
  type SubscriptionDefinition,
  type SubscriptionRow,
  type TopicSelection,
} from "../model/subscription.ts";
import { parseTopicSettings } from "../model/topic-settings.ts";
import type { MetadataController } from "./metadata-controller.ts";
import { type MetadataView, selectedTopics } from "./metadata-image.ts";
import { numberOf } from "./metadata-reply.ts";
import type { Attachments } from "./ports.ts";
import { checkDefinition, type DefinitionWish } from "./subscription-check.ts";
import type { TopicFrontend, Waiting } from "./topic-frontend.ts";
import type { TopicRow } from "./topic-table.ts";

/** Creations and alterations that wait for partitions at once. Beyond: OVERLOADED. */
export const SUBSCRIPTION_CREATIONS_WAITING_MAX = 256;
const LOOK_MS_MIN = 10;
const LOOK_MS_MAX = 500;
/** Dead letters of topics that do not exist yet are kept so long. */
const DEAD_LETTER_RETENTION_MS = 14 * 24 * 3600 * 1000;

export interface CreateSubscriptionWish {
  readonly definition?: DefinitionWish | undefined;
  readonly validateOnly: boolean;
  /** Of dead letters (redrive-preparation.ts): its name is reserved for everybody else. */
  readonly isLedger?: boolean;
}

export interface AlterSubscriptionWish {
  readonly definition?: DefinitionWish | undefined;
  /** 0: whatever it is. */
  readonly version: number;
}

export interface SubscriptionFrontendOptions {
  readonly controller: MetadataController;
  readonly view: MetadataView;
  readonly topics: Pick<TopicFrontend, "createTopic" | "requireTopic">;
  readonly attachments: Attachments;
  readonly clock: Clock;
  readonly random: Random;
}

export class SubscriptionFrontend {
  readonly #options: SubscriptionFrontendOptions;
  #waiting = 0;

  constructor(options: SubscriptionFrontendOptions) {
    this.#options = options;
  }

  /**
   * Creates a subscription; resolves when each partition of its topics keeps a cursor for it.
   *
   * @returns its id (empty after `validateOnly`) and the topics that match now
   * @throws BrokerError INVALID_REQUEST | SUBSCRIPTION_EXISTS | UNKNOWN_TOPIC_OR_PARTITION | NOT_LEADER | LEADER_UNKNOWN |
   * OVERLOADED (not created, though its dead letter topic may be); LEADERSHIP_LOST | DEADLINE | CANCELLED (it may exist)
   */
  async create(
    wish: CreateSubscriptionWish,
    waiting: Waiting,
  ): Promise<{ readonly subscriptionId: string; readonly topics: readonly string[] }> {
    const { controller, random, view } = this.#options;
    controller.requireLeader();
    const definition = checkDefinition(required(wish.definition));
    const { name } = definition;
    if (name.startsWith(DEAD_LETTER_PREFIX) && wish.isLedger !== true) throw reservedName();
    if (view.image.subscriptionByName(name) !== undefined) {
      throw new BrokerError("SUBSCRIPTION_EXISTS", `subscription "${name}" exists already`, {
        subscription: name,
      });
    }
    // Of a former subscription of that name: looked up while the name is free, so that it is never that of another creation.
    const left = view.image.topicByName(redriveTopicOf(name));
    const topics = this.#checkedTopics(definition, []);
    const names = topics.map((topic) => topic.name);
    if (wish.validateOnly) return { subscriptionId: "", topics: names };
    return this.#counted(async () => {
      await this.#deleteRedriven(left);
      await this.#ensureDeadLetterTopic(definition, topics, waiting);
      const subscriptionId = random.uuid();
      await controller.propose({ type: "create-subscription", subscriptionId, definition });
      await this.#attached(subscriptionId, waiting);
      return { subscriptionId, topics: names };
    });
  }

  /**
   * Replaces a definition; mode and start stay. When it selects topics otherwise, resolves when each of their partitions keeps a
   * cursor: what is sent from then on is not missed. Nothing else waits, so that pausing needs no partition.
   *
   * @returns the new version
   * @throws BrokerError INVALID_REQUEST | UNKNOWN_SUBSCRIPTION | UNKNOWN_TOPIC_OR_PARTITION | VERSION_CONFLICT | NOT_LEADER |
   * LEADER_UNKNOWN | OVERLOADED | LEADERSHIP_LOST; DEADLINE | CANCELLED (it may be altered)
   */
  async alter(
    wish: AlterSubscriptionWish,
    waiting: Waiting,
  ): Promise<{ readonly version: number }> {
    const { controller } = this.#options;
    controller.requireLeader();
    const wished = required(wish.definition);
    const known = this.require(wished.name);
    const { definition: before, subscriptionId, version: versionBefore } = known;
    const definition = checkDefinition({
      ...wished,
      mode: wished.mode ?? before.mode,
      start: wished.start ?? { timeMs: 0, ...before.start },
    });
    const topics = this.#checkedTopics(definition, namesIn(before));
    await this.#ensureDeadLetterTopic(definition, topics, waiting);
    const alter = async (): Promise<{ readonly version: number }> => {
      const type = "alter-subscription";
      const { version } = wish;
      const result = await controller.propose({ type, subscriptionId, version, definition });
      return { version: numberOf(result, "version") };
    };
    const attached = (): Promise<void> => this.#attached(subscriptionId, waiting);
    if (!isSameSelection(before.topics, definition.topics)) {
      return this.#counted(async () => {
        const answer = await alter();
        await attached();
        return answer;
      });
    }
    const answer = await alter();
    // One that changes nothing may repeat one whose answer was lost.
    if (answer.version === versionBefore) await this.#counted(attached);
    return answer;
  }

  /**
   * Deletes a subscription with its redriven messages. Its dead letters, and what remembers which are dealt with, stay.
   * @throws BrokerError UNKNOWN_SUBSCRIPTION | NOT_LEADER | LEADER_UNKNOWN | LEADERSHIP_LOST
   */
  async delete(name: string): Promise<void> {
    const { controller, view } = this.#options;
    controller.requireLeader();
    // By id: one that was deleted and created again meanwhile is another one and stays, and so does its topic.
    const { subscriptionId } = this.require(name);
    const redriven = view.image.topicByName(redriveTopicOf(name));
    await controller.propose({ type: "delete-subscription", subscriptionId });
    try {
      await this.#deleteRedriven(redriven);
    } catch (error) {
      // Nobody selects the topic any more, and it is deleted before somebody does: see create().
      if (!isBrokerError(error)) throw error;
    }
  }

  /** The subscription of that name in the local image. @throws BrokerError UNKNOWN_SUBSCRIPTION */
  require(name: string): SubscriptionRow {
    return requireSubscription(this.#options.view, name);
  }

  /**
   * Topics that match now.
   * @param known names that it had before: their topics may be deleted by now
   * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION for a name of none; OVERLOADED
   */
  #checkedTopics(
    definition: SubscriptionDefinition,
    known: readonly string[],
  ): readonly TopicRow[] {
    const { topics, view } = this.#options;
    const selection = definition.topics;
    for (const name of namesIn(definition)) if (!known.includes(name)) topics.requireTopic(name);
    const matched = selectedTopics(view.image, selection, compileTopicSelection(selection));
    const limit = SUBSCRIPTION_LIMITS.perPartition;
    const isFull = ({ topicId }: TopicRow): boolean => {
      const rows = view.image.subscriptionsOf(topicId);
      return rows.length >= limit && !rows.some((row) => row.definition.name === definition.name);
    };
    const full = matched.find(isFull);
    if (full === undefined) return matched;
    throw new BrokerError("OVERLOADED", `topic "${full.name}" has ${limit} subscriptions`, {
      limit: "subscriptionsPerTopic",
      topic: full.name,
    });
  }

  /** One that is there is taken as it is: operators may have given it other settings. */
  async #ensureDeadLetterTopic(
    { deadLetterTopic: name }: SubscriptionDefinition,
    matched: readonly TopicRow[],
    waiting: Waiting,
  ): Promise<void> {
    const { topics, view } = this.#options;
    if (name === undefined || view.image.topicByName(name) !== undefined) return;
    const settings = { "retention.ms": String(deadLetterRetentionMs(matched)) };
    const numbers = { partitions: 1, replicationFactor: 0 };
    try {
      await topics.createTopic({ name, ...numbers, settings, validateOnly: false }, waiting);
    } catch (error) {
      if (!isBrokerError(error, "TOPIC_EXISTS")) throw error;
    }
  }

  /** Before its name is anybody's again: who has the name selects the topic. */
  async #deleteRedriven(topic: TopicRow | undefined): Promise<void> {
    if (topic === undefined) return;
    await this.#options.controller.propose({ type: "delete-topic", topicId: topic.topicId });
  }

  /** Of what waits for partitions there is a limit. @throws BrokerError OVERLOADED: nothing was done */
  async #counted<T>(run: () => Promise<T>): Promise<T> {
    if (this.#waiting >= SUBSCRIPTION_CREATIONS_WAITING_MAX) {
      throw new BrokerError("OVERLOADED", "too many subscriptions wait for their partitions", {
        limit: "subscriptionCreations",
      });
    }
    this.#waiting += 1;
    try {
      return await run();
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Resolves when every partition is attached, or when the subscription is deleted meanwhile. */
  async #attached(subscriptionId: string, waiting: Waiting): Promise<void> {
    const { attachments, clock, view } = this.#options;
    const isGone = (): boolean => !view.image.subscriptions.rows.has(subscriptionId);
    for (let pauseMs = LOOK_MS_MIN; !isGone(); pauseMs = Math.min(2 * pauseMs, LOOK_MS_MAX)) {
      const partitionsPending = await attachments.pending(subscriptionId);
      if (partitionsPending === 0 || isGone()) return;
      const leftMs = waiting.deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) {
        const text = "the subscription exists, but not every partition keeps a cursor for it yet";
        throw new BrokerError("DEADLINE", text, { subscriptionId, partitionsPending });
      }
      await this.#pause(Math.min(pauseMs, leftMs), subscriptionId, waiting.signal);
    }
  }

  async #pause(ms: number, subscriptionId: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(this.#options.clock, ms, signal);
    } catch (error) {
      if (signal?.aborted !== true) throw error;
      const text = "the caller gave up; the subscription exists";
      throw new BrokerError("CANCELLED", text, { subscriptionId });
    }
  }
}

/** The subscription of that name. @throws BrokerError UNKNOWN_SUBSCRIPTION */
export function requireSubscription(view: MetadataView, name: string): SubscriptionRow {
  const row = view.image.subscriptionByName(name);
  if (row !== undefined) return row;
  throw new BrokerError(
    "UNKNOWN_SUBSCRIPTION",
    `no subscription is called "${name.slice(0, 80)}"`,
    {
      subscription: name.slice(0, 255),
    },
  );
}

function reservedName(): BrokerError {
  const limit = `not under "${DEAD_LETTER_PREFIX}": such a subscription remembers which dead letters are dealt with`;
  return new BrokerError("INVALID_REQUEST", `name is not valid: ${limit}`, {
    field: "name",
    limit,
  });
}

function required(definition: DefinitionWish | undefined): DefinitionWish {
  if (definition !== undefined) return definition;
  throw new BrokerError("INVALID_REQUEST", "a definition is needed", {
    field: "definition",
    limit: "present",
  });
}

function isSameSelection(a: TopicSelection, b: TopicSelection): boolean {
  const textOf = (selection: TopicSelection): string =>
    JSON.stringify(Object.entries(selection).sort(([one], [other]) => (one < other ? -1 : 1)));
  return textOf(a) === textOf(b);
}

function namesIn({ topics }: SubscriptionDefinition): readonly string[] {
  return topics.kind === "names" ? topics.names : [];
}

/** Twice as long as the messages themselves are kept, so that people have time to look. */
function deadLetterRetentionMs(matched: readonly TopicRow[]): number {
  const kept = matched.map(({ settings }) => parseTopicSettings(settings).retentionMs);
  if (kept.length === 0) return DEAD_LETTER_RETENTION_MS;
  if (kept.includes(-1)) return -1;
  return Math.min(2 * Math.max(...kept), Number.MAX_SAFE_INTEGER);
}
