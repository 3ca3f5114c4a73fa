// Who of the metadata group's voters may still act, as far as a stopped broker's directory and the nodes that answer tell.
// For `unsafe-recover metadata`, which is refused where nothing has to be forced. Pure.
import { nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import type { Membership } from "../raft/messages.ts";
import { tallyVotes } from "../raft/quorum.ts";

export interface KnownVoters {
  /** The newest configuration in the directory's log, committed or not. */
  readonly membership: Membership;
  /** The replica in the directory. */
  readonly replicaId: ReplicaId;
}

/** With this directory's replica, those that answer are enough for every decision. */
export function quorumAnswers(known: KnownVoters, answering: readonly number[]): boolean {
  const isLeft = leftOf(known, answering);
  const ballot = { granted: true, recovering: false };
  return tallyVotes(known.membership, (id) => (isLeft(id) ? ballot : undefined)) === "won";
}

/** Nodes with a voter that is gone, ascending. */
export function lostVoters(known: KnownVoters, answering: readonly number[]): readonly number[] {
  const isLeft = leftOf(known, answering);
  return nodesOf(votersOf(known.membership).filter((id) => !isLeft(id)));
}

export function votingNodes({ membership }: KnownVoters): readonly number[] {
  return nodesOf(votersOf(membership));
}

/** Of a node that answers, the replica that was placed there last: the disk of an earlier one is gone for good. */
function leftOf(
  { membership, replicaId }: KnownVoters,
  answering: readonly number[],
): (id: ReplicaId) => boolean {
  const self = nodeOfReplica(replicaId);
  const newest = new Map<number, ReplicaId>();
  for (const id of [...votersOf(membership), ...membership.learners]) {
    const nodeId = nodeOfReplica(id);
    if (id > (newest.get(nodeId) ?? 0)) newest.set(nodeId, id);
  }
  return (id) => {
    const nodeId = nodeOfReplica(id);
    if (nodeId === self) return id === replicaId;
    return answering.includes(nodeId) && newest.get(nodeId) === id;
  };
}

/** Of both halves while the configuration is joint. */
function votersOf({ outgoing = [], voters }: Membership): readonly ReplicaId[] {
  return [...voters, ...outgoing];
}

function nodesOf(ids: readonly ReplicaId[]): readonly number[] {
  return [...new Set<number>(ids.map(nodeOfReplica))].sort((a, b) => a - b);
}
