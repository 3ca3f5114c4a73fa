// Decides which decommissioned nodes are ready to be unregistered, and which still hold what nobody moves. Pure; the metadata
// leader asks in node-frontend.ts, the metadata state at apply.
import { nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import type { ContinueDecommission, UnregisterNode } from "./member-commands.ts";
import { partitionsLeft, placementCandidates } from "./member-rules.ts";
import type { MetadataImage } from "./metadata-image.ts";
import type { NodeRow } from "./node-table.ts";
import { type PlannedMove, planReplacements } from "./replacement-plan.ts";
import type { PartitionRow } from "./topic-table.ts";

/**
 * Nodes that hold nothing any more: no placement that is wanted or leaving, and no vote in the metadata group.
 *
 * @param metadataVoters of the configuration in force, of both halves while it is joint
 */
export function planRemovals(
  image: MetadataImage,
  metadataVoters: readonly ReplicaId[],
): readonly UnregisterNode[] {
  const voting = new Set(metadataVoters.map(nodeOfReplica));
  const commands: UnregisterNode[] = [];
  for (const { decommission, nodeId } of image.nodes.values()) {
    if (decommission === undefined || voting.has(nodeId)) continue;
    if (partitionsLeft(image.partitions.values(), nodeId) > 0) continue;
    commands.push({ type: "unregister-node", nodeId, decommissionIndex: decommission.index });
  }
  return commands;
}

/** Decommissionings that have stopped short although there are nodes for what is left. */
export function planContinuations(image: MetadataImage): readonly ContinueDecommission[] {
  const commands: ContinueDecommission[] = [];
  for (const node of image.nodes.values()) {
    const { decommission, nodeId } = node;
    if (decommission === undefined) continue;
    if (planRest(image.nodes.values(), image.partitions.values(), node).length === 0) continue;
    const decommissionIndex = decommission.index;
    commands.push({ type: "continue-decommission", nodeId, decommissionIndex });
  }
  return commands;
}

/** Moves for the settled partitions that want a replica on a leaving node, as far as others can take them. */
export function planRest(
  nodes: Iterable<NodeRow>,
  partitions: Iterable<PartitionRow>,
  { decommission, nodeId }: NodeRow,
): readonly PlannedMove[] {
  const rows = [...partitions];
  const candidates = placementCandidates(nodes, rows);
  const movable = rows.filter(({ change, replicas }) => {
    const holders = new Set(replicas.map((place) => place.nodeId));
    const isHere = change === undefined && holders.has(nodeId);
    return isHere && candidates.some((other) => !holders.has(other.nodeId));
  });
  const plan = planReplacements(movable, candidates, nodeId, decommission?.successor ?? 0);
  return "moves" in plan ? plan.moves : [];
}
