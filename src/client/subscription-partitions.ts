// What the partitions of a subscription know: how far it is, where it stands, what became of one message, which keys are
// parked. Each question goes to the partition's leader. Part of SubscriptionAdmin.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { PAGE_SIZE_MAX } from "../model/limits.ts";
import type {
  DescribeSubscriptionResponse,
  ExplainResponse,
  ParkedKey,
  PartitionProgress,
  PositionKind,
  SeekResponse,
} from "../rpc/generated/flotilla-v1.ts";
import { adminService, subscriptionService } from "../rpc/methods.ts";
import type { ClientDeps } from "./client-deps.ts";
import type { PartitionName } from "./member-admin.ts";
import { CALL_TIMEOUT_MS_DEFAULT, type CallSettings, type UnaryCaller } from "./unary-caller.ts";

/** How long a broker may take to say how far the partitions are that it leads; without an answer they are unknown. */
const PROGRESS_TIMEOUT_MS = 3000;
/** Partitions that are asked at a time. */
const QUESTIONS_MAX = 32;

export interface SubscriptionProgress {
  /** In order of topic and partition. */
  readonly partitions: readonly PartitionProgress[];
  /** Partitions of which no leader gave an answer. */
  readonly unknown: readonly PartitionName[];
}

/** Times: the first message appended at or after it, ms since 1970. */
export type SeekTarget =
  | "earliest"
  | "latest"
  | { readonly timeMs: number }
  | { readonly offset: number };

/** All partitions of a subscription, those of one topic, or one of them: a partition needs its topic. */
export interface PartitionChoice {
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
}

/** An offset needs a topic and a partition. */
export interface SeekOptions extends CallSettings, PartitionChoice {
  /** Only tell what would happen. */
  readonly dryRun?: boolean | undefined;
}

export interface PartitionSeek extends PartitionName, SeekResponse {}

export interface MessageName extends PartitionName {
  readonly offset: number;
}

export interface ParkedKeyOfPartition extends PartitionName, ParkedKey {}

export class SubscriptionPartitions {
  readonly #deps: ClientDeps;
  readonly #caller: UnaryCaller;

  constructor(deps: ClientDeps, caller: UnaryCaller) {
    this.#deps = deps;
    this.#caller = caller;
  }

  describe(
    kind: "any" | "controller",
    name: string,
    settings: CallSettings,
  ): Promise<DescribeSubscriptionResponse> {
    return this.#caller.call({
      ...settings,
      method: subscriptionService.describeSubscription,
      target: { kind },
      request: () => ({ name }),
    });
  }

  async progress(name: string, settings: CallSettings): Promise<SubscriptionProgress> {
    const wanted = await this.#partitionsOf(name, {}, settings);
    const { nodes } = await this.#caller.call({
      ...settings,
      method: adminService.describeCluster,
      target: { kind: "any" },
      request: () => ({}),
    });
    const answers = await Promise.all(
      nodes
        .filter((node) => !node.fenced)
        .map(({ nodeId }) => this.#progressOn(nodeId, name, settings)),
    );
    const known = new Map<string, PartitionProgress>();
    for (const progress of answers.flat()) {
      const before = known.get(placeOf(progress));
      // While a leadership moves two brokers may answer: the one that is behind is the former one.
      if (before !== undefined && before.highWatermark > progress.highWatermark) continue;
      known.set(placeOf(progress), progress);
    }
    const isKnown = (place: PartitionName): boolean => known.has(placeOf(place));
    return {
      partitions: wanted.flatMap((place) => known.get(placeOf(place)) ?? []),
      unknown: wanted.filter((place) => !isKnown(place)),
    };
  }

  async seek(
    name: string,
    to: SeekTarget,
    options: SeekOptions,
  ): Promise<readonly PartitionSeek[]> {
    const { dryRun = false, partition, topic } = options;
    const { kind, offset, timeMs } = positionOf(to);
    if (kind === "offset" && (topic === undefined || partition === undefined)) {
      throw new BrokerError("INVALID_REQUEST", "an offset is one of a partition: name it", {
        field: "partition",
        limit: "topic and partition",
      });
    }
    const places = await this.#partitionsOf(name, options, options);
    return inTurn(places, async (place) => {
      const answer = await this.#caller.call({
        ...settingsOf(options),
        method: subscriptionService.seek,
        target: { kind: "leader", ...place },
        isSlow: true,
        request: () => ({ ...this.#question(name, place), kind, offset, timeMs, dryRun }),
      });
      return { ...place, ...answer };
    });
  }

  explain(name: string, message: MessageName, settings: CallSettings): Promise<ExplainResponse> {
    const { offset } = message;
    return this.#caller.call({
      ...settings,
      method: subscriptionService.explain,
      target: { kind: "leader", topic: message.topic, partition: message.partition },
      request: () => ({ ...this.#question(name, message), offset }),
    });
  }

  /** Of one partition after the other. */
  async *parkedKeys(
    name: string,
    options: CallSettings & PartitionChoice,
  ): AsyncGenerator<ParkedKeyOfPartition> {
    for (const place of await this.#partitionsOf(name, options, options)) {
      let pageToken = "";
      do {
        const request = { pageSize: PAGE_SIZE_MAX, pageToken };
        const page = await this.#caller.call({
          ...settingsOf(options),
          method: subscriptionService.listParkedKeys,
          target: { kind: "leader", ...place },
          request: () => ({ ...this.#question(name, place), ...request }),
        });
        for (const key of page.keys) yield { ...place, ...key };
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    }
  }

  async releaseKey(
    name: string,
    message: MessageName & { readonly skipMessage: boolean },
    settings: CallSettings,
  ): Promise<void> {
    const { offset, partition, skipMessage, topic } = message;
    await this.#caller.call({
      ...settings,
      method: subscriptionService.releaseKey,
      target: { kind: "leader", topic, partition },
      isSlow: true,
      request: () => ({ ...this.#question(name, message), offset, skipMessage }),
    });
  }

  /** @throws FlotillaError UNKNOWN_SUBSCRIPTION; BrokerError INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION for what it does not select */
  async #partitionsOf(
    name: string,
    only: PartitionChoice,
    settings: CallSettings,
  ): Promise<readonly PartitionName[]> {
    if (only.partition !== undefined && only.topic === undefined) {
      throw new BrokerError("INVALID_REQUEST", "a partition is one of a topic: name it", {
        field: "topic",
        limit: "topic and partition",
      });
    }
    const { topics } = await this.describe("any", name, settingsOf(settings));
    const places = topics.flatMap(({ name: topic, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
    );
    const meant = places.filter(
      ({ partition, topic }) =>
        (only.topic ?? topic) === topic && (only.partition ?? partition) === partition,
    );
    if (meant.length > 0 || only.topic === undefined) return meant;
    const text = `subscription "${name}" has no such topic or partition`;
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic: only.topic });
  }

  async #progressOn(
    nodeId: number,
    subscription: string,
    settings: CallSettings,
  ): Promise<readonly PartitionProgress[]> {
    const { timeoutMs = CALL_TIMEOUT_MS_DEFAULT } = settings;
    try {
      const { partitions } = await this.#caller.call({
        ...settings,
        timeoutMs: Math.min(timeoutMs, PROGRESS_TIMEOUT_MS),
        method: subscriptionService.getProgress,
        target: { kind: "node", nodeId },
        request: () => ({ subscription, topicId: "" }),
      });
      return partitions;
    } catch (error) {
      if (isBrokerError(error, "CANCELLED") || !isBrokerError(error)) throw error;
      return [];
    }
  }

  /** Which subscription and partition: the caller has found the topic's id when it found the leader. */
  #question(
    subscription: string,
    { partition, topic }: PartitionName,
  ): { readonly subscription: string; readonly topicId: string; readonly partition: number } {
    const topicId = this.#deps.metadata.topic(topic)?.topicId;
    if (topicId !== undefined) return { subscription, topicId, partition };
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic is called "${topic}"`, { topic });
  }
}

function settingsOf({ signal, timeoutMs }: CallSettings): CallSettings {
  return { signal, timeoutMs };
}

function positionOf(to: SeekTarget): {
  readonly kind: PositionKind;
  readonly offset: number;
  readonly timeMs: number;
} {
  if (typeof to === "string") return { kind: to, offset: 0, timeMs: 0 };
  if ("offset" in to) return { kind: "offset", offset: to.offset, timeMs: 0 };
  return { kind: "time", offset: 0, timeMs: to.timeMs };
}

/** Results in the order of the items; so many at a time. */
async function inTurn<Item, Result>(
  items: readonly Item[],
  act: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (let from = 0; from < items.length; from += QUESTIONS_MAX) {
    results.push(...(await Promise.all(items.slice(from, from + QUESTIONS_MAX).map(act))));
  }
  return results;
}

function placeOf({ partition, topic }: PartitionName): string {
  return `${topic}/${partition}`;
}
