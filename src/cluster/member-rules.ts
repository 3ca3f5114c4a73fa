// What the changes of members have in common: who may get replicas, what is placed where, how refusals read. Part of the
// metadata state; pure.
import type { NodeId, TopicId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";
import type { MetadataTable } from "./metadata-table.ts";
import type { NodeRow } from "./node-table.ts";
import type { PlacementCandidate } from "./placement-plan.ts";
import {
  type PartitionRow,
  placementsOf,
  type ReplicaPlacement,
  type TopicRow,
} from "./topic-table.ts";

/** A replica in the node's present directory. */
export function placeOn(
  table: MetadataTable,
  nodeId: NodeId,
  revision: LogIndex,
): ReplicaPlacement {
  return { nodeId, directoryId: table.nodes.get(nodeId)?.directoryId ?? "", revision };
}

/** Nodes that may get replicas – in service and not about to leave – with what is placed on them. */
export function placementCandidates(
  nodes: Iterable<NodeRow>,
  rows: Iterable<PartitionRow>,
): PlacementCandidate[] {
  const held = new Map<NodeId, { replicas: number; preferredLeaders: number }>();
  for (const node of nodes) {
    if (isInService(node)) held.set(node.nodeId, { replicas: 0, preferredLeaders: 0 });
  }
  for (const row of rows) {
    for (const [place, { nodeId }] of row.replicas.entries()) {
      const load = held.get(nodeId);
      if (load === undefined) continue;
      load.replicas += 1;
      if (place === 0) load.preferredLeaders += 1;
    }
  }
  return [...held].map(([nodeId, load]) => ({ nodeId, ...load }));
}

/** It may get replicas and leaderships. */
export function isInService(node: NodeRow | undefined): boolean {
  return node !== undefined && !node.fenced && node.decommission === undefined;
}

/** A node with replicas that are wanted, or were and are still needed, or that cannot be told yet. */
export function partitionsLeft(rows: Iterable<PartitionRow>, nodeId: NodeId): number {
  let left = 0;
  for (const row of rows) if (placementsOf(row).some((place) => place.nodeId === nodeId)) left += 1;
  return left;
}

/** As many as the topic was created with; fewer are placed while there are no nodes for them. */
export function wantedReplicas(
  topics: ReadonlyMap<TopicId, TopicRow>,
  { topicId }: PartitionRow,
): number {
  return topics.get(topicId)?.replicationFactor ?? 0;
}

export function unknownPartition(groupId: number): MetadataReply {
  return refused("UNKNOWN_TOPIC_OR_PARTITION", "the partition is not in the metadata", { groupId });
}

export function badNode(field: string, nodeId: NodeId | 0, problem: string): MetadataReply {
  return refused("INVALID_REQUEST", `node ${nodeId} ${problem}`, { field, nodeId });
}
