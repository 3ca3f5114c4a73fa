// Refusals of what producers send: plain messages, batches, lanes, sequences. See error-cases.ts.
import { expect } from "vitest";
import { BATCH_BYTES_MAX } from "../../src/model/limits.ts";
import {
  Header,
  LaneBatch,
  OpenLane,
  type OpenProducerRequest,
  type PublishMessage,
  ResumeLane,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { produceService } from "../../src/rpc/methods.ts";
import { plainBatch } from "../support/batches.ts";
import { refusalOf, type WireClient } from "../support/wire-client.ts";
import { type Ends, type ErrorCase, message, TIMEOUT } from "./error-case.ts";

/** INVALID_REQUEST of a plain message, by the field that is named. */
function invalidMessage(title: string, field: string, fields: Partial<PublishMessage>): ErrorCase {
  return {
    reason: "INVALID_REQUEST",
    title,
    fields: { field },
    refuse: async ({ leader }) => refusalOf(leader.publish(fields)),
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
    refuse: async ({ leader }) => refusalOf(leader.publishAll({ messages: [] })),
  },
  {
    reason: "INVALID_REQUEST",
    title: "1001 messages",
    fields: { field: "messages", limit: 1000 },
    refuse: async ({ leader }) => {
      const messages = Array.from({ length: 1001 }, () => message({ value: Buffer.from("v") }));
      return refusalOf(leader.publishAll({ messages }));
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
      return refusalOf(call);
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
    refuse: async ({ leader }) => leader.laneRefusal(batch),
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
    refuse: async ({ leader }) => leader.laneRefusal(Buffer.alloc(BATCH_BYTES_MAX + 1)),
  },
  {
    reason: "RECORD_TOO_LARGE",
    title: "batch above the topic's limit",
    fields: { bytesMax: 1000 },
    refuse: async ({ strict }) => strict.laneRefusal(plainBatch([Buffer.alloc(1000)])),
  },
  {
    reason: "RECORD_TOO_LARGE",
    title: "plain message above the topic's limit",
    fields: { bytesMax: 1000 },
    refuse: async ({ strict }) => refusalOf(strict.publish({ value: Buffer.alloc(1001) })),
  },
  {
    reason: "ACKS_TOO_WEAK",
    title: "acks=leader where min.acks=all (plain)",
    fields: { minAcks: "all" },
    refuse: async ({ strict }) =>
      refusalOf(strict.publishAll({ messages: [message({})], acks: "leader" })),
  },
  {
    reason: "ACKS_TOO_WEAK",
    title: "acks=none where min.acks=all (lane)",
    fields: { minAcks: "all" },
    refuse: async ({ strict }) => strict.laneRefusal(plainBatch(["x"]), { acks: "none" }),
  },
  {
    reason: "STALE_LAYOUT",
    title: "lane with another layout",
    fields: { layoutEpoch: 1 },
    refuse: async ({ leader }) => leader.laneRefusal(plainBatch(["x"]), { layoutEpoch: 7 }),
  },
  {
    reason: "UNSUPPORTED_VERSION",
    title: "lane of version 2",
    fields: { versionMin: 1, versionMax: 1 },
    refuse: async ({ leader }) => leader.laneRefusal(plainBatch(["x"]), { protocolVersion: 2 }),
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "lane on a partition that never was",
    refuse: async ({ leader }) => leader.laneRefusal(plainBatch(["x"]), { partition: 99 }),
  },
  {
    reason: "NOT_LEADER",
    title: "lane at a follower",
    fields: { leaderId: expect.any(Number), leaderEndpoint: expect.any(String) },
    refuse: async ({ follower }) => follower.laneRefusal(plainBatch(["x"])),
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

function badOpening(
  field: string,
  limit: number | string,
  name: string,
  more: Partial<OpenProducerRequest> = {},
): ErrorCase<Session> {
  return {
    reason: "INVALID_REQUEST",
    title: `opening of a producer with a bad ${field} (${limit})`,
    fields: { field, limit },
    refuse: async ({ leader }) => refusalOf(leader.openProducer(name, more)),
  };
}

const PRODUCERS: readonly ErrorCase<Session>[] = [
  {
    reason: "SEQUENCE_GAP",
    title: "sequence 5 after 0",
    fields: { expected: 1 },
    prepare: async (ends) => session(ends, 1),
    refuse: async ({ leader }, producer) =>
      leader.laneRefusal(plainBatch(["x"], { ...producer, baseSequence: 5 })),
  },
  {
    reason: "UNKNOWN_PRODUCER",
    title: "first batch with sequence 3",
    prepare: async (ends) => session(ends, 0),
    refuse: async ({ leader }, producer) =>
      leader.laneRefusal(plainBatch(["x"], { ...producer, baseSequence: 3 })),
  },
  {
    reason: "DUPLICATE_OUT_OF_WINDOW",
    title: "retry of a batch 20 batches old",
    prepare: async (ends) => session(ends, 21),
    refuse: async ({ leader }, producer) =>
      leader.laneRefusal(plainBatch(["kept"], { ...producer, baseSequence: 0 })),
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
      leader.laneRefusal(plainBatch(["x"], { ...producer, baseSequence: 0 })),
  },
  {
    reason: "PRODUCER_FENCED",
    title: "a name opened again in exchange for a session that it has no longer",
    fields: { producerEpoch: 1 },
    prepare: async ({ follower }) => {
      const token = "drawn once";
      const old = await follower.openProducer("exchanged", { token });
      // Lost answers do not count: the session is the same one.
      const { producerId, epoch } = await follower.openProducer("exchanged", { token });
      if (epoch !== old.epoch) throw new Error("the repetition led to another session");
      await follower.openProducer("exchanged");
      return { producerId, producerEpoch: epoch };
    },
    refuse: async ({ leader }, { producerId, producerEpoch: epoch }) =>
      refusalOf(leader.openProducer("exchanged", { previous: { producerId, epoch } })),
  },
  badOpening("name", 255, "n".repeat(1000)),
  badOpening("token", 64, "named", { token: "t".repeat(65) }),
  badOpening("token", "only with a name", "", { token: "t" }),
  badOpening("previous", "only with a name", "", { previous: { producerId: 2, epoch: 0 } }),
  badOpening("previous.epoch", 32_767, "named", { previous: { producerId: 2, epoch: 32_768 } }),
  {
    reason: "UNSUPPORTED_VERSION",
    title: "producer session of version 9",
    refuse: async ({ leader }) => refusalOf(leader.openProducer("", { protocolVersion: 9 })),
  },
];

export const PRODUCE_CASES: readonly ErrorCase[] = [
  ...MESSAGES,
  ...BATCHES,
  ...LANES,
  ...(PRODUCERS as readonly ErrorCase[]),
];
