// Compares what the metadata wants on this node with what the node holds, and says what to do.
// Pure; replica-reconciler.ts carries it out. Missing metadata is never a reason to remove
// anything.
import {
  type GroupId,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
  replicaIdOf,
  revisionOfReplica,
  type TopicId,
} from "../model/ids.ts";
import type { MetadataImage } from "./metadata-image.ts";
import type { LocalGroup, PartitionAssignment } from "./ports.ts";
import { isSkipped } from "./revisions.ts";
import {
  type PartitionRow,
  placementsOf,
  replicaOfPlacement,
  type TopicRow,
  wasGroupOf,
} from "./topic-table.ts";

export interface ReconcilePlan {
  /** To be opened (a new replica, or one from disk that is not open yet). */
  readonly open: readonly PartitionAssignment[];
  /** Open, but the topic's settings or layout changed since. */
  readonly update: readonly PartitionAssignment[];
  /** The replica on disk that survived its group goes on under the assignment's id. */
  readonly succeed: readonly {
    readonly assignment: PartitionAssignment;
    readonly from: ReplicaId;
  }[];
  /** Their topic was deleted, or their placement ended, by a committed command. */
  readonly remove: readonly GroupId[];
  /** Held, but not wanted and not known to be deleted: kept untouched, reported. */
  readonly orphans: readonly LocalGroup[];
}

/** This node, in its present directory. */
interface Self {
  readonly nodeId: NodeId;
  readonly directoryId: string;
}

/** Changes whenever an open replica must be told something new. */
export function revisionOf(assignment: PartitionAssignment, image: MetadataImage): number {
  return image.topics.get(assignment.topicId)?.changedIndex ?? 0;
}

/**
 * Plans one round.
 *
 * @param opened groups that were opened in this run of the process, with {@link revisionOf} at that
 * time
 */
export function planReconciliation(
  image: MetadataImage,
  self: Self,
  local: readonly LocalGroup[],
  opened: ReadonlyMap<GroupId, number>,
): ReconcilePlan {
  const open: PartitionAssignment[] = [];
  const update: PartitionAssignment[] = [];
  const succeed: ReconcilePlan["succeed"][number][] = [];
  const held = new Map(local.map((group) => [group.groupId, group]));
  const wanted = new Set<GroupId>();
  for (const row of image.partitions.values()) {
    const assignment = assignmentOf(image, row, self);
    if (assignment === undefined) continue;
    const existing = held.get(row.groupId);
    if (existing !== undefined && isOfAnotherTopic(existing, row.topicId)) continue;
    if (isSurvivor(row, assignment) && existing?.replicaId !== assignment.replicaId) {
      const from = row.recovery?.from;
      if (from === undefined || existing?.replicaId !== from) continue;
      wanted.add(row.groupId);
      succeed.push({ assignment, from });
      continue;
    }
    // Another replica of the group on this disk goes first when its placement has ended; else it is somebody's former
    // self: it is reported, not overwritten.
    if (existing !== undefined && existing.replicaId !== assignment.replicaId) continue;
    wanted.add(row.groupId);
    const revision = opened.get(row.groupId);
    if (revision === undefined) open.push(assignment);
    else if (revision !== revisionOf(assignment, image)) update.push(assignment);
  }
  const remove: GroupId[] = [];
  const orphans: LocalGroup[] = [];
  for (const group of local) {
    if (wanted.has(group.groupId)) continue;
    if (isDeleted(image, group) || isEnded(image, self, group)) remove.push(group.groupId);
    else orphans.push(group);
  }
  return { open, update, succeed, remove, orphans };
}

/** It was placed by the order to go on from a survivor, on the survivor's node: never made anew, an empty one knows nothing. */
function isSurvivor({ recovery }: PartitionRow, { replicaId }: PartitionAssignment): boolean {
  if (recovery === undefined) return false;
  return replicaId === replicaIdOf(nodeOfReplica(recovery.from), recovery.index);
}

/**
 * What this node shall run of a partition; undefined when no replica is placed in its present
 * directory.
 */
function assignmentOf(
  image: MetadataImage,
  row: PartitionRow,
  self: Self,
): PartitionAssignment | undefined {
  const own = placementsOf(row).find(
    (replica) => replica.nodeId === self.nodeId && replica.directoryId === self.directoryId,
  );
  const topic: TopicRow | undefined = image.topics.get(row.topicId);
  const preferred = row.replicas[0];
  if (own === undefined || topic === undefined || preferred === undefined) return undefined;
  return {
    groupId: row.groupId,
    topicId: topic.topicId,
    topicName: topic.name,
    partition: row.partition,
    replicaId: replicaOfPlacement(own),
    founders: row.founders,
    preferredLeader: preferred.nodeId,
    layout: topic.layout,
    settings: topic.settings,
  };
}

/** Only a committed deletion of the very topic that the group belongs to counts. */
function isDeleted(image: MetadataImage, group: LocalGroup): boolean {
  if (image.partitions.has(group.groupId)) return false;
  for (const deleted of image.deletedTopics.values()) {
    if (!wasGroupOf(deleted, group.groupId)) continue;
    return !isOfAnotherTopic(group, deleted.topicId);
  }
  return false;
}

function isOfAnotherTopic(group: LocalGroup, topicId: TopicId): boolean {
  return group.topicId !== undefined && group.topicId !== topicId;
}

/**
 * The replica's placement was ended by a committed command: the partition's row is there, it is of a time after the
 * replica was placed, and it names the replica neither as wanted nor as leaving. The group itself has let go of it
 * before (finish-move). What an entry placed that the metadata lost was not ended by anybody, whatever the row says, until
 * another replica is placed here after that: it could not be opened beside it.
 */
function isEnded(image: MetadataImage, self: Self, group: LocalGroup): boolean {
  const row = image.partitions.get(group.groupId);
  const revision = revisionOfReplica(group.replicaId);
  // A copy that is behind may not know of the placement yet.
  if (row === undefined || revision > image.version) return false;
  if (isOfAnotherTopic(group, row.topicId)) return false;
  if (isSkipped(revision, image.skips)) {
    const placed = assignmentOf(image, row, self);
    return placed !== undefined && revisionOfReplica(placed.replicaId) > revision;
  }
  return placementsOf(row).every((place) => replicaOfPlacement(place) !== group.replicaId);
}
