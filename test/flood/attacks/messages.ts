// Attacks with messages: too many, too large, malformed, or with a memory that the broker has to keep.
import type { BrokerError } from "../../../src/model/errors.ts";
import { BatchBuilder } from "../../../src/model/record-batch-builder.ts";
import {
  GetMetadataRequest,
  LaneBatch,
  OpenLane,
  OpenProducerRequest,
  ProduceRequest,
  type ProduceResponse,
  PublishMessage,
  PublishRequest,
} from "../../../src/rpc/generated/flotilla-v1.ts";
import { metadataService, produceService } from "../../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../../src/rpc/ports.ts";
import { type Attack, pick, rest, type Target } from "../attack.ts";
import { countError, countReason, type Tally } from "../tally.ts";
import { dial, message, openCall, openSession } from "../wire.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const TIMEOUT = { timeoutMs: 8000 };

type Produce = MessageStream<ProduceRequest, ProduceResponse>;

function openLane(
  connection: Connection,
  target: Target,
  partition: number,
  tally: Tally,
): Produce {
  const stream = connection.bidi(produceService.produce);
  stream.onMessage = (answer) => {
    for (const { baseOffsets } of answer.acks) tally.answered += baseOffsets.length;
    for (const { reason, metadata } of answer.refusals) {
      countReason(tally, reason, metadata["limit"]);
    }
  };
  stream.onEnd = (error) => {
    if (error !== undefined) countError(tally, error);
  };
  const open = { topicId: target.topicId, partition, layoutEpoch: 1, protocolVersion: 1 };
  stream.send(ProduceRequest.create({ open: [OpenLane.create(open)] }));
  return stream;
}

function batchOf(value: Buffer, producer?: { producerId: number; baseSequence: number }): Buffer {
  const builder = new BatchBuilder();
  builder.append(undefined, value, undefined, Date.now());
  return builder.finish(producer === undefined ? undefined : { ...producer, producerEpoch: 0 });
}

/** Sends a batch on a lane of its own until the stream ends. */
function sendBatch(stream: Produce, number: number, batch: Buffer): boolean {
  return stream.send(ProduceRequest.create({ batches: [LaneBatch.create({ number, batch })] }));
}

const bigBatches: Attack = {
  name: "big-batches",
  what: "batches of 8 MiB on 2 streams per broker, one of which reads no acknowledgements",
  effects: ["refused", "answered"],
  async run(target, tally, signal) {
    const batch = batchOf(Buffer.alloc(8 * MIB - KIB));
    while (!signal.aborted) {
      const connections = target.clients.map((endpoint) => dial(endpoint));
      // A starved attacker needs its connections first: afterwards it is busy with making batches.
      const ready = connections.map((connection) =>
        connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), TIMEOUT),
      );
      tally.connected += (await Promise.allSettled(ready)).length;
      const lanes = connections.flatMap((connection) =>
        Array.from({ length: 2 }, (_, place) => {
          const stream = openLane(connection, target, place % target.partitions, tally);
          if (place % 2 === 1) stream.pause();
          return { stream, number: 0, isOpen: true };
        }),
      );
      for (let turns = 0; turns < 150 && !signal.aborted; turns += 1) {
        for (const lane of lanes) {
          if (!lane.isOpen) continue;
          lane.isOpen = sendBatch(lane.stream, lane.number, batch);
          lane.stream.onDrain = () => {
            lane.isOpen = true;
          };
          lane.number += 1;
          tally.sent += 1;
        }
        await rest(100, signal);
      }
      for (const connection of connections) connection.close();
    }
  },
};

const oversized: Attack = {
  name: "oversized",
  what: "messages above 16 MiB",
  effects: ["refused"],
  async run(target, tally, signal) {
    const body = message(Buffer.alloc(16 * MIB + 100 * KIB));
    for (let round = 0; !signal.aborted; round += 1) {
      const session = openSession(pick(target.clients, round), tally, 65_535);
      for (let count = 0; count < 4; count += 1) {
        openCall(session, produceService.publish.path, tally)?.end(body);
      }
      await rest(1500, signal);
      session.destroy();
    }
  },
};

const malformedBatches: Attack = {
  name: "malformed-batches",
  what: "record batches with bytes changed at random, and messages that are no protobuf",
  effects: ["refused"],
  async run(target, tally, signal) {
    const good = batchOf(Buffer.alloc(500, 7));
    for (let round = 0; !signal.aborted; round += 1) {
      const connection = dial(pick(target.clients, round));
      tally.connected += 1;
      for (let count = 0; count < 50 && !signal.aborted; count += 1) {
        const bad = Buffer.from(good);
        for (let change = 0; change < 3; change += 1) {
          bad[Math.floor(Math.random() * bad.length)] = Math.floor(Math.random() * 256);
        }
        sendBatch(openLane(connection, target, count % target.partitions, tally), 0, bad);
        tally.sent += 1;
        if (count % 10 === 9) await rest(10, signal);
      }
      const session = openSession(pick(target.clients, round), tally, 65_535);
      for (let count = 0; count < 20; count += 1) {
        openCall(session, produceService.produce.path, tally)?.write(
          message(Buffer.alloc(100, count * 13 + 7)),
        );
      }
      await rest(300, signal);
      session.destroy();
      connection.close();
    }
  },
};

const strayLanes: Attack = {
  name: "stray-lanes",
  what: "60,000 batches on lanes that do not exist in each message, refusals unread",
  effects: ["refused", "cut"],
  async run(target, tally, signal) {
    const batches = Array.from({ length: 60_000 }, (_, lane) => LaneBatch.create({ lane }));
    const body = message(ProduceRequest.encode(ProduceRequest.create({ batches })));
    while (!signal.aborted) {
      const sessions = target.clients.map((endpoint) => openSession(endpoint, tally, 0));
      for (let count = 0; count < 20 && !signal.aborted; count += 1) {
        for (const session of sessions) {
          const stream = openCall(session, produceService.produce.path, tally);
          for (let copies = 0; copies < 5; copies += 1) stream?.write(body);
        }
        await rest(100, signal);
      }
      await rest(8000, signal);
      for (const session of sessions) session.destroy();
      const connection = dial(pick(target.clients, 0));
      const refusal = await firstRefusal(connection);
      if (refusal !== undefined) countReason(tally, refusal, undefined);
      connection.close();
    }
  },
};

/** The same once more from a client that reads, to see what it is told. */
function firstRefusal(connection: Connection): Promise<string | undefined> {
  return new Promise((resolve) => {
    const stream = connection.bidi(produceService.produce);
    stream.onMessage = (answer) => resolve(answer.refusals[0]?.reason);
    stream.onEnd = (error) => resolve(error?.reason);
    stream.send(ProduceRequest.create({ batches: [LaneBatch.create({ lane: 7 })] }));
    setTimeout(resolve, 5000, undefined).unref();
  });
}

const producersEnMasse: Attack = {
  name: "producers",
  what: "a new idempotent producer for each batch, and a new producer name for every tenth",
  effects: ["answered", "refused"],
  async run(target, tally, signal) {
    const connections = target.clients.map((endpoint) => dial(endpoint));
    tally.connected += connections.length;
    for (let round = 0; !signal.aborted; round += 1) {
      const connection = pick(connections, round);
      const lanes = Array.from({ length: target.partitions }, (_, partition) =>
        openLane(connection, target, partition, tally),
      );
      for (let number = 0; number < 200 && !signal.aborted; number += 1) {
        for (const lane of lanes) {
          const producerId = 2 * Math.floor(Math.random() * 2 ** 40) + 2;
          sendBatch(lane, number, batchOf(Buffer.from("p"), { producerId, baseSequence: 0 }));
          tally.sent += 1;
        }
        if (number % 10 === 9) await rest(10, signal);
      }
      const request = OpenProducerRequest.create({
        name: `flood-${Math.random()}`,
        protocolVersion: 1,
      });
      await connection
        .unary(produceService.openProducer, request, TIMEOUT)
        .catch((error: unknown) => countError(tally, error));
      await rest(20, signal);
      for (const lane of lanes) lane.cancel();
    }
    for (const connection of connections) connection.close();
  },
};

const messageIds: Attack = {
  name: "message-ids",
  what: "plain messages with ids that never repeat, 1,000 in each of 4 calls at a time",
  effects: ["answered", "refused"],
  async run(target, tally, signal) {
    const connections = target.clients.map((endpoint) => dial(endpoint));
    tally.connected += connections.length;
    const value = Buffer.from("m");
    const worker = async (place: number): Promise<void> => {
      for (let round = 0; !signal.aborted; round += 1) {
        const prefix = `${place}-${Math.random().toString(36)}-${"i".repeat(30)}-`;
        const messages = Array.from({ length: 1000 }, (_, n) =>
          PublishMessage.create({ value, messageId: `${prefix}${n}` }),
        );
        const partition = round % target.partitions;
        const request = PublishRequest.create({ topic: target.topic, partition, messages });
        tally.sent += messages.length;
        await pick(connections, place + round)
          .unary(produceService.publish, request, TIMEOUT)
          .then(
            () => {
              tally.answered += 1;
            },
            (error: BrokerError) => {
              countError(tally, error);
              return rest(20, signal);
            },
          );
      }
    };
    await Promise.all([0, 1, 2, 3].map((place) => worker(place)));
    for (const connection of connections) connection.close();
  },
};

export const messageAttacks: readonly Attack[] = [
  bigBatches,
  oversized,
  malformedBatches,
  strayLanes,
  producersEnMasse,
  messageIds,
];
