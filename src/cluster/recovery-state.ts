// What the orders of a forced recovery do to the metadata: a group that lost its majority for good goes on from one
// survivor, under new replica ids. Part of the metadata state, called by member-state.ts; pure and deterministic.
import type { GroupId } from "../model/ids.ts";
import type { RecoverGroup, RecoverMetadata } from "./member-commands.ts";
import {
  badNode,
  placementCandidates,
  placeOn,
  unknownPartition,
  wantedReplicas,
} from "./member-rules.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";
import type { Change, MetadataTable } from "./metadata-table.ts";
import { placementsOf, replicaOfPlacement } from "./topic-table.ts";

/** More than any survivor lacks. Part of the replicated rules: changing them needs a feature level. */
const GROUP_IDS_SKIPPED = 1_000_000;
/** Even, as the counter itself. */
const PRODUCER_IDS_SKIPPED = 1_000_000_000;
/** Per name; the batch header has room for thirty such recoveries, then a name gets new ids. */
const PRODUCER_EPOCHS_SKIPPED = 1000;

/**
 * The survivor gets a new id in its place, and as many fresh replicas beside it as nodes are in service, up to what the
 * topic wants. All former ones are given up: whoever of them comes back is nobody's member.
 */
export function recoverGroup(
  table: MetadataTable,
  { groupId, nodeId, replicaId }: RecoverGroup,
  change: Change,
): MetadataReply {
  const row = table.topics.partitions.get(groupId);
  if (row === undefined) return unknownPartition(groupId);
  if (row.recovery?.from === replicaId) return { ok: { changed: false } };
  const survivor = placementsOf(row).find((place) => replicaOfPlacement(place) === replicaId);
  const directoryId = table.nodes.get(nodeId)?.directoryId;
  if (survivor?.nodeId !== nodeId || survivor.directoryId !== directoryId) {
    return badNode("nodeId", nodeId, "does not hold that replica of the partition any more");
  }
  const beside = placementCandidates(table.nodes.values(), table.topics.partitions.values())
    .filter((other) => other.nodeId !== nodeId)
    .sort((a, b) => a.replicas - b.replicas || a.nodeId - b.nodeId)
    .slice(0, Math.max(0, wantedReplicas(table.topics.topics, row) - 1));
  const replicas = [nodeId, ...beside.map((other) => other.nodeId)].map((id) =>
    placeOn(table, id, change.index),
  );
  const { index } = change;
  table.putPartition(change, {
    ...row,
    replicas,
    recovery: { index, from: replicaId },
    // Nothing to go back to: a cancellation changes nothing.
    change: { index, previous: replicas, leaving: [], cause: 0, isCancelled: true },
  });
  return { ok: { changed: true, replicas: replicas.length, index } };
}

/**
 * Nodes that find another revision than their own when they register give their metadata replica up. The entries that the
 * survivor lacks have given ids to somebody: none of them is given again.
 */
export function recoverMetadata(
  table: MetadataTable,
  { revision }: RecoverMetadata,
  change: Change,
): MetadataReply {
  if (revision < change.index) {
    return refused("INVALID_REQUEST", `revision ${revision} was given already`, {
      field: "revision",
    });
  }
  table.skipTo(change, revision);
  const { nextGroupId, nextProducerId } = table.meta;
  table.putMeta(change, {
    nextGroupId: (nextGroupId + GROUP_IDS_SKIPPED) as GroupId,
    nextProducerId: nextProducerId + PRODUCER_IDS_SKIPPED,
  });
  for (const row of [...table.producers.values()]) {
    const epochsSkipped = (row.epochsSkipped ?? 0) + PRODUCER_EPOCHS_SKIPPED;
    table.putProducer(change, { ...row, epochsSkipped });
  }
  for (const node of [...table.nodes.values()]) {
    table.putNode(change, { ...node, metadataRevision: revision });
  }
  return { ok: { metadataRevision: revision } };
}
