// Decides how the members of a group change so that they follow the placement in the metadata: the
// way back after an emptied disk. Pure; membership-reconciler.ts runs it on the leader of the
// group.
import {
  NODE_ID_MAX,
  type NodeId,
  nodeOfReplica,
  type ReplicaId,
  replicaIdOf,
} from "../model/ids.ts";
import type { MetadataImage } from "./metadata-image.ts";
import type { LedMembership } from "./ports.ts";
import { type PartitionRow, replicaOfPlacement } from "./topic-table.ts";

/** Voters of the metadata group without an explicit change (architecture §7.10). */
export const METADATA_VOTERS_MAX = 3;

export interface MembershipTarget {
  readonly voters: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
}

/** The replicas that should vote and learn in the end. */
export type WantedMembers = MembershipTarget;

/** A partition's wanted members: all its placements vote. */
export function wantedOfPartition(row: PartitionRow): WantedMembers {
  return { voters: row.replicas.map(replicaOfPlacement), learners: [] };
}

/**
 * The metadata group's wanted members. A voter whose node came back with a new directory is wanted
 * in its new form; nodes that are not members yet become learners, or voters while there are fewer
 * than three of them.
 */
export function wantedOfMetadata(image: MetadataImage, current: LedMembership): WantedMembers {
  const renewed = (replicaId: ReplicaId): ReplicaId => {
    const node = image.nodes.get(nodeOfReplica(replicaId));
    return node === undefined ? replicaId : replicaIdOf(node.nodeId, node.metadataRevision);
  };
  const voters = [...new Set(current.voters.map(renewed))];
  const learners: ReplicaId[] = [];
  const voting = new Set<NodeId>(voters.map(nodeOfReplica));
  const known = new Set<NodeId>([...image.nodes.keys(), ...current.learners.map(nodeOfReplica)]);
  for (const nodeId of [...known].sort((a, b) => a - b)) {
    if (voting.has(nodeId) || nodeId > NODE_ID_MAX) continue;
    const node = image.nodes.get(nodeId);
    const former = current.learners.find((replica) => nodeOfReplica(replica) === nodeId);
    const replicaId = node === undefined ? former : replicaIdOf(nodeId, node.metadataRevision);
    if (replicaId === undefined) continue;
    if (voters.length < METADATA_VOTERS_MAX && node !== undefined) voters.push(replicaId);
    else learners.push(replicaId);
  }
  return { voters, learners };
}

/**
 * The next step towards the wanted members; undefined when nothing is to be done now.
 *
 * First every wanted replica that is no member joins as a learner. Once all wanted voters have
 * caught up, one change makes them voters and drops the rest. A voter is never dropped before its
 * successor has caught up: until then a dead replica costs redundancy, afterwards it costs nothing.
 */
export function nextMembership(
  current: LedMembership,
  wanted: WantedMembers,
): MembershipTarget | undefined {
  if (current.isChanging || wanted.voters.length === 0) return undefined;
  const members = new Set([...current.voters, ...current.learners]);
  const joining = [...wanted.voters, ...wanted.learners].filter((replica) => !members.has(replica));
  if (joining.length > 0) {
    return { voters: current.voters, learners: [...current.learners, ...joining] };
  }
  const isSame =
    sameSet(current.voters, wanted.voters) && sameSet(current.learners, wanted.learners);
  if (isSame) return undefined;
  const ready = new Set([...current.caughtUp, ...current.voters]);
  return wanted.voters.every((replica) => ready.has(replica)) ? wanted : undefined;
}

function sameSet(a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean {
  const set = new Set(a);
  return set.size === b.length && b.every((replica) => set.has(replica));
}
