// What the commands of member-commands.ts do to the metadata: the placement changes at once, and what is leaving stays in
// the row until the group itself has followed (finish-move). Nothing is removed before that. Part of the metadata state,
// called by metadata-state.ts; pure and deterministic.
import { unreachable } from "../base/assert.ts";
import type { NodeId } from "../model/ids.ts";
import type {
  CancelDecommission,
  CancelMove,
  ContinueDecommission,
  DecommissionNode,
  FinishMove,
  MemberCommand,
  MoveReplica,
  SetMetadataVoters,
  UnregisterNode,
} from "./member-commands.ts";
import {
  badNode,
  isInService,
  partitionsLeft,
  placementCandidates,
  placeOn,
  unknownPartition,
  wantedReplicas,
} from "./member-rules.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";
import type { Change, MetadataTable } from "./metadata-table.ts";
import { recoverGroup, recoverMetadata } from "./recovery-state.ts";
import { planRest } from "./removal-plan.ts";
import { planReplacements } from "./replacement-plan.ts";
import { aimedAt, type PartitionRow } from "./topic-table.ts";

export function applyMemberCommand(
  table: MetadataTable,
  command: MemberCommand,
  change: Change,
): MetadataReply {
  switch (command.type) {
    case "move-replica":
      return moveReplica(table, command, change);
    case "cancel-move":
      return cancelMove(table, command, change);
    case "finish-move":
      return finishMove(table, command, change);
    case "decommission-node":
      return decommissionNode(table, command, change);
    case "cancel-decommission":
      return cancelDecommission(table, command, change);
    case "continue-decommission":
      return continueDecommission(table, command, change);
    case "unregister-node":
      return unregisterNode(table, command, change);
    case "set-metadata-voters":
      return setMetadataVoters(table, command, change);
    case "recover-group":
      return recoverGroup(table, command, change);
    case "recover-metadata":
      return recoverMetadata(table, command, change);
    default:
      return unreachable(command);
  }
}

function moveReplica(
  table: MetadataTable,
  { groupId, from, to }: MoveReplica,
  change: Change,
): MetadataReply {
  const row = table.topics.partitions.get(groupId);
  if (row === undefined) return unknownPartition(groupId);
  const isOn = (id: NodeId): boolean => row.replicas.some((place) => place.nodeId === id);
  // A repeated proposal of a move whose outcome the proposer did not learn.
  if (isOn(to) && (from === 0 || !isOn(from))) return { ok: { changed: false } };
  if (from !== 0 && !isOn(from))
    return badNode("fromNode", from, "holds no replica of the partition");
  if (from === 0 && row.replicas.length >= wantedReplicas(table.topics.topics, row)) {
    return badNode(
      "fromNode",
      0,
      "can stand for none only while the partition has too few replicas",
    );
  }
  if (isOn(to)) return badNode("toNode", to, "holds a replica of the partition already");
  const node = table.nodes.get(to);
  if (node === undefined) return badNode("toNode", to, "is not registered");
  if (!isInService(node)) return badNode("toNode", to, "is out of service or about to leave");
  if (!isFree(table, row, from)) return inProgress(table, row);
  putMoved(table, row, { from, to, cause: 0 }, change);
  return { ok: { changed: true } };
}

/** One change at a time; only a way that leads over a dead node may be given another aim before it has ended. */
function isFree(table: MetadataTable, row: PartitionRow, from: NodeId | 0): boolean {
  if (row.change === undefined) return true;
  return from !== 0 && table.nodes.get(from)?.fenced === true;
}

/** The new replica stands where the old one stood; one that is just leaving that node is taken back. */
function putMoved(
  table: MetadataTable,
  row: PartitionRow,
  {
    cause,
    from,
    to,
  }: { readonly from: NodeId | 0; readonly to: NodeId; readonly cause: NodeId | 0 },
  change: Change,
): void {
  const leaving = row.change?.leaving.find((place) => place.nodeId === to);
  const fresh = leaving ?? placeOn(table, to, change.index);
  const replicas =
    from === 0
      ? [...row.replicas, fresh]
      : row.replicas.map((place) => (place.nodeId === from ? fresh : place));
  const begun = { index: change.index, cause, isCancelled: false };
  table.putPartition(change, aimedAt(row, replicas, begun));
}

function cancelMove(table: MetadataTable, { groupId }: CancelMove, change: Change): MetadataReply {
  const row = table.topics.partitions.get(groupId);
  if (row === undefined) return unknownPartition(groupId);
  const wanted = new Set(row.replicas.map((place) => place.nodeId));
  const gone = row.change?.previous.find(
    ({ nodeId }) => !wanted.has(nodeId) && table.nodes.get(nodeId)?.decommission !== undefined,
  );
  if (gone !== undefined) {
    return badNode(
      "nodeId",
      gone.nodeId,
      "is about to leave; its decommissioning can be cancelled",
    );
  }
  return { ok: { changed: turnRound(table, row, change) } };
}

/** Safe at any time: the former replicas are all still there, and the group goes back by the same steps. */
function turnRound(table: MetadataTable, row: PartitionRow, change: Change): boolean {
  if (row.change === undefined || row.change.isCancelled) return false;
  const { cause, previous } = row.change;
  const turned = { index: change.index, cause, isCancelled: true };
  table.putPartition(change, aimedAt(row, previous, turned));
  return true;
}

function finishMove(
  table: MetadataTable,
  { changeIndex, groupId }: FinishMove,
  change: Change,
): MetadataReply {
  const row = table.topics.partitions.get(groupId);
  // Deleted, cancelled or finished meanwhile: whoever proposed it sees the new row soon.
  if (row?.change?.index !== changeIndex) return { ok: { changed: false } };
  const { change: _, ...settled } = row;
  table.putPartition(change, settled);
  return { ok: { changed: true } };
}

function decommissionNode(
  table: MetadataTable,
  { mustBeFenced, nodeId, successor }: DecommissionNode,
  change: Change,
): MetadataReply {
  const node = table.nodes.get(nodeId);
  if (node === undefined) return badNode("nodeId", nodeId, "is not registered");
  if (node.decommission !== undefined) {
    const left = partitionsLeft(table.topics.partitions.values(), nodeId);
    return { ok: { changed: false, partitions: left } };
  }
  if (mustBeFenced && !node.fenced) {
    return badNode("nodeId", nodeId, "is in service; a node that works is decommissioned");
  }
  const isFit = (id: NodeId): boolean => id !== nodeId && isInService(table.nodes.get(id));
  if (successor !== 0 && !isFit(successor)) {
    return badNode("replacementNode", successor, "is not registered, out of service or the same");
  }
  const rows = [...table.topics.partitions.values()]
    .filter((row) => row.replicas.some((place) => place.nodeId === nodeId))
    .sort((a, b) => a.groupId - b.groupId);
  const underWay = rows.find((row) => !isFree(table, row, nodeId));
  if (underWay !== undefined) return inProgress(table, underWay);
  const others = placementCandidates(table.nodes.values(), table.topics.partitions.values()).filter(
    (other) => other.nodeId !== nodeId,
  );
  if (others.length === 0) return tooFewNodes(nodeId, 0, 1);
  const plan = planReplacements(rows, others, nodeId, successor);
  if ("stuck" in plan) return tooFewNodes(nodeId, others.length, plan.stuck.replicas.length);
  table.putNode(change, { ...node, decommission: { index: change.index, successor } });
  for (const [place, move] of plan.moves.entries()) {
    const row = rows[place];
    if (row !== undefined) putMoved(table, row, { ...move, cause: nodeId }, change);
  }
  return { ok: { changed: true, partitions: rows.length } };
}

function cancelDecommission(
  table: MetadataTable,
  { nodeId }: CancelDecommission,
  change: Change,
): MetadataReply {
  const node = table.nodes.get(nodeId);
  if (node === undefined) return badNode("nodeId", nodeId, "is not registered");
  if (node.decommission === undefined) return { ok: { changed: false, partitions: 0 } };
  const { decommission: _, ...stays } = node;
  table.putNode(change, stays);
  let partitions = 0;
  for (const row of [...table.topics.partitions.values()]) {
    if (row.change?.cause === nodeId && turnRound(table, row, change)) partitions += 1;
  }
  return { ok: { changed: true, partitions } };
}

function continueDecommission(
  table: MetadataTable,
  { decommissionIndex, nodeId }: ContinueDecommission,
  change: Change,
): MetadataReply {
  const node = table.nodes.get(nodeId);
  if (node?.decommission?.index !== decommissionIndex) return { ok: { changed: false } };
  const { partitions } = table.topics;
  const moves = planRest(table.nodes.values(), partitions.values(), node);
  for (const move of moves) {
    const row = partitions.get(move.groupId);
    if (row !== undefined) putMoved(table, row, { ...move, cause: nodeId }, change);
  }
  return { ok: { changed: moves.length > 0, partitions: moves.length } };
}

function unregisterNode(
  table: MetadataTable,
  { decommissionIndex, nodeId }: UnregisterNode,
  change: Change,
): MetadataReply {
  const node = table.nodes.get(nodeId);
  const isMeant = node?.decommission?.index === decommissionIndex;
  if (node === undefined || !isMeant) return { ok: { changed: false } };
  if (partitionsLeft(table.topics.partitions.values(), nodeId) > 0)
    return { ok: { changed: false } };
  table.removeNode(change, node);
  return { ok: { changed: true } };
}

function setMetadataVoters(
  table: MetadataTable,
  { count }: SetMetadataVoters,
  change: Change,
): MetadataReply {
  const available = [...table.nodes.values()].filter(isInService).length;
  if (count > 3 && available < count) {
    return refused(
      "NOT_ENOUGH_NODES",
      `${count} voters need as many nodes, ${available} are in service`,
      { field: "count", nodesAvailable: available, nodesNeeded: count },
    );
  }
  table.putMeta(change, { metadataVoters: count });
  return { ok: { count } };
}

function inProgress(table: MetadataTable, row: PartitionRow): MetadataReply {
  const topic = table.topics.topics.get(row.topicId)?.name ?? row.topicId;
  const { partition } = row;
  return refused("CHANGE_IN_PROGRESS", `partition ${partition} of "${topic}" is moving already`, {
    topic,
    partition,
  });
}

function tooFewNodes(nodeId: NodeId, available: number, needed: number): MetadataReply {
  return refused(
    "NOT_ENOUGH_NODES",
    `without node ${nodeId}, ${available} nodes would be in service; ${needed} are needed for as many replicas`,
    { field: "nodeId", nodesAvailable: available, nodesNeeded: needed },
  );
}
