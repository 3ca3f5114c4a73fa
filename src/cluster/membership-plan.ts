// Decides how the members of a group change so that they follow the placement in the metadata. Pure;
// membership-reconciler.ts carries it out on the leader of the group.
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

/** Voters of the metadata group when a cluster is founded (architecture §7.10). */
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
 * The metadata group's wanted members: all nodes vote up to three, then three or, by explicit command, five; the others
 * learn. A voter whose node came back with a new directory is wanted in its new form; one that is about to leave
 * gives its vote to another node and learns until it is unregistered. Nobody loses a vote because it is silent.
 */
export function wantedOfMetadata(image: MetadataImage, current: LedMembership): WantedMembers {
  const isLeaving = (id: NodeId): boolean => image.nodes.get(id)?.decommission !== undefined;
  const members = [...current.voters, ...current.learners].filter(
    (replica) => !image.removedNodes.has(nodeOfReplica(replica)),
  );
  const known = new Map<NodeId, ReplicaId>();
  for (const replica of members) known.set(nodeOfReplica(replica), replica);
  for (const node of image.nodes.values()) {
    if (node.nodeId > NODE_ID_MAX) continue;
    known.set(node.nodeId, replicaIdOf(node.nodeId, node.metadataRevision));
  }
  const voting = new Set(current.voters.map(nodeOfReplica));
  const isFenced = (id: NodeId): boolean => image.nodes.get(id)?.fenced !== false;
  const leader = nodeOfReplica(current.self);
  // The leader, then present voters, then those in service, then the lowest ids.
  const rank = (id: NodeId): number =>
    (id === leader ? 0 : 4) + (voting.has(id) ? 0 : 2) + (isFenced(id) ? 1 : 0);
  const eligible = [...known.keys()]
    .filter((id) => !isLeaving(id) && (voting.has(id) || image.nodes.has(id)))
    .sort((a, b) => rank(a) - rank(b) || a - b);
  const chosen = new Set(eligible.slice(0, seatsOf(eligible.length, image.metadataVoters)));
  const ids = [...known].sort(([a], [b]) => a - b);
  return {
    voters: ids.filter(([id]) => chosen.has(id)).map(([, replica]) => replica),
    learners: ids.filter(([id]) => !chosen.has(id)).map(([, replica]) => replica),
  };
}

/** An odd number as soon as there are three. */
function seatsOf(nodes: number, wanted: number): number {
  if (nodes >= wanted) return wanted;
  return Math.min(nodes, METADATA_VOTERS_MAX);
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
  if (isSameMembership(current, wanted)) return undefined;
  const ready = new Set([...current.caughtUp, ...current.voters]);
  return wanted.voters.every((replica) => ready.has(replica)) ? wanted : undefined;
}

/** Somebody joins with this step, and will have to catch up. */
export function isJoining(current: LedMembership, target: MembershipTarget): boolean {
  const members = new Set([...current.voters, ...current.learners]);
  return [...target.voters, ...target.learners].some((replica) => !members.has(replica));
}

/**
 * Who leads on when the leader itself is to lose its vote: the first wanted voter that votes already and holds nearly
 * everything. Handing over first costs a moment; waiting for the removal to be known costs an election.
 */
export function heirOf(current: LedMembership, target: MembershipTarget): NodeId | undefined {
  if (target.voters.includes(current.self)) return undefined;
  const heir = target.voters.find(
    (replica) => current.voters.includes(replica) && current.caughtUp.includes(replica),
  );
  return heir === undefined ? undefined : nodeOfReplica(heir);
}

export function isSameMembership(a: MembershipTarget, b: MembershipTarget): boolean {
  return sameSet(a.voters, b.voters) && sameSet(a.learners, b.learners);
}

function sameSet(a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean {
  const set = new Set(a);
  return set.size === b.length && b.every((replica) => set.has(replica));
}
