// Attacks with many streams and connections, and with clients that do not read or do not finish what they write.
import {
  FetchMessagesRequest,
  FetchRequest,
  OpenCursor,
} from "../../../src/rpc/generated/flotilla-v1.ts";
import { fetchService, metadataService, produceService } from "../../../src/rpc/methods.ts";
import { type Attack, pick, rest } from "../attack.ts";
import { countError } from "../tally.ts";
import { dial, message, openCall, openSession, zipped } from "../wire.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** So long what was opened is kept before it begins again. */
const HOLD_MS = 12_000;

const manyStreams: Attack = {
  name: "many-streams",
  what: "2,000 produce streams on each of two connections per broker",
  effects: ["refused"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const connections = [...target.clients, ...target.clients].map((endpoint) => dial(endpoint));
      for (let place = 0; place < 2000 && !signal.aborted; place += 1) {
        for (const connection of connections) {
          const stream = connection.bidi(produceService.produce);
          tally.sent += 1;
          stream.onEnd = (error) => {
            if (error !== undefined) countError(tally, error);
          };
        }
        if (place % 50 === 49) await rest(5, signal);
      }
      tally.connected += connections.length;
      await rest(HOLD_MS, signal);
      for (const connection of connections) connection.close();
    }
  },
};

const manyConnections: Attack = {
  name: "many-connections",
  what: "900 gRPC connections to each broker, each kept with one open fetch stream",
  effects: ["refused", "cut"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const sessions = [];
      for (let place = 0; place < 900 * target.clients.length && !signal.aborted; place += 1) {
        const session = openSession(pick(target.clients, place), tally, 65_535);
        openCall(session, fetchService.fetch.path, tally);
        sessions.push(session);
        if (place % 20 === 19) await rest(5, signal);
      }
      await rest(HOLD_MS, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

const slowReaders: Attack = {
  name: "slow-readers",
  what: "fetch streams with boundless credit that never read, 100 on each of 4 connections per broker",
  effects: ["cut", "refused"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const sessions = [];
      for (let place = 0; place < 4 * target.clients.length; place += 1) {
        const session = openSession(pick(target.clients, place), tally, 0);
        for (let count = 0; count < 100; count += 1) {
          const partition = count % target.partitions;
          const open = [
            OpenCursor.create({ topicId: target.topicId, partition, protocolVersion: 1 }),
          ];
          const request = FetchRequest.create({ open, creditBytes: 2 ** 40 });
          const stream = openCall(session, fetchService.fetch.path, tally);
          stream?.write(message(FetchRequest.encode(request)));
          stream?.pause();
        }
        sessions.push(session);
        await rest(20, signal);
      }
      await rest(HOLD_MS, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

const slowAnswers: Attack = {
  name: "slow-answers",
  what: "plain fetches of 8 MiB whose answers nobody reads",
  effects: ["cut", "refused"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const sessions = target.clients.map((endpoint) => openSession(endpoint, tally, 0));
      for (const session of sessions) {
        for (let count = 0; count < 150; count += 1) {
          const request = FetchMessagesRequest.create({
            topic: target.topic,
            partition: count % target.partitions,
            messagesMax: 1000,
            bytesMax: 8 * MIB,
          });
          openCall(session, fetchService.fetchMessages.path, tally)?.end(
            message(FetchMessagesRequest.encode(request)),
          );
        }
      }
      await rest(HOLD_MS / 2, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

const slowWriters: Attack = {
  name: "slow-writers",
  what: "messages declared as 16 MiB, half sent, then a byte a second; 60 on each of 2 connections per broker",
  effects: ["refused"],
  async run(target, tally, signal) {
    const half = Buffer.alloc(8 * MIB);
    while (!signal.aborted) {
      const streams = [];
      const sessions = [...target.clients, ...target.clients].map((endpoint) =>
        openSession(endpoint, tally, 65_535),
      );
      for (const session of sessions) {
        for (let count = 0; count < 60; count += 1) {
          const stream = openCall(session, produceService.publish.path, tally);
          if (stream === undefined) break;
          stream.write(message(Buffer.alloc(1), 16 * MIB));
          stream.write(half);
          streams.push(stream);
        }
        await rest(50, signal);
      }
      for (let seconds = 0; seconds < HOLD_MS / 1000 && !signal.aborted; seconds += 1) {
        await rest(1000, signal);
        for (const stream of streams) if (stream.writable) stream.write(Buffer.alloc(1));
      }
      for (const session of sessions) session.destroy();
    }
  },
};

const idleCalls: Attack = {
  name: "idle-calls",
  what: "calls that never send their request, 200 on each of 20 connections per broker",
  effects: ["refused", "cut"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const sessions = [];
      for (let place = 0; place < 20 * target.clients.length && !signal.aborted; place += 1) {
        const session = openSession(pick(target.clients, place), tally, 65_535);
        for (let count = 0; count < 200; count += 1) {
          openCall(session, metadataService.getMetadata.path, tally);
        }
        sessions.push(session);
        await rest(10, signal);
      }
      await rest(HOLD_MS, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

const compressionBomb: Attack = {
  name: "compression-bomb",
  what: "compressed messages of 30 KiB that become 16 MiB and more",
  effects: ["refused"],
  async run(target, tally, signal) {
    const bomb = zipped(Buffer.alloc(24 * MIB));
    while (!signal.aborted) {
      const sessions = target.clients.map((endpoint) => openSession(endpoint, tally, 65_535));
      for (let count = 0; count < 40 && !signal.aborted; count += 1) {
        for (const session of sessions) {
          const headers = { "grpc-encoding": "gzip" };
          openCall(session, produceService.publish.path, tally, headers)?.end(bomb);
        }
        await rest(20, signal);
      }
      await rest(500, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

export const streamAttacks: readonly Attack[] = [
  manyStreams,
  manyConnections,
  slowReaders,
  slowAnswers,
  slowWriters,
  idleCalls,
  compressionBomb,
];
