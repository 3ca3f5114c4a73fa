// Rows of topics, partitions and deleted topics, with their indexes by name and by group. Part of
// the metadata state; pure. What may change and why is decided in metadata-state.ts; this table
// keeps rows and indexes consistent.
import { assert } from "../base/assert.ts";
import {
  type GroupId,
  type NodeId,
  type PartitionIndex,
  type ReplicaId,
  replicaIdOf,
  type TopicId,
} from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { SlotLayout } from "../model/slots.ts";

/** A topic. */
export interface TopicRow {
  readonly topicId: TopicId;
  readonly name: string;
  /** Index of the entry that created it. */
  readonly createdIndex: LogIndex;
  /** Index of the entry that last changed it. */
  readonly changedIndex: LogIndex;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** As given, defaults left out. */
  readonly settings: Readonly<Record<string, string>>;
  /** Partition p is group firstGroupId + p. */
  readonly firstGroupId: GroupId;
  /** How a key becomes a slot; fixed for the topic's life. */
  readonly keyHash: string;
  readonly layout: SlotLayout;
  /** Former layouts, oldest first. Empty until partitions can be added. */
  readonly layoutHistory: readonly SlotLayout[];
}

/**
 * One replica's place: a node, the data directory it was placed in, and the entry that placed it.
 */
export interface ReplicaPlacement {
  readonly nodeId: NodeId;
  readonly directoryId: string;
  /** Index of the placing entry; with the node it makes the replica id (ADR-0004). */
  readonly revision: number;
}

/** A change of a partition's placement that its group has not confirmed yet. */
export interface ReplicaChange {
  /** The entry that began it, changed its aim or turned it round; names it. */
  readonly index: LogIndex;
  /** The placement before: what a cancellation goes back to. Each is among the wanted or the leaving ones. */
  readonly previous: readonly ReplicaPlacement[];
  /** Not wanted (any more), but perhaps still members: they stay on their nodes until the group has let go of them. */
  readonly leaving: readonly ReplicaPlacement[];
  /** The node whose decommissioning caused it; 0: a move by command. */
  readonly cause: NodeId | 0;
  /** It was cancelled: the group goes back to `previous`. */
  readonly isCancelled: boolean;
}

/** A partition. */
export interface PartitionRow {
  readonly groupId: GroupId;
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  /** Wanted replicas, preferred leader first. The group's own membership follows it. */
  readonly replicas: readonly ReplicaPlacement[];
  /**
   * Voters with which the group began. Never changes: every founder starts from the same
   * configuration.
   */
  readonly founders: readonly ReplicaId[];
  /** Absent: the group follows `replicas`. */
  readonly change?: ReplicaChange;
  /** It lost its majority once and went on from one survivor; absent: never. */
  readonly recovery?: Recovery;
}

/** The newest forced recovery of a group. */
export interface Recovery {
  /** The entry that ordered it: the survivor's new revision. */
  readonly index: LogIndex;
  /** The survivor's id before. */
  readonly from: ReplicaId;
}

/** A deleted topic: the only thing that allows a node to remove its groups. */
export interface DeletedTopicRow {
  readonly topicId: TopicId;
  readonly name: string;
  readonly firstGroupId: GroupId;
  readonly partitions: number;
  readonly deletedIndex: LogIndex;
}

/** The replica that a placement names. */
export function replicaOfPlacement(placement: ReplicaPlacement): ReplicaId {
  return replicaIdOf(placement.nodeId, placement.revision);
}

/** Every placement whose replica may still be needed: the wanted ones, and the leaving ones while a change is under way. */
export function placementsOf(row: PartitionRow): readonly ReplicaPlacement[] {
  return row.change === undefined ? row.replicas : [...row.replicas, ...row.change.leaving];
}

/** The row with another aim; `previous` stays that of the change under way, if any. */
export function aimedAt(
  row: PartitionRow,
  replicas: readonly ReplicaPlacement[],
  change: Pick<ReplicaChange, "index" | "cause" | "isCancelled">,
): PartitionRow {
  const wanted = new Set(replicas.map(replicaOfPlacement));
  const leaving = placementsOf(row).filter((place) => !wanted.has(replicaOfPlacement(place)));
  const previous = row.change?.previous ?? row.replicas;
  return { ...row, replicas, change: { ...change, previous, leaving } };
}

/** The row with each placement as `renewed` says, in all its parts. */
export function withPlacements(
  row: PartitionRow,
  renewed: (place: ReplicaPlacement) => ReplicaPlacement,
): PartitionRow {
  const replicas = row.replicas.map(renewed);
  if (row.change === undefined) return { ...row, replicas };
  const { leaving, previous } = row.change;
  const change = { ...row.change, previous: previous.map(renewed), leaving: leaving.map(renewed) };
  return { ...row, replicas, change };
}

/** True when the group was a partition of this deleted topic. */
export function wasGroupOf(deleted: DeletedTopicRow, groupId: GroupId): boolean {
  return groupId >= deleted.firstGroupId && groupId < deleted.firstGroupId + deleted.partitions;
}

/** Topics and partitions. Mutable; readers outside the state get a MetadataImage. */
export class TopicTable {
  readonly topics: Map<TopicId, TopicRow> = new Map();
  readonly names: Map<string, TopicId> = new Map();
  readonly partitions: Map<GroupId, PartitionRow> = new Map();
  /** In order of deletion. */
  readonly deleted: Map<TopicId, DeletedTopicRow> = new Map();

  /** Puts a topic's row in; its name must be free or its own. */
  putTopic(row: TopicRow): void {
    const holder = this.names.get(row.name);
    assert(holder === undefined || holder === row.topicId, "topic name taken", { name: row.name });
    this.topics.set(row.topicId, row);
    this.names.set(row.name, row.topicId);
  }

  putPartition(row: PartitionRow): void {
    this.partitions.set(row.groupId, row);
  }

  /** Partition rows of a topic, by number. */
  partitionsOf(topic: TopicRow): readonly PartitionRow[] {
    return Array.from({ length: topic.partitions }, (_, partition) => {
      const row = this.partitions.get((topic.firstGroupId + partition) as GroupId);
      assert(row !== undefined, "topic without its partition", { name: topic.name, partition });
      return row;
    });
  }

  /** Takes a topic and its partitions out and remembers that it was deleted. */
  removeTopic(topic: TopicRow, deleted: DeletedTopicRow): void {
    for (const row of this.partitionsOf(topic)) this.partitions.delete(row.groupId);
    this.topics.delete(topic.topicId);
    this.names.delete(topic.name);
    this.deleted.set(deleted.topicId, deleted);
  }

  clear(): void {
    this.topics.clear();
    this.names.clear();
    this.partitions.clear();
    this.deleted.clear();
  }
}
