// Every message of the wire, and what is made of messages between brokers.

import { crc32c } from "../../../src/base/crc32c.ts";
import { ImageAssembler } from "../../../src/broker/peer/image-lane.ts";
import { decodeGroupMessage } from "../../../src/broker/peer/message-codec.ts";
import { isBrokerError } from "../../../src/model/errors.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import { PeerEnvelope, SnapshotChunk } from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import * as v1 from "../../../src/rpc/generated/flotilla-v1.ts";
import * as methods from "../../../src/rpc/methods.ts";
import type { Method } from "../../../src/rpc/ports.ts";
import { errorOfStatus } from "../../../src/rpc/status.ts";
import { protobufBytes } from "../inputs.ts";
import { refusing, type Subject } from "../subject.ts";

type AnyMethod = Method<unknown, unknown, "unary" | "bidi" | "server-stream">;

const SERVICES = [
  methods.produceService,
  methods.fetchService,
  methods.metadataService,
  methods.adminService,
  methods.subscriptionService,
  methods.peerService,
] as const;

/** Every rpc there is. */
export const METHODS: readonly AnyMethod[] = SERVICES.flatMap(
  (service) => Object.values(service) as unknown as AnyMethod[],
);

/** Messages with something in them. */
export const MESSAGE_SEEDS: readonly Buffer[] = [
  v1.PublishRequest.encode(
    v1.PublishRequest.create({
      topic: "t",
      partition: 0,
      messages: [v1.PublishMessage.create({ value: Buffer.from("v"), messageId: "m" })],
    }),
  ),
  v1.ProduceRequest.encode(
    v1.ProduceRequest.create({
      open: [v1.OpenLane.create({ topicId: "t", layoutEpoch: 1, protocolVersion: 1, acks: "all" })],
      batches: [v1.LaneBatch.create({ number: 0, batch: Buffer.alloc(80) })],
    }),
  ),
  v1.FetchRequest.encode(
    v1.FetchRequest.create({
      open: [v1.OpenCursor.create({ topicId: "t", offset: 1, protocolVersion: 1 })],
      creditBytes: 1000,
    }),
  ),
  v1.CreateTopicRequest.encode(
    v1.CreateTopicRequest.create({ name: "t", partitions: 1, settings: { acks: "all" } }),
  ),
  v1.FetchMessagesRequest.encode(v1.FetchMessagesRequest.create({ topic: "t", messagesMax: 10 })),
  v1.SubscribeRequest.encode(
    v1.SubscribeRequest.create({
      open: v1.SubscribeOpen.create({
        subscription: "s",
        consumerId: "c",
        protocolVersion: 1,
        form: "messages",
        reportsBegun: true,
        held: [v1.HeldMessages.create({ topicId: "t", ranges: [0, 1, 5, 2] })],
      }),
      creditMessages: 100,
      creditBytes: 1_000_000,
      settle: [v1.Settle.create({ number: 1, deliveryNumber: 1, kind: "ack", ranges: [0, 1] })],
    }),
  ),
  v1.CreateSubscriptionRequest.encode(
    v1.CreateSubscriptionRequest.create({
      definition: v1.SubscriptionDefinition.create({
        name: "s2",
        topics: v1.TopicSelection.create({ names: ["t"] }),
        filter: '{"kind":"sql","expression":"a = 1"}',
        mode: "keyed",
        retry: v1.RetryPolicy.create({ delaysMs: [1, 2] }),
      }),
    }),
  ),
  v1.ExplainRequest.encode(
    v1.ExplainRequest.create({ subscription: "s", topicId: "t", partition: 0, offset: 0 }),
  ),
  v1.SeekRequest.encode(
    v1.SeekRequest.create({ subscription: "s", topicId: "t", kind: "offset", offset: 1 }),
  ),
];

function chunk(meta: string): Buffer {
  const bytes = Buffer.from("image");
  const snapshot = SnapshotChunk.create({
    groupId: 1,
    from: 4097,
    to: 4098,
    term: 1,
    index: 5,
    totalBytes: bytes.length,
    bytes,
    crc: crc32c(bytes),
    meta: Buffer.from(meta),
  });
  return PeerEnvelope.encode(PeerEnvelope.create({ snapshot }));
}

const META = { index: 5, term: 1, membership: { voters: [4097], learners: [] }, logStartIndex: 1 };

const wire: Subject = {
  name: "wire",
  seeds: MESSAGE_SEEDS,
  shapes: protobufBytes,
  run(bytes) {
    for (const { codec } of METHODS) {
      refusing(isBrokerError, () => codec.encodeRequest(codec.decodeRequest(bytes)));
      refusing(isBrokerError, () => codec.encodeResponse(codec.decodeResponse(bytes)));
    }
    errorOfStatus({ code: 8, message: "m", details: bytes });
  },
  cost: 10,
};

const peers: Subject = {
  name: "peer-messages",
  seeds: [
    chunk(JSON.stringify(META)),
    chunk("null"),
    chunk('{"membership":{"voters":"x"}}'),
    ...MESSAGE_SEEDS,
  ],
  shapes: protobufBytes,
  run(bytes) {
    refusing(isBrokerError, () => {
      const envelope = PeerEnvelope.decode(bytes);
      envelope.raft.map(decodeGroupMessage);
      const assembler = new ImageAssembler();
      if (envelope.snapshot !== undefined) assembler.add(1 as NodeId, envelope.snapshot);
    });
  },
};

export const wireSubjects: readonly Subject[] = [wire, peers];
