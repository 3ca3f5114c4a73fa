// Refusals of reads, changes, peers, and of too much of anything. See error-cases.ts.
import { expect } from "vitest";
import type { BrokerError, ErrorReason } from "../../src/model/errors.ts";
import {
  AttachRequest,
  ProposeMetadataRequest,
} from "../../src/rpc/generated/flotilla-internal-v1.ts";
import {
  AlterTopicRequest,
  CreateTopicRequest,
  DeleteTopicRequest,
  DescribeTopicRequest,
  GetMetadataRequest,
  ListTopicsRequest,
  TransferLeadershipRequest,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService, fetchService, metadataService, peerService } from "../../src/rpc/methods.ts";
import { plainBatch } from "../support/batches.ts";
import { pause } from "../support/local-cluster.ts";
import { refusalOf, type WireClient } from "../support/wire-client.ts";
import {
  CONNECTIONS_MAX,
  type ErrorCase,
  message,
  PARKED_MAX,
  STREAMS_MAX,
  TIMEOUT,
  UNKNOWN_ID,
} from "./error-case.ts";

const READS: readonly ErrorCase[] = [
  {
    reason: "INVALID_REQUEST",
    title: "1001 messages wanted",
    fields: { field: "messagesMax", limit: 1000 },
    refuse: async ({ leader }) => refusalOf(leader.fetchMessages({ messagesMax: 1001 })),
  },
  {
    reason: "INVALID_REQUEST",
    title: "wait of more than 30 s",
    fields: { field: "waitMs", limit: 30_000 },
    refuse: async ({ leader }) => refusalOf(leader.fetchMessages({ waitMs: 30_001 })),
  },
  {
    reason: "INVALID_REQUEST",
    title: "cursor opened twice",
    fields: { field: "open.cursor" },
    refuse: async ({ leader }) => {
      const cursors = leader.cursors([{ cursor: 3 }, { cursor: 3 }]);
      const error = await cursors.error();
      cursors.close();
      return error;
    },
  },
  {
    reason: "OFFSET_OUT_OF_RANGE",
    title: "above the high watermark (plain)",
    refuse: async ({ leader }) => refusalOf(leader.fetchMessages({ offset: 1_000_000 })),
  },
  {
    reason: "OFFSET_OUT_OF_RANGE",
    title: "above the high watermark (cursor)",
    refuse: async ({ leader }) => leader.cursorError({ offset: 1_000_000 }),
  },
  {
    reason: "DIVERGED",
    title: "last record read in a term that never was",
    fields: { endOffset: 1 },
    refuse: async ({ leader }) => leader.cursorError({ offset: 1, lastEpoch: 999 }),
  },
  {
    reason: "STALE_LAYOUT",
    title: "cursor with another layout",
    fields: { layoutEpoch: 1 },
    refuse: async ({ leader }) => leader.cursorError({ layoutEpoch: 7 }),
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "cursor of version 9",
    fields: { versionMin: 1, versionMax: 1 },
    refuse: async ({ leader }) => leader.cursorError({ protocolVersion: 9 }),
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "cursor on a topic that never was",
    refuse: async ({ leader }) => leader.cursorError({ topicId: UNKNOWN_ID }),
  },
  {
    reason: "OVERLOADED",
    title: "too many parked readers",
    fields: { limit: "parkedFetches" },
    refuse: async ({ leader }) => {
      const opens = Array.from({ length: PARKED_MAX + 1 }, (_, cursor) => ({ cursor }));
      const cursors = leader.cursors(opens);
      const error = await cursors.error();
      cursors.close();
      return error;
    },
  },
  {
    reason: "DEADLINE",
    title: "nothing to read before the deadline",
    refuse: async ({ leader }) => {
      const { highWatermark: offset } = await leader.offsets();
      const request = { topic: leader.topic, partition: 0, offset, waitMs: 20_000 };
      const full = { messagesMax: 0, bytesMax: 0, ...request };
      const options = { timeoutMs: 150 };
      return refusalOf(leader.connection.unary(fetchService.fetchMessages, full, options));
    },
  },
  {
    reason: "CANCELLED",
    title: "reader gives up",
    refuse: async ({ leader }) => {
      const { highWatermark: offset } = await leader.offsets();
      const request = { topic: leader.topic, partition: 0, offset, waitMs: 20_000 };
      const full = { messagesMax: 0, bytesMax: 0, ...request };
      const options = { timeoutMs: 20_000, signal: AbortSignal.timeout(150) };
      return refusalOf(leader.connection.unary(fetchService.fetchMessages, full, options));
    },
  },
];

/** A change that the metadata leader refuses. */
function badTopic(
  reason: ErrorReason,
  title: string,
  wish: Partial<CreateTopicRequest>,
  fields: Readonly<Record<string, unknown>>,
): ErrorCase {
  return {
    reason,
    title,
    fields,
    refuse: async ({ controller }) => {
      const request = CreateTopicRequest.create({ name: "new", ...wish });
      return refusalOf(controller.unary(adminService.createTopic, request, TIMEOUT));
    },
  };
}

const ADMIN: readonly ErrorCase[] = [
  badTopic("TOPIC_EXISTS", "same name again", { name: "t" }, { topic: "t" }),
  badTopic("TOPIC_EXISTS", "dry run", { name: "t", validateOnly: true }, { topic: "t" }),
  badTopic("INVALID_REQUEST", "name with a space", { name: "a b" }, { field: "name" }),
  badTopic("INVALID_REQUEST", "reserved prefix", { name: "__own" }, { field: "name" }),
  badTopic("INVALID_REQUEST", "4097 partitions", { partitions: 4097 }, { field: "partitions" }),
  badTopic(
    "INVALID_REQUEST",
    "8 replicas",
    { replicationFactor: 8 },
    { field: "replicationFactor" },
  ),
  badTopic(
    "INVALID_REQUEST",
    "unknown setting",
    { settings: { speed: "11" } },
    { field: "settings.speed" },
  ),
  badTopic(
    "INVALID_REQUEST",
    "bad value",
    { settings: { flush: "maybe" } },
    { field: "settings.flush" },
  ),
  badTopic(
    "INVALID_REPLICATION_FACTOR",
    "5 replicas on 3 nodes",
    { replicationFactor: 5 },
    { nodesAvailable: 3, replicationFactor: 5 },
  ),
  {
    reason: "INVALID_REQUEST",
    title: "alter to a bad value",
    fields: { field: "settings.acks" },
    refuse: async ({ controller }) => {
      const request = AlterTopicRequest.create({ name: "t", settings: { acks: "most" } });
      return refusalOf(controller.unary(adminService.alterTopic, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "page of 1001 topics",
    fields: { field: "pageSize", limit: 1000 },
    refuse: async ({ leader }) => {
      const request = ListTopicsRequest.create({ pageSize: 1001 });
      return refusalOf(leader.connection.unary(adminService.listTopics, request, TIMEOUT));
    },
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "metadata of version 9",
    refuse: async ({ leader }) => {
      const request = GetMetadataRequest.create({ protocolVersion: 9 });
      return refusalOf(leader.connection.unary(metadataService.getMetadata, request, TIMEOUT));
    },
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "method that does not exist",
    refuse: async ({ leader }) => {
      const method = { ...metadataService.getMetadata, path: "/flotilla.v1.AdminService/Explode" };
      return refusalOf(leader.connection.unary(method, GetMetadataRequest.create(), TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "describing a topic that never was",
    refuse: async ({ leader }) => {
      const request = DescribeTopicRequest.create({ name: "nowhere" });
      return refusalOf(leader.connection.unary(adminService.describeTopic, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "deleting a topic that never was",
    refuse: async ({ controller }) => {
      const request = DeleteTopicRequest.create({ name: "nowhere" });
      return refusalOf(controller.unary(adminService.deleteTopic, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "plain message to partition 99",
    refuse: async ({ leader }) =>
      refusalOf(leader.publishAll({ partition: 99, messages: [message({})] })),
  },
  {
    reason: "NOT_LEADER",
    title: "plain message at a follower",
    fields: { leaderId: expect.any(Number), leaderEndpoint: expect.any(String) },
    refuse: async ({ follower }) => refusalOf(follower.publish()),
  },
  {
    reason: "NOT_LEADER",
    title: "reading at a follower",
    fields: { leaderId: expect.any(Number), leaderEndpoint: expect.any(String) },
    refuse: async ({ follower }) => refusalOf(follower.fetchMessages({})),
  },
  {
    reason: "NOT_ENOUGH_REPLICAS",
    title: "leadership for a node that holds no replica",
    refuse: async ({ leader }) => {
      const request = TransferLeadershipRequest.create({ topic: leader.topic, toNode: 99 });
      return refusalOf(leader.connection.unary(adminService.transferLeadership, request, TIMEOUT));
    },
  },
];

function attach(title: string, reason: ErrorReason, wish: Partial<AttachRequest>): ErrorCase {
  return {
    reason,
    title,
    refuse: async ({ clusterId, peer }) => {
      const versions = { versionMin: 1, versionMax: 1, lane: "control" } as const;
      const request = { clusterId, nodeId: 2, toNodeId: 1, incarnation: 1, ...versions, ...wish };
      const stream = peer.serverStream(peerService.attach, AttachRequest.create(request));
      const ended = await new Promise<BrokerError | undefined>((resolve) => {
        stream.onEnd = resolve;
      });
      if (ended === undefined) throw new Error("the stream ended without a reason");
      return ended;
    },
  };
}

const PEERS: readonly ErrorCase[] = [
  attach("peer of another cluster", "CLUSTER_MISMATCH", { clusterId: "another" }),
  attach("peer that wants another node", "CLUSTER_MISMATCH", { toNodeId: 3 }),
  attach("peer of version 9", "UNSUPPORTED_VERSION", { versionMin: 9, versionMax: 9 }),
  attach("peer that nobody knows", "NODE_FENCED", { nodeId: 77 }),
  {
    reason: "CLUSTER_MISMATCH",
    title: "metadata command of another cluster",
    refuse: async ({ peer }) => {
      const request = ProposeMetadataRequest.create({ clusterId: "another", nodeId: 2 });
      return refusalOf(peer.unary(peerService.proposeMetadata, request, TIMEOUT));
    },
  },
];

async function isAdmitted(client: WireClient): Promise<boolean> {
  try {
    await client.offsets();
    return true;
  } catch {
    return false;
  }
}

const LOAD: readonly ErrorCase[] = [
  {
    reason: "OVERLOADED",
    title: "too many streams on a connection",
    fields: { limit: "streamsPerConnection", max: STREAMS_MAX },
    refuse: async ({ leader }) => {
      const lanes = Array.from({ length: STREAMS_MAX }, () => leader.lane({ protocolVersion: 9 }));
      await Promise.all(lanes.map(async (lane) => lane.send(plainBatch(["x"]))));
      await Promise.all(lanes.map(async (lane) => lane.refusal()));
      const error = await refusalOf(leader.publish());
      for (const lane of lanes) lane.close();
      // The broker hears of it a moment later; OVERLOADED says "later", so later it is.
      while (!(await isAdmitted(leader))) await pause(5);
      return error;
    },
  },
  {
    reason: "OVERLOADED",
    title: "too many connections",
    fields: { limit: "connections", max: CONNECTIONS_MAX },
    refuse: async ({ connect }) => {
      const connections = Array.from({ length: CONNECTIONS_MAX }, connect);
      const calls = connections.map(async (connection) => {
        await connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), TIMEOUT);
      });
      const refusals = (await Promise.allSettled(calls)).filter(
        (call) => call.status === "rejected",
      );
      for (const connection of connections) connection.close();
      const [first] = refusals;
      if (first === undefined) throw new Error("nothing was refused");
      return refusalOf(Promise.reject(first.reason as Error));
    },
  },
];

export const CLUSTER_CASES: readonly ErrorCase[] = [...READS, ...ADMIN, ...PEERS, ...LOAD];
