// Decides which decommissioned nodes are ready to be unregistered. Pure; the metadata leader asks in node-frontend.ts.
import { nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import type { UnregisterNode } from "./member-commands.ts";
import { partitionsLeft } from "./member-rules.ts";
import type { MetadataImage } from "./metadata-image.ts";

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
