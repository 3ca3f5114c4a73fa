// All rows of the metadata state: kept in memory, written as pairs of the keyed store, shown to
// others as images. What may change and why is decided in metadata-state.ts; here every change is
// noted once for the store, the image and its listeners. Pure.
import { type KeyedWrite, StorageError } from "../log/ports.ts";
import type { GroupId, NodeId, ProducerId, TopicId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import {
  createImage,
  METADATA_VOTERS_DEFAULT,
  type MetadataDelta,
  type MetadataView,
} from "./metadata-image.ts";
import { type NodeRow, type RemovedNodeRow, removedNode } from "./node-table.ts";
import type { ProducerRow } from "./producer-table.ts";
import { decodeRow, encodeRow } from "./record-codec.ts";
import { type RevisionSkip, revisionOfEntry } from "./revisions.ts";
import { SubscriptionIndex } from "./subscription-index.ts";
import { SubscriptionTable } from "./subscription-table.ts";
import {
  type DeletedTopicRow,
  type PartitionRow,
  type TopicRow,
  TopicTable,
} from "./topic-table.ts";

/** Counters and levels. */
export interface MetaRow {
  /** Never reused, so a deleted topic's groups are never mistaken for new ones. */
  readonly nextGroupId: GroupId;
  /** Always even: ids are given out in pairs, and partitions take odd ones for weak (no gap is noticed then). */
  readonly nextProducerId: ProducerId;
  readonly featureLevel: number;
  /** How many nodes shall vote in the metadata group; absent: METADATA_VOTERS_DEFAULT. */
  readonly metadataVoters?: number;
  /** Revision of the newest entry that changed any row; 0: none did. */
  readonly changedIndex: LogIndex;
  /** Revisions that recoveries left out, oldest first; absent: none did. */
  readonly skips?: readonly RevisionSkip[];
}

const FIRST_META: MetaRow = {
  nextGroupId: 1 as GroupId,
  nextProducerId: 2,
  featureLevel: 1,
  changedIndex: 0,
};

/** What one command did so far: the rows to write and what listeners will be told. */
export interface Change {
  /** The entry's revision: its index in the log, beyond what recoveries skipped. */
  index: LogIndex;
  readonly writes: KeyedWrite[];
  readonly nodes: NodeId[];
  readonly topics: TopicId[];
  readonly groups: GroupId[];
  readonly deletedTopics: TopicId[];
  readonly subscriptions: string[];
}

export class MetadataTable {
  readonly #view: MetadataView;
  readonly nodes: Map<NodeId, NodeRow> = new Map();
  readonly removedNodes: Map<NodeId, RemovedNodeRow> = new Map();
  readonly topics: TopicTable = new TopicTable();
  readonly producers: Map<string, ProducerRow> = new Map();
  readonly subscriptions: SubscriptionTable = new SubscriptionTable();
  #meta: MetaRow = FIRST_META;
  /** Shared between images like their other tables. */
  #names: ReadonlyMap<string, TopicId> = new Map();

  constructor(view: MetadataView) {
    this.#view = view;
  }

  get meta(): MetaRow {
    return this.#meta;
  }

  begin(index: LogIndex): Change {
    return { index: revisionOfEntry(index, this.#meta.skips), writes: [], ...noChange() };
  }

  /** This change and all later ones give revisions from `revision` on. */
  skipTo(change: Change, revision: LogIndex): void {
    if (revision === change.index) return;
    const skips = [...(this.#meta.skips ?? []), { from: change.index, to: revision }];
    change.index = revision;
    this.putMeta(change, { skips });
  }

  /** Publishes a change; one that wrote nothing leaves the image as it is. */
  commit(change: Change): void {
    if (change.writes.length === 0) return;
    this.putMeta(change, { changedIndex: change.index });
    this.#publish({ ...change, isReset: false });
  }

  putMeta(change: Change, fields: Partial<MetaRow>): void {
    this.#meta = { ...this.#meta, ...fields };
    change.writes.push({ type: "put", key: META_KEY, value: encodeRow(this.#meta) });
  }

  putNode(change: Change, row: NodeRow): void {
    this.nodes.set(row.nodeId, row);
    change.writes.push({ type: "put", key: nodeKey(row.nodeId), value: encodeRow(row) });
    change.nodes.push(row.nodeId);
    if (!this.removedNodes.delete(row.nodeId)) return;
    change.writes.push({ type: "delete", key: removedKey(row.nodeId) });
  }

  /** Takes a node out and leaves a row that keeps its directories from coming back. */
  removeNode(change: Change, node: NodeRow): void {
    const removed = removedNode(node, change.index);
    this.nodes.delete(node.nodeId);
    this.removedNodes.set(node.nodeId, removed);
    change.writes.push({ type: "delete", key: nodeKey(node.nodeId) });
    change.writes.push({ type: "put", key: removedKey(node.nodeId), value: encodeRow(removed) });
    change.nodes.push(node.nodeId);
  }

  putTopic(change: Change, row: TopicRow): void {
    this.topics.putTopic(row);
    change.writes.push({ type: "put", key: topicKey(row.topicId), value: encodeRow(row) });
    change.topics.push(row.topicId);
  }

  putPartition(change: Change, row: PartitionRow): void {
    this.topics.putPartition(row);
    change.writes.push({ type: "put", key: partitionKey(row.groupId), value: encodeRow(row) });
    change.groups.push(row.groupId);
  }

  putProducer(change: Change, row: ProducerRow): void {
    this.producers.set(row.name, row);
    change.writes.push({ type: "put", key: producerKey(row.name), value: encodeRow(row) });
  }

  putSubscription(change: Change, row: SubscriptionRow): void {
    this.subscriptions.put(row);
    const key = subscriptionKey(row.subscriptionId);
    change.writes.push({ type: "put", key, value: encodeRow(row) });
    change.subscriptions.push(row.subscriptionId);
  }

  removeSubscription(change: Change, row: SubscriptionRow): void {
    this.subscriptions.remove(row);
    change.writes.push({ type: "delete", key: subscriptionKey(row.subscriptionId) });
    change.subscriptions.push(row.subscriptionId);
  }

  /** Takes a topic with its partitions out and leaves a row that says so. */
  removeTopic(change: Change, topic: TopicRow): void {
    const { firstGroupId, name, partitions, topicId } = topic;
    const deleted = { topicId, name, firstGroupId, partitions, deletedIndex: change.index };
    for (const { groupId } of this.topics.partitionsOf(topic)) {
      change.writes.push({ type: "delete", key: partitionKey(groupId) });
      change.groups.push(groupId);
    }
    this.topics.removeTopic(topic, deleted);
    change.writes.push({ type: "delete", key: topicKey(topicId) });
    change.writes.push({ type: "put", key: deletedKey(topicId), value: encodeRow(deleted) });
    change.deletedTopics.push(topicId);
  }

  /** Forgets the oldest deletions until at most `countMax` are left. */
  trimDeleted(change: Change, countMax: number): void {
    for (const topicId of this.topics.deleted.keys()) {
      if (this.topics.deleted.size <= countMax) return;
      this.topics.deleted.delete(topicId);
      change.writes.push({ type: "delete", key: deletedKey(topicId) });
    }
  }

  /** All rows, complete when it returns: later changes do not show in it. */
  pairs(): readonly (readonly [string, Uint8Array])[] {
    if (this.#meta.changedIndex === 0) return [];
    const pairs: (readonly [string, Uint8Array])[] = [[META_KEY, encodeRow(this.#meta)]];
    for (const row of this.nodes.values()) pairs.push([nodeKey(row.nodeId), encodeRow(row)]);
    for (const row of this.removedNodes.values()) {
      pairs.push([removedKey(row.nodeId), encodeRow(row)]);
    }
    for (const row of this.topics.topics.values()) {
      pairs.push([topicKey(row.topicId), encodeRow(row)]);
    }
    for (const row of this.topics.partitions.values()) {
      pairs.push([partitionKey(row.groupId), encodeRow(row)]);
    }
    for (const row of this.topics.deleted.values()) {
      pairs.push([deletedKey(row.topicId), encodeRow(row)]);
    }
    for (const row of this.producers.values()) pairs.push([producerKey(row.name), encodeRow(row)]);
    for (const row of this.subscriptions.rows.values()) {
      pairs.push([subscriptionKey(row.subscriptionId), encodeRow(row)]);
    }
    return pairs;
  }

  /** @throws StorageError "corrupt" | "version" for rows that this software cannot read */
  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.#meta = FIRST_META;
    this.nodes.clear();
    this.removedNodes.clear();
    this.topics.clear();
    this.producers.clear();
    this.subscriptions.clear();
    const deleted: DeletedTopicRow[] = [];
    for (const [key, bytes] of pairs) this.#restoreRow(key, bytes, deleted);
    deleted.sort((a, b) => a.deletedIndex - b.deletedIndex);
    for (const row of deleted) this.topics.deleted.set(row.topicId, row);
    this.#publish({ isReset: true, ...noChange() });
  }

  #restoreRow(key: string, bytes: Uint8Array, deleted: DeletedTopicRow[]): void {
    const slash = key.indexOf("/");
    const table = slash < 0 ? key : key.slice(0, slash);
    switch (table) {
      case META_KEY:
        this.#meta = decodeRow<MetaRow>(key, bytes);
        return;
      case "node": {
        const row = decodeRow<NodeRow>(key, bytes);
        this.nodes.set(row.nodeId, row);
        return;
      }
      case "removed": {
        const row = decodeRow<RemovedNodeRow>(key, bytes);
        this.removedNodes.set(row.nodeId, row);
        return;
      }
      case "topic":
        this.topics.putTopic(decodeRow<TopicRow>(key, bytes));
        return;
      case "partition":
        this.topics.putPartition(decodeRow<PartitionRow>(key, bytes));
        return;
      case "deleted":
        deleted.push(decodeRow<DeletedTopicRow>(key, bytes));
        return;
      case "producer": {
        const row = decodeRow<ProducerRow>(key, bytes);
        this.producers.set(row.name, row);
        return;
      }
      case "subscription":
        this.subscriptions.put(decodeRow<SubscriptionRow>(key, bytes));
        return;
      default:
        throw new StorageError("version", key, "unknown metadata table");
    }
  }

  #subscriptionIndex(delta: MetadataDelta): SubscriptionIndex {
    const { rows } = this.subscriptions;
    if (delta.isReset) return SubscriptionIndex.EMPTY.with(rows);
    const { subscriptions: before } = this.#view.image;
    if (delta.subscriptions.length === 0) return before;
    return before.with(delta.subscriptions.map((id) => [id, rows.get(id)] as const));
  }

  #publish(delta: MetadataDelta): void {
    const before = this.#view.image;
    const changed = (list: readonly unknown[]): boolean => delta.isReset || list.length > 0;
    const topicsChanged = changed(delta.topics) || delta.deletedTopics.length > 0;
    const { topics } = this;
    // Tables that did not change are shared between images: only the touched ones are copied.
    if (topicsChanged) this.#names = new Map(topics.names);
    const image = createImage({
      version: this.#meta.changedIndex,
      featureLevel: this.#meta.featureLevel,
      nextGroupId: this.#meta.nextGroupId,
      metadataVoters: this.#meta.metadataVoters ?? METADATA_VOTERS_DEFAULT,
      nodes: changed(delta.nodes) ? new Map(this.nodes) : before.nodes,
      removedNodes: changed(delta.nodes) ? new Map(this.removedNodes) : before.removedNodes,
      topics: topicsChanged ? new Map(topics.topics) : before.topics,
      partitions: changed(delta.groups) ? new Map(topics.partitions) : before.partitions,
      deletedTopics: topicsChanged ? new Map(topics.deleted) : before.deletedTopics,
      names: this.#names,
      skips: this.#meta.skips ?? [],
      subscriptions: this.#subscriptionIndex(delta),
    });
    for (const topicId of delta.deletedTopics) {
      image.subscriptions.forget(topics.deleted.get(topicId)?.name ?? "");
    }
    const { isReset, nodes, groups, deletedTopics, subscriptions } = delta;
    this.#view.publish(image, {
      isReset,
      nodes,
      topics: delta.topics,
      groups,
      deletedTopics,
      subscriptions,
    });
  }
}

const META_KEY = "meta";

function noChange(): Omit<Change, "index" | "writes"> {
  return { nodes: [], topics: [], groups: [], deletedTopics: [], subscriptions: [] };
}

function nodeKey(nodeId: NodeId): string {
  return `node/${nodeId}`;
}

function removedKey(nodeId: NodeId): string {
  return `removed/${nodeId}`;
}

function topicKey(topicId: TopicId): string {
  return `topic/${topicId}`;
}

function partitionKey(groupId: GroupId): string {
  return `partition/${groupId}`;
}

function deletedKey(topicId: TopicId): string {
  return `deleted/${topicId}`;
}

function producerKey(name: string): string {
  return `producer/${name}`;
}

function subscriptionKey(subscriptionId: string): string {
  return `subscription/${subscriptionId}`;
}
