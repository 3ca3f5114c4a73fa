// Refusals that a healthy cluster gives: what provokes each of them over a real socket. errors.test.ts runs the table and
// shows for every row that nothing was written and that the same connection goes on.
import { expect } from "vitest";
import type { BrokerError, ErrorReason } from "../../src/model/errors.ts";
import { BATCH_BYTES_MAX } from "../../src/model/limits.ts";
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
  Header,
  LaneBatch,
  ListTopicsRequest,
  OpenLane,
  PublishMessage,
  ResumeLane,
  TransferLeadershipRequest,
} from "../../src/rpc/generated/flotilla-v1.ts";
import {
  adminService,
  fetchService,
  metadataService,
  peerService,
  produceService,
} from "../../src/rpc/methods.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import { plainBatch } from "../support/batches.ts";
import { pause } from "../support/local-cluster.ts";
import { refusalOf, type WireClient } from "../support/wire-client.ts";

/** Small limits, so that they can be reached. */
export const STREAMS_MAX = 12;
export const CONNECTIONS_MAX = 24;
export const PARKED_MAX = 6;

/** Connections that the cases use; the client ones stay the same for the whole table. */
export interface Ends {
  readonly leader: WireClient;
  readonly follower: WireClient;
  /** Topic with min.acks=all and message.bytes.max=1000, on its leader. */
  readonly strict: WireClient;
  readonly controller: Connection;
  /** Peer listener of node 1. */
  readonly peer: Connection;
  readonly clusterId: string;
  readonly connect: () => Connection;
}

/** Done before the positions are compared: it may write. Its result goes to `refuse`. */
export interface ErrorCase<T = unknown> {
  readonly reason: ErrorReason;
  readonly title: string;
  readonly prepare?: (ends: Ends) => Promise<T>;
  readonly refuse: (ends: Ends, prepared: T) => Promise<BrokerError>;
  /** What the error must say. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

const TIMEOUT = { timeoutMs: 10_000 };
const UNKNOWN_ID = "00000000-0000-4000-8000-000000000000";

const message = (fields: Partial<PublishMessage>): PublishMessage => PublishMessage.create(fields);

/** INVALID_REQUEST of a plain message, by the field that is named. */
function invalidMessage(title: string, field: string, fields: Partial<PublishMessage>): ErrorCase {
  return {
    reason: "INVALID_REQUEST",
    title,
    fields: { field },
    refuse: async ({ leader }) => await refusalOf(leader.publish(fields)),
  };
}

const header = (name: string): Header => Header.create({ name, value: Buffer.from("v") });

const MESSAGES: readonly ErrorCase[] = [
  invalidMessage("key of 4097 bytes", "key", { key: Buffer.alloc(4097) }),
  invalidMessage("reserved header name", "messages.headers.name", {
    headers: [header("flotilla-unheard-of")],
  }),
  invalidMessage("header name of 129 bytes", "headers.name", {
    headers: [header("h".repeat(129))],
  }),
  invalidMessage("65 headers", "headers", {
    headers: Array.from({ length: 65 }, (_, place) => header(`h${place}`)),
  }),
  invalidMessage("message id of 65 bytes", "messages.messageId", { messageId: "m".repeat(65) }),
  invalidMessage("negative timestamp", "messages.timestampMs", { timestampMs: -1 }),
  {
    reason: "INVALID_REQUEST",
    title: "no message",
    fields: { field: "messages", limit: 1000 },
    refuse: async ({ leader }) => await refusalOf(leader.publishAll({ messages: [] })),
  },
  {
    reason: "INVALID_REQUEST",
    title: "1001 messages",
    fields: { field: "messages", limit: 1000 },
    refuse: async ({ leader }) => {
      const messages = Array.from({ length: 1001 }, () => message({ value: Buffer.from("v") }));
      return await refusalOf(leader.publishAll({ messages }));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "bytes that are no protobuf message",
    fields: { field: "message" },
    refuse: async ({ leader }) => {
      const codec = {
        ...produceService.publish.codec,
        encodeRequest: () => Buffer.from([0x0a, 0xff]),
      };
      const method = { ...produceService.publish, codec };
      const call = leader.connection.unary(method, { topic: "", messages: [] }, TIMEOUT);
      return await refusalOf(call);
    },
  },
];

const READS: readonly ErrorCase[] = [
  {
    reason: "INVALID_REQUEST",
    title: "1001 messages wanted",
    fields: { field: "messagesMax", limit: 1000 },
    refuse: async ({ leader }) => await refusalOf(leader.fetchMessages({ messagesMax: 1001 })),
  },
  {
    reason: "INVALID_REQUEST",
    title: "wait of more than 30 s",
    fields: { field: "waitMs", limit: 30_000 },
    refuse: async ({ leader }) => await refusalOf(leader.fetchMessages({ waitMs: 30_001 })),
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
    refuse: async ({ leader }) => await refusalOf(leader.fetchMessages({ offset: 1_000_000 })),
  },
  {
    reason: "OFFSET_OUT_OF_RANGE",
    title: "above the high watermark (cursor)",
    refuse: async ({ leader }) => await leader.cursorError({ offset: 1_000_000 }),
  },
  {
    reason: "DIVERGED",
    title: "last record read in a term that never was",
    fields: { endOffset: 1 },
    refuse: async ({ leader }) => await leader.cursorError({ offset: 1, lastEpoch: 999 }),
  },
  {
    reason: "STALE_LAYOUT",
    title: "cursor with another layout",
    fields: { layoutEpoch: 1 },
    refuse: async ({ leader }) => await leader.cursorError({ layoutEpoch: 7 }),
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "cursor of version 9",
    fields: { versionMin: 1, versionMax: 1 },
    refuse: async ({ leader }) => await leader.cursorError({ protocolVersion: 9 }),
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "cursor on a topic that never was",
    refuse: async ({ leader }) => await leader.cursorError({ topicId: UNKNOWN_ID }),
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
      return await refusalOf(leader.connection.unary(fetchService.fetchMessages, full, options));
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
      return await refusalOf(leader.connection.unary(fetchService.fetchMessages, full, options));
    },
  },
];

/** A batch with some of its bytes changed. */
function damaged(change: (batch: Buffer) => Buffer | undefined): Buffer {
  const batch = plainBatch(["one", "two"]);
  return change(batch) ?? batch;
}

function malformed(title: string, field: string, batch: Buffer): ErrorCase {
  return {
    reason: field === "crc" ? "CORRUPT_BATCH" : "MALFORMED_BATCH",
    title,
    fields: { field },
    refuse: async ({ leader }) => await leader.laneRefusal(batch),
  };
}

const BATCHES: readonly ErrorCase[] = [
  malformed(
    "one bit of a record flipped",
    "crc",
    damaged((batch) => {
      batch[70] = (batch[70] ?? 0) ^ 1;
      return undefined;
    }),
  ),
  malformed("a few bytes", "batchLength", Buffer.from("no batch")),
  malformed(
    "cut short",
    "batchLength",
    damaged((batch) => batch.subarray(0, -1)),
  ),
  malformed(
    "another magic",
    "magic",
    damaged((batch) => {
      batch[16] = 1;
      return undefined;
    }),
  ),
  {
    reason: "RECORD_TOO_LARGE",
    title: "batch of more than 8 MiB",
    fields: { bytesMax: BATCH_BYTES_MAX },
    refuse: async ({ leader }) => await leader.laneRefusal(Buffer.alloc(BATCH_BYTES_MAX + 1)),
  },
  {
    reason: "RECORD_TOO_LARGE",
    title: "batch above the topic's limit",
    fields: { bytesMax: 1000 },
    refuse: async ({ strict }) => await strict.laneRefusal(plainBatch([Buffer.alloc(1000)])),
  },
  {
    reason: "RECORD_TOO_LARGE",
    title: "plain message above the topic's limit",
    fields: { bytesMax: 1000 },
    refuse: async ({ strict }) => await refusalOf(strict.publish({ value: Buffer.alloc(1001) })),
  },
  {
    reason: "ACKS_TOO_WEAK",
    title: "acks=leader where min.acks=all (plain)",
    fields: { minAcks: "all" },
    refuse: async ({ strict }) =>
      await refusalOf(strict.publishAll({ messages: [message({})], acks: "leader" })),
  },
  {
    reason: "ACKS_TOO_WEAK",
    title: "acks=none where min.acks=all (lane)",
    fields: { minAcks: "all" },
    refuse: async ({ strict }) => await strict.laneRefusal(plainBatch(["x"]), { acks: "none" }),
  },
  {
    reason: "STALE_LAYOUT",
    title: "lane with another layout",
    fields: { layoutEpoch: 1 },
    refuse: async ({ leader }) => await leader.laneRefusal(plainBatch(["x"]), { layoutEpoch: 7 }),
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "lane of version 2",
    fields: { versionMin: 1, versionMax: 1 },
    refuse: async ({ leader }) =>
      await leader.laneRefusal(plainBatch(["x"]), { protocolVersion: 2 }),
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "lane on a partition that never was",
    refuse: async ({ leader }) => await leader.laneRefusal(plainBatch(["x"]), { partition: 99 }),
  },
  {
    reason: "NOT_LEADER",
    title: "lane at a follower",
    fields: { leaderId: expect.any(Number), leaderEndpoint: expect.any(String) },
    refuse: async ({ follower }) => await follower.laneRefusal(plainBatch(["x"])),
  },
];

/** INVALID_REQUEST of a lane: what is sent on a stream whose lane 0 is open. */
function laneMisuse(
  title: string,
  field: string,
  request: Parameters<ReturnType<WireClient["lane"]>["request"]>[0],
): ErrorCase {
  return {
    reason: "INVALID_REQUEST",
    title,
    fields: { field },
    refuse: async ({ leader }) => {
      const lane = leader.lane();
      lane.request(request);
      const error = await lane.refusal();
      // The stream lives: another lane on it works.
      lane.close();
      return error;
    },
  };
}

const batchOn = (lane: number, number: number): LaneBatch =>
  LaneBatch.create({ lane, number, batch: plainBatch(["misplaced"]) });

const LANES: readonly ErrorCase[] = [
  laneMisuse("batch on a lane that is not open", "batches.lane", { batches: [batchOn(5, 0)] }),
  laneMisuse("gap in the batch numbers", "batches.number", { batches: [batchOn(0, 3)] }),
  laneMisuse("resuming a lane that is not open", "resume.lane", {
    resume: [ResumeLane.create({ lane: 5 })],
  }),
  laneMisuse("resuming a lane that is not closed", "resume.lane", {
    resume: [ResumeLane.create()],
  }),
  laneMisuse("lane opened twice", "open.lane", { open: [OpenLane.create({ protocolVersion: 1 })] }),
  laneMisuse("lane number 4096", "open.lane", {
    open: [OpenLane.create({ lane: 4096, protocolVersion: 1 })],
  }),
];

interface Session {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** A new session that stored batches 0 … count − 1, one record each. */
async function session({ leader }: Ends, count: number): Promise<Session> {
  const { producerId, epoch: producerEpoch } = await leader.openProducer();
  const lane = leader.lane();
  for (let baseSequence = 0; baseSequence < count; baseSequence += 1) {
    await lane.append(["kept"], { producerId, producerEpoch, baseSequence });
  }
  lane.close();
  return { producerId, producerEpoch };
}

const PRODUCERS: readonly ErrorCase<Session>[] = [
  {
    reason: "SEQUENCE_GAP",
    title: "sequence 5 after 0",
    fields: { expected: 1 },
    prepare: async (ends) => await session(ends, 1),
    refuse: async ({ leader }, producer) =>
      await leader.laneRefusal(plainBatch(["x"], { ...producer, baseSequence: 5 })),
  },
  {
    reason: "UNKNOWN_PRODUCER",
    title: "first batch with sequence 3",
    prepare: async (ends) => await session(ends, 0),
    refuse: async ({ leader }, producer) =>
      await leader.laneRefusal(plainBatch(["x"], { ...producer, baseSequence: 3 })),
  },
  {
    reason: "DUPLICATE_OUT_OF_WINDOW",
    title: "retry of a batch 20 batches old",
    prepare: async (ends) => await session(ends, 21),
    refuse: async ({ leader }, producer) =>
      await leader.laneRefusal(plainBatch(["kept"], { ...producer, baseSequence: 0 })),
  },
  {
    reason: "PRODUCER_FENCED",
    title: "older session of a name",
    fields: { producerEpoch: 1 },
    prepare: async ({ leader }) => {
      const old = await leader.openProducer("named");
      const { producerId, epoch: producerEpoch } = await leader.openProducer("named");
      const lane = leader.lane();
      await lane.append(["kept"], { producerId, producerEpoch, baseSequence: 0 });
      lane.close();
      return { producerId: old.producerId, producerEpoch: old.epoch };
    },
    refuse: async ({ leader }, producer) =>
      await leader.laneRefusal(plainBatch(["x"], { ...producer, baseSequence: 0 })),
  },
  {
    reason: "INVALID_REQUEST",
    title: "producer name of 1000 characters",
    fields: { field: "name" },
    refuse: async ({ leader }) => await refusalOf(leader.openProducer("n".repeat(1000))),
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "producer session of version 9",
    refuse: async ({ leader }) => await refusalOf(leader.openProducer("", 9)),
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
      return await refusalOf(controller.unary(adminService.createTopic, request, TIMEOUT));
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
      return await refusalOf(controller.unary(adminService.alterTopic, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "page of 1001 topics",
    fields: { field: "pageSize", limit: 1000 },
    refuse: async ({ leader }) => {
      const request = ListTopicsRequest.create({ pageSize: 1001 });
      return await refusalOf(leader.connection.unary(adminService.listTopics, request, TIMEOUT));
    },
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "metadata of version 9",
    refuse: async ({ leader }) => {
      const request = GetMetadataRequest.create({ protocolVersion: 9 });
      return await refusalOf(
        leader.connection.unary(metadataService.getMetadata, request, TIMEOUT),
      );
    },
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "method that does not exist",
    refuse: async ({ leader }) => {
      const method = { ...metadataService.getMetadata, path: "/flotilla.v1.AdminService/Explode" };
      return await refusalOf(leader.connection.unary(method, GetMetadataRequest.create(), TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "describing a topic that never was",
    refuse: async ({ leader }) => {
      const request = DescribeTopicRequest.create({ name: "nowhere" });
      return await refusalOf(leader.connection.unary(adminService.describeTopic, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "deleting a topic that never was",
    refuse: async ({ controller }) => {
      const request = DeleteTopicRequest.create({ name: "nowhere" });
      return await refusalOf(controller.unary(adminService.deleteTopic, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "plain message to partition 99",
    refuse: async ({ leader }) =>
      await refusalOf(leader.publishAll({ partition: 99, messages: [message({})] })),
  },
  {
    reason: "NOT_LEADER",
    title: "plain message at a follower",
    fields: { leaderId: expect.any(Number), leaderEndpoint: expect.any(String) },
    refuse: async ({ follower }) => await refusalOf(follower.publish()),
  },
  {
    reason: "NOT_LEADER",
    title: "reading at a follower",
    fields: { leaderId: expect.any(Number), leaderEndpoint: expect.any(String) },
    refuse: async ({ follower }) => await refusalOf(follower.fetchMessages({})),
  },
  {
    reason: "NOT_ENOUGH_REPLICAS",
    title: "leadership for a node that holds no replica",
    refuse: async ({ leader }) => {
      const request = TransferLeadershipRequest.create({ topic: leader.topic, toNode: 99 });
      return await refusalOf(
        leader.connection.unary(adminService.transferLeadership, request, TIMEOUT),
      );
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
      return await refusalOf(peer.unary(peerService.proposeMetadata, request, TIMEOUT));
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
      await Promise.all(lanes.map(async (lane) => await lane.refusal()));
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
      return await refusalOf(Promise.reject(first.reason));
    },
  },
];

export const ERROR_CASES: readonly ErrorCase[] = [
  ...MESSAGES,
  ...READS,
  ...BATCHES,
  ...LANES,
  ...(PRODUCERS as readonly ErrorCase[]),
  ...ADMIN,
  ...PEERS,
  ...LOAD,
];
