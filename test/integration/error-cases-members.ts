// Refusals of changes of who holds what, on a cluster of three nodes whose topics have three replicas. See error-cases.ts.
import {
  CancelMoveRequest,
  DecommissionNodeRequest,
  MoveReplicaRequest,
  SetMetadataVotersRequest,
  UnsafeRecoverRequest,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService } from "../../src/rpc/methods.ts";
import { refusalOf } from "../support/wire-client.ts";
import { type ErrorCase, TIMEOUT } from "./error-case.ts";

const MOVE = { topic: "t", partition: 0, fromNode: 1, toNode: 4 };

function badMove(title: string, wish: Partial<typeof MOVE>, field: string): ErrorCase {
  return {
    reason: "INVALID_REQUEST",
    title,
    fields: { field },
    refuse: async ({ controller }) => {
      const request = MoveReplicaRequest.create({ ...MOVE, ...wish });
      return refusalOf(controller.unary(adminService.moveReplica, request, TIMEOUT));
    },
  };
}

function badDecommission(
  reason: ErrorCase["reason"],
  title: string,
  wish: Partial<DecommissionNodeRequest>,
  fields: NonNullable<ErrorCase["fields"]>,
): ErrorCase {
  return {
    reason,
    title,
    fields,
    refuse: async ({ controller }) => {
      const full = { nodeId: 3, replacementNode: 0, onlyIfFenced: false, ...wish };
      const request = DecommissionNodeRequest.create(full);
      return refusalOf(controller.unary(adminService.decommissionNode, request, TIMEOUT));
    },
  };
}

function badVoters(reason: ErrorCase["reason"], count: number, fields: object): ErrorCase {
  return {
    reason,
    title: `${count} voters on three nodes`,
    fields: { field: "count", ...fields },
    refuse: async ({ controller }) => {
      const request = SetMetadataVotersRequest.create({ count });
      return refusalOf(controller.unary(adminService.setMetadataVoters, request, TIMEOUT));
    },
  };
}

/** By the replica on the partition's leader. */
function badRecovery(
  reason: ErrorCase["reason"],
  title: string,
  wish: Partial<UnsafeRecoverRequest>,
  fields: NonNullable<ErrorCase["fields"]>,
): ErrorCase {
  return {
    reason,
    title,
    fields,
    refuse: async ({ leader: { connection, topic } }) => {
      const name = { topic, partition: 0 };
      const view = await connection.unary(adminService.inspectReplica, name, TIMEOUT);
      const { lastIndex, replicaId } = view;
      const seen = { ...name, replicaId, lastIndex, acceptDataLoss: true, ...wish };
      const request = UnsafeRecoverRequest.create(seen);
      return refusalOf(connection.unary(adminService.unsafeRecover, request, TIMEOUT));
    },
  };
}

export const MEMBER_CASES: readonly ErrorCase[] = [
  badRecovery(
    "QUORUM_ANSWERS",
    "forced recovery of a partition that works",
    {},
    {
      voters: 3,
      votersAlive: 3,
    },
  ),
  badRecovery(
    "INVALID_REQUEST",
    "forced recovery without consent",
    { acceptDataLoss: false },
    {
      field: "acceptDataLoss",
    },
  ),
  badMove("move to an unknown node", {}, "toNode"),
  badMove("move to a node that has a replica", { toNode: 2 }, "toNode"),
  badMove("move from a node without one", { fromNode: 9 }, "fromNode"),
  badMove("move to node 0", { toNode: 0 }, "toNode"),
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "move of partition 99",
    fields: { topic: "t", partition: 99 },
    refuse: async ({ controller }) => {
      const request = MoveReplicaRequest.create({ ...MOVE, partition: 99 });
      return refusalOf(controller.unary(adminService.moveReplica, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "cancelled move of a topic that never was",
    refuse: async ({ controller }) => {
      const request = CancelMoveRequest.create({ topic: "nowhere", partition: 0 });
      return refusalOf(controller.unary(adminService.cancelMove, request, TIMEOUT));
    },
  },
  badDecommission(
    "NOT_ENOUGH_NODES",
    "a node leaves, three replicas need three",
    {},
    {
      field: "nodeId",
      nodesAvailable: 2,
      nodesNeeded: 3,
    },
  ),
  badDecommission("INVALID_REQUEST", "an unknown node leaves", { nodeId: 9 }, { field: "nodeId" }),
  badDecommission(
    "INVALID_REQUEST",
    "a node that works is replaced",
    { onlyIfFenced: true },
    {
      field: "nodeId",
    },
  ),
  badDecommission(
    "INVALID_REQUEST",
    "an unknown node takes over",
    { replacementNode: 9 },
    {
      field: "replacementNode",
    },
  ),
  badVoters("INVALID_REQUEST", 4, { limit: "3 or 5" }),
  badVoters("NOT_ENOUGH_NODES", 5, { nodesAvailable: 3, nodesNeeded: 5 }),
];
