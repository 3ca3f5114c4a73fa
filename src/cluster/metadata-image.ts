// The read view of the metadata that the rest of the broker sees: immutable, replaced as a whole by
// every applied change. metadata-state.ts publishes it; frontends, reconcilers, the reader and
// other rooms (through the broker) read.
import type { TopicTest } from "../filter/topic-selection.ts";
import { type GroupId, METADATA_GROUP, type NodeId, type TopicId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import {
  redriveTopicOf,
  type SubscriptionRow,
  type TopicSelection,
} from "../model/subscription.ts";
import type { NodeRow, RemovedNodeRow } from "./node-table.ts";
import type { RevisionSkip } from "./revisions.ts";
import { SubscriptionIndex } from "./subscription-index.ts";
import type { DeletedTopicRow, PartitionRow, TopicRow } from "./topic-table.ts";

/** Voters of the metadata group without an explicit change (architecture §7.10). */
export const METADATA_VOTERS_DEFAULT = 3;

/** One consistent state of the metadata. Nothing in it changes any more. */
export interface MetadataImage {
  /** Revision of the newest applied entry that changed anything; 0: nothing known yet. */
  readonly version: LogIndex;
  /** Revisions that nobody gave, or entries that were lost. */
  readonly skips: readonly RevisionSkip[];
  /** Formats of this level may be written by every node. */
  readonly featureLevel: number;
  /** Ids of groups below it were given out. */
  readonly nextGroupId: GroupId;
  /** How many nodes shall vote in the metadata group, once there are so many. */
  readonly metadataVoters: number;
  readonly nodes: ReadonlyMap<NodeId, NodeRow>;
  /** Decommissioned, and not back with another directory. */
  readonly removedNodes: ReadonlyMap<NodeId, RemovedNodeRow>;
  readonly topics: ReadonlyMap<TopicId, TopicRow>;
  readonly partitions: ReadonlyMap<GroupId, PartitionRow>;
  readonly deletedTopics: ReadonlyMap<TopicId, DeletedTopicRow>;
  /** All topic names, in code unit order. */
  readonly topicNames: readonly string[];
  topicByName(name: string): TopicRow | undefined;
  /** Partition rows of a topic, by number. Empty when the topic is not in this image. */
  partitionsOf(topicId: TopicId): readonly PartitionRow[];
  /** All subscriptions: by id, by name, and names in order. */
  readonly subscriptions: SubscriptionIndex;
  subscriptionByName(name: string): SubscriptionRow | undefined;
  /** Those that select the topic, the oldest first; the same list as long as none of them changes. */
  subscriptionsOf(topicId: TopicId): readonly SubscriptionRow[];
  /** Topics that a subscription of this image selects, in order of their names. */
  topicsOf(subscription: SubscriptionRow): readonly TopicRow[];
}

/** What differs between an image and the one before. */
export interface MetadataDelta {
  /** Everything may differ: start-up or an installed image. The lists are empty then. */
  readonly isReset: boolean;
  readonly nodes: readonly NodeId[];
  /** Created or changed. */
  readonly topics: readonly TopicId[];
  /** Created or placed anew. */
  readonly groups: readonly GroupId[];
  readonly deletedTopics: readonly TopicId[];
  /** Created, changed or deleted. */
  readonly subscriptions: readonly string[];
}

/**
 * Called inside apply, in log order. It must not throw and must not do more than note what changed
 * and wake somebody up: while it runs, the metadata group applies nothing.
 */
export type MetadataListener = (image: MetadataImage, delta: MetadataDelta) => void;

/** What an image is made of; the maps must not change afterwards. */
export type ImageParts = Omit<
  MetadataImage,
  | "topicNames"
  | "topicByName"
  | "partitionsOf"
  | "subscriptionByName"
  | "subscriptionsOf"
  | "topicsOf"
> & {
  readonly names: ReadonlyMap<string, TopicId>;
};

/** Holds the current image and tells listeners about new ones. */
export class MetadataView {
  #image: MetadataImage = createImage({
    version: 0,
    skips: [],
    featureLevel: 1,
    nextGroupId: 1 as GroupId,
    metadataVoters: METADATA_VOTERS_DEFAULT,
    nodes: new Map(),
    removedNodes: new Map(),
    topics: new Map(),
    partitions: new Map(),
    deletedTopics: new Map(),
    names: new Map(),
    subscriptions: SubscriptionIndex.EMPTY,
  });
  readonly #listeners = new Set<MetadataListener>();

  get image(): MetadataImage {
    return this.#image;
  }

  /** Calls `listener` for every later image. Returns how to stop that. */
  onChange(listener: MetadataListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called by the state only. */
  publish(image: MetadataImage, delta: MetadataDelta): void {
    this.#image = image;
    for (const listener of [...this.#listeners]) listener(image, delta);
  }
}

export function createImage(parts: ImageParts): MetadataImage {
  return new FrozenImage(parts);
}

class FrozenImage implements MetadataImage {
  readonly version: LogIndex;
  readonly skips: readonly RevisionSkip[];
  readonly featureLevel: number;
  readonly nextGroupId: GroupId;
  /** How many nodes shall vote in the metadata group, once there are so many. */
  readonly metadataVoters: number;
  readonly nodes: ReadonlyMap<NodeId, NodeRow>;
  /** Decommissioned, and not back with another directory. */
  readonly removedNodes: ReadonlyMap<NodeId, RemovedNodeRow>;
  readonly topics: ReadonlyMap<TopicId, TopicRow>;
  readonly partitions: ReadonlyMap<GroupId, PartitionRow>;
  readonly deletedTopics: ReadonlyMap<TopicId, DeletedTopicRow>;
  readonly subscriptions: SubscriptionIndex;
  readonly #names: ReadonlyMap<string, TopicId>;
  /** Sorted on first use: most images are replaced before anybody lists topics. */
  #sortedNames: readonly string[] | undefined;

  constructor(parts: ImageParts) {
    this.version = parts.version;
    this.skips = parts.skips;
    this.featureLevel = parts.featureLevel;
    this.nextGroupId = parts.nextGroupId;
    this.metadataVoters = parts.metadataVoters;
    this.nodes = parts.nodes;
    this.removedNodes = parts.removedNodes;
    this.topics = parts.topics;
    this.partitions = parts.partitions;
    this.deletedTopics = parts.deletedTopics;
    this.subscriptions = parts.subscriptions;
    this.#names = parts.names;
  }

  get topicNames(): readonly string[] {
    this.#sortedNames ??= [...this.#names.keys()].sort();
    return this.#sortedNames;
  }

  topicByName(name: string): TopicRow | undefined {
    const topicId = this.#names.get(name);
    return topicId === undefined ? undefined : this.topics.get(topicId);
  }

  partitionsOf(topicId: TopicId): readonly PartitionRow[] {
    const topic = this.topics.get(topicId);
    if (topic === undefined) return [];
    const rows: PartitionRow[] = [];
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const row = this.partitions.get((topic.firstGroupId + partition) as GroupId);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  subscriptionByName(name: string): SubscriptionRow | undefined {
    return this.subscriptions.byName(name);
  }

  subscriptionsOf(topicId: TopicId): readonly SubscriptionRow[] {
    const topic = this.topics.get(topicId);
    return topic === undefined ? [] : this.subscriptions.of(topic.name);
  }

  topicsOf(subscription: SubscriptionRow): readonly TopicRow[] {
    const { name, topics } = subscription.definition;
    const wants = this.subscriptions.testOf(subscription);
    const redriven = redriveTopicOf(name);
    const selection: TopicSelection =
      topics.kind === "names" ? { ...topics, names: [...topics.names, redriven] } : topics;
    return selectedTopics(this, selection, wants);
  }
}

/** The topic of a partition's group was deleted. One that the image does not know yet was not. */
export function isGroupDeleted(
  image: Pick<MetadataImage, "nextGroupId" | "partitions">,
  groupId: GroupId,
): boolean {
  const wasGivenOut = groupId !== METADATA_GROUP && groupId < image.nextGroupId;
  return wasGivenOut && !image.partitions.has(groupId);
}

/** Topics that a selection selects, in order of their names. @param wants the selection, compiled */
export function selectedTopics(
  image: Pick<MetadataImage, "topicNames" | "topicByName">,
  selection: TopicSelection,
  wants: TopicTest,
): readonly TopicRow[] {
  const candidates = selection.kind === "names" ? [...selection.names].sort() : image.topicNames;
  return candidates.flatMap((name) => {
    const topic = wants(name) ? image.topicByName(name) : undefined;
    return topic === undefined ? [] : [topic];
  });
}
