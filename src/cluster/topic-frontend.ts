// Topic changes on the metadata leader: checks the request against the rules of this software
// version, proposes the command, and for a creation waits until every partition can be used. The
// Admin service calls it.
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { TopicId } from "../model/ids.ts";
import { PARTITIONS_PER_TOPIC_MAX, REPLICATION_FACTOR_MAX } from "../model/limits.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { checkTopicName } from "../model/topic-name.ts";
import { parseTopicSettings, TOPIC_SETTINGS } from "../model/topic-settings.ts";
import type { LeaderCache } from "./leader-cache.ts";
import { isInService } from "./member-rules.ts";
import type { MetadataController } from "./metadata-controller.ts";
import type { MetadataView } from "./metadata-image.ts";
import { resultOf } from "./metadata-reply.ts";
import { type NewTopic, refuseTopic } from "./topic-rules.ts";
import type { TopicRow } from "./topic-table.ts";

/** Creations that wait for their leaders at once. Beyond: OVERLOADED. */
export const TOPIC_CREATIONS_WAITING_MAX = 256;
const SETTING_NAMES: ReadonlySet<string> = new Set(TOPIC_SETTINGS.map((setting) => setting.name));

export interface CreateTopicWish {
  readonly name: string;
  /** 0: the default. */
  readonly partitions: number;
  /** 0: the default, or the number of nodes if that is smaller. */
  readonly replicationFactor: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly validateOnly: boolean;
}

/** What a creation gets that does not say otherwise (configuration file). */
export interface TopicCreationDefaults {
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Written into the topic where the request has no value of its own. */
  readonly settings: Readonly<Record<string, string>>;
}

export const TOPIC_CREATION_DEFAULTS: TopicCreationDefaults = {
  partitions: 1,
  replicationFactor: 3,
  settings: {},
};

/**
 * How long a caller waits: until then on the clock's monotonic scale, and as long as the signal is
 * quiet.
 */
export interface Waiting {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface TopicFrontendOptions {
  readonly controller: MetadataController;
  readonly view: MetadataView;
  readonly leaders: LeaderCache;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Nodes that the cluster was formatted with: the default replication factor does not shrink while
   * some start up.
   */
  readonly nodesExpected: number;
  readonly defaults: TopicCreationDefaults;
}

export class TopicFrontend {
  readonly #options: TopicFrontendOptions;
  #waiting = 0;

  constructor(options: TopicFrontendOptions) {
    this.#options = options;
  }

  /**
   * Creates a topic; resolves when each of its partitions has a leader that is ready to serve.
   *
   * @returns the topic's id; an empty one after `validateOnly`
   * @throws BrokerError INVALID_REQUEST | TOPIC_EXISTS | INVALID_REPLICATION_FACTOR | NOT_LEADER |
   * LEADER_UNKNOWN | OVERLOADED (nothing was created); LEADERSHIP_LOST | DEADLINE | CANCELLED (it
   * may exist)
   */
  async createTopic(
    wish: CreateTopicWish,
    waiting: Waiting,
  ): Promise<{ readonly topicId: string }> {
    const { controller, defaults, random } = this.#options;
    controller.requireLeader();
    const { name } = wish;
    const settings = { ...defaults.settings, ...wish.settings };
    checkTopicName(name);
    checkTopicSettings(settings);
    const partitions = checkedCount(
      wish.partitions,
      defaults.partitions,
      "partitions",
      PARTITIONS_PER_TOPIC_MAX,
    );
    const replicationFactor = checkedCount(
      wish.replicationFactor,
      this.#replicationFactorDefault(),
      "replicationFactor",
      REPLICATION_FACTOR_MAX,
    );
    this.#checkSubscriptions(name);
    if (wish.validateOnly) {
      this.#checkAgainstImage({ name, partitions, replicationFactor });
      return { topicId: "" };
    }
    if (this.#waiting >= TOPIC_CREATIONS_WAITING_MAX) {
      throw new BrokerError("OVERLOADED", "too many topics are being created", {
        limit: "topicCreations",
      });
    }
    this.#waiting += 1;
    try {
      const topicId = random.uuid() as TopicId;
      const type = "create-topic";
      await controller.propose({ type, topicId, name, partitions, replicationFactor, settings });
      await this.#leadersReady(topicId, waiting);
      return { topicId };
    } finally {
      this.#waiting -= 1;
    }
  }

  /**
   * Changes settings; an empty value restores the default.
   * @throws BrokerError INVALID_REQUEST | UNKNOWN_TOPIC_OR_PARTITION | NOT_LEADER | LEADER_UNKNOWN
   * | LEADERSHIP_LOST
   */
  async alterTopic(name: string, settings: Readonly<Record<string, string>>): Promise<void> {
    const { controller } = this.#options;
    controller.requireLeader();
    const topic = this.requireTopic(name);
    checkTopicSettings(settings);
    checkTopicSettings({ ...topic.settings, ...settings });
    await controller.propose({ type: "alter-topic", topicId: topic.topicId, settings });
  }

  /**
   * Deletes a topic and its messages. Nodes remove the data when they apply the change.
   * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION | NOT_LEADER | LEADER_UNKNOWN | LEADERSHIP_LOST
   */
  async deleteTopic(name: string): Promise<void> {
    const { controller } = this.#options;
    controller.requireLeader();
    // By id: a topic that was deleted and created again meanwhile is another one and stays.
    const { topicId } = this.requireTopic(name);
    await controller.propose({ type: "delete-topic", topicId });
  }

  /** The topic of that name in the local image. @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION */
  requireTopic(name: string): TopicRow {
    const topic = this.#options.view.image.topicByName(name);
    if (topic !== undefined) return topic;
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic is called "${name}"`, {
      topic: name,
    });
  }

  /**
   * Patterns and expressions of subscriptions select topics that do not exist yet. Two requests at once may exceed the limit
   * by what they create.
   */
  #checkSubscriptions(name: string): void {
    const limit = SUBSCRIPTION_LIMITS.perPartition;
    const count = this.#options.view.image.subscriptions.countOf(name);
    if (count <= limit) return;
    const message = `${count} subscriptions select topic "${name}", at most ${limit} may`;
    const fields = { limit: "subscriptionsPerTopic", topic: name };
    throw new BrokerError("OVERLOADED", message, fields);
  }

  #replicationFactorDefault(): number {
    const nodes = Math.max(this.#options.view.image.nodes.size, this.#options.nodesExpected, 1);
    return Math.min(this.#options.defaults.replicationFactor, nodes);
  }

  /** What the state would refuse, for a dry run. @throws BrokerError as {@link refuseTopic} says */
  #checkAgainstImage(topic: NewTopic): void {
    const { image } = this.#options.view;
    const refusal = refuseTopic(topic, {
      isNameTaken: image.topicByName(topic.name) !== undefined,
      topics: image.topics.size,
      partitions: image.partitions.size,
      nodesAvailable: [...image.nodes.values()].filter(isInService).length,
    });
    if (refusal !== undefined) resultOf(refusal);
  }

  /** Resolves when all partitions have a ready leader, or when the topic is deleted meanwhile. */
  #leadersReady(topicId: TopicId, waiting: Waiting): Promise<void> {
    const { clock, leaders, view } = this.#options;
    return new Promise((resolve, reject) => {
      const missing = (): number =>
        view.image
          .partitionsOf(topicId)
          .filter((partition) => !leaders.hasReadyLeader(partition.groupId)).length;
      const finish = (error?: BrokerError): void => {
        cancelTimer();
        stopLeaders();
        stopImages();
        waiting.signal?.removeEventListener("abort", onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = (): void => {
        if (missing() === 0) finish();
      };
      const onAbort = (): void =>
        finish(new BrokerError("CANCELLED", "the caller gave up; the topic exists", { topicId }));
      const cancelTimer = clock.schedule(
        Math.max(0, waiting.deadlineMs - clock.monotonicMs()),
        () =>
          finish(
            new BrokerError(
              "DEADLINE",
              "the topic exists, but not every partition has a leader yet",
              {
                topicId,
                partitionsWithoutLeader: missing(),
              },
            ),
          ),
      );
      const stopLeaders = leaders.onChange(check);
      const stopImages = view.onChange(check);
      waiting.signal?.addEventListener("abort", onAbort, { once: true });
      if (waiting.signal?.aborted === true) onAbort();
      else check();
    });
  }
}

/** Names must be known, values allowed; an empty value stands for the default. */
function checkTopicSettings(texts: Readonly<Record<string, string>>): void {
  const given = Object.entries(texts);
  parseTopicSettings(Object.fromEntries(given.filter(([, value]) => value !== "")));
  const reset = given.filter(([name, value]) => value === "" && !SETTING_NAMES.has(name));
  parseTopicSettings(Object.fromEntries(reset));
}

function checkedCount(value: number, fallback: number, field: string, limit: number): number {
  const count = value === 0 ? fallback : value;
  if (Number.isInteger(count) && count >= 1 && count <= limit) return count;
  throw new BrokerError("INVALID_REQUEST", `${field} must be 1 to ${limit}`, { field, limit });
}

/** True when a creation failed only in that its leaders were not seen in time. */
export function isCreatedButNotReady(error: unknown): boolean {
  return isBrokerError(error, "DEADLINE") || isBrokerError(error, "CANCELLED");
}
