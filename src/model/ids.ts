// Identities. Plain branded types: a TopicId cannot be passed where a NodeId is wanted.

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A broker process, stable for its life, 1 … NODE_ID_MAX. Never an address. */
export type NodeId = Brand<number, "NodeId">;
/** One replica of one raft group: (node, revision) in one number; never reused, so a re-created or wiped replica is new. */
export type ReplicaId = Brand<number, "ReplicaId">;
/** A raft group. 0 is the metadata group; partition groups count from 1 and are never reused. */
export type GroupId = Brand<number, "GroupId">;
/** UUID text of a topic; a topic created again under an old name has another one. */
export type TopicId = Brand<string, "TopicId">;
/** 0-based number of a partition within its topic. */
export type PartitionIndex = number;
/** Allocated by the metadata group in blocks, from 1; 0 means "no producer" (not idempotent). */
export type ProducerId = number;

export const METADATA_GROUP = 0 as GroupId;
/** Inclusive. ReplicaId packs the node below this. */
export const NODE_ID_MAX = 4095;

export function isNodeId(value: unknown): value is NodeId {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= NODE_ID_MAX;
}

/** The replica placed on `nodeId` by the metadata entry with index `revision` (0: by `cluster init`). */
export function replicaIdOf(nodeId: NodeId, revision: number): ReplicaId {
  return (revision * (NODE_ID_MAX + 1) + nodeId) as ReplicaId;
}

export function nodeOfReplica(replicaId: ReplicaId): NodeId {
  return (replicaId % (NODE_ID_MAX + 1)) as NodeId;
}

export function revisionOfReplica(replicaId: ReplicaId): number {
  return Math.floor(replicaId / (NODE_ID_MAX + 1));
}
