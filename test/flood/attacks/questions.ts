// Attacks with questions: metadata, administration and the admin listener, more than anybody needs.
import { connect } from "node:net";
import {
  CreateTopicRequest,
  DeleteTopicRequest,
  DescribeClusterRequest,
  FetchRequest,
  GetMetadataRequest,
  ListTopicsRequest,
  OpenCursor,
} from "../../../src/rpc/generated/flotilla-v1.ts";
import { adminService, fetchService, metadataService } from "../../../src/rpc/methods.ts";
import type { Connection } from "../../../src/rpc/ports.ts";
import { type Attack, pick, portOf, rest } from "../attack.ts";
import { bump } from "../tally.ts";
import { counted, dial, message, openCall, openSession } from "../wire.ts";

const TIMEOUT = { timeoutMs: 8000 };

const metadataStorm: Attack = {
  name: "metadata-storm",
  what: "questions for metadata, 200 at a time on each of 4 connections per broker",
  effects: ["answered", "refused"],
  async run(target, tally, signal) {
    const endpoints = [...target.clients, ...target.clients];
    const connections = [...endpoints, ...endpoints].map((endpoint) => dial(endpoint));
    tally.connected += connections.length;
    const ask = async (connection: Connection): Promise<void> => {
      while (!signal.aborted) {
        await counted(
          tally,
          connection.unary(metadataService.getMetadata, GetMetadataRequest.create(), TIMEOUT),
        );
        await rest(10, signal);
      }
    };
    await Promise.all(
      connections.flatMap((connection) => Array.from({ length: 200 }, () => ask(connection))),
    );
    for (const connection of connections) connection.close();
  },
};

const adminSpam: Attack = {
  name: "admin-spam",
  what: "topics created and deleted, lists and descriptions, names and settings that are wrong",
  effects: ["answered", "refused"],
  async run(target, tally, signal) {
    const connections = target.clients.map((endpoint) => dial(endpoint));
    tally.connected += connections.length;
    const name = (place: number): string => `spam-${place % 8}`;
    const worker = async (place: number): Promise<void> => {
      for (let round = 0; !signal.aborted; round += 1) {
        const connection = pick(connections, place + round);
        const create = CreateTopicRequest.create({ name: name(place), partitions: 2 });
        await counted(tally, connection.unary(adminService.createTopic, create, TIMEOUT));
        const wrong = CreateTopicRequest.create({ name: `a/../${round}`, partitions: 9999 });
        await counted(tally, connection.unary(adminService.createTopic, wrong, TIMEOUT));
        const list = ListTopicsRequest.create();
        await counted(tally, connection.unary(adminService.listTopics, list, TIMEOUT));
        const describe = DescribeClusterRequest.create();
        await counted(tally, connection.unary(adminService.describeCluster, describe, TIMEOUT));
        const remove = DeleteTopicRequest.create({ name: name(place) });
        await counted(tally, connection.unary(adminService.deleteTopic, remove, TIMEOUT));
        await rest(50, signal);
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, place) => worker(place)));
    for (const connection of connections) connection.close();
  },
};

const strayCursors: Attack = {
  name: "stray-cursors",
  what: "50,000 cursors on topics that do not exist in each message, errors unread",
  effects: ["refused", "cut"],
  async run(target, tally, signal) {
    const topicId = "00000000-0000-4000-8000-000000000000";
    const open = Array.from({ length: 50_000 }, (_, cursor) =>
      OpenCursor.create({ cursor, topicId, protocolVersion: 1 }),
    );
    const body = message(FetchRequest.encode(FetchRequest.create({ open })));
    while (!signal.aborted) {
      const sessions = target.clients.map((endpoint) => openSession(endpoint, tally, 0));
      for (let count = 0; count < 10 && !signal.aborted; count += 1) {
        for (const session of sessions) {
          const stream = openCall(session, fetchService.fetch.path, tally);
          for (let copies = 0; copies < 5; copies += 1) stream?.write(body);
        }
        await rest(200, signal);
      }
      await rest(8000, signal);
      for (const session of sessions) session.destroy();
      const connection = dial(pick(target.clients, 0));
      const stream = connection.bidi(fetchService.fetch);
      stream.onMessage = ({ errors }) => bump(tally.refused, errors[0]?.reason ?? "?");
      stream.send(FetchRequest.create({ open: open.slice(0, 1), creditBytes: 1 }));
      await rest(500, signal);
      connection.close();
    }
  },
};

const adminListener: Attack = {
  name: "admin-listener",
  what: "metrics and health pages without pause, and requests that never end, on the admin listener",
  effects: ["answered"],
  async run(target, tally, signal) {
    const ask = async (place: number): Promise<void> => {
      while (!signal.aborted) {
        const page = place % 2 === 0 ? "metrics" : "health?verbose";
        await counted(
          tally,
          fetch(`http://${pick(target.admins, place)}/${page}`, {
            signal: AbortSignal.timeout(5000),
          }).then((answer) => answer.text()),
        );
        await rest(20, signal);
      }
    };
    const dribble = async (place: number): Promise<void> => {
      while (!signal.aborted) {
        const socket = connect(portOf(pick(target.admins, place)));
        socket.on("error", () => undefined);
        socket.once("connect", () => {
          tally.connected += 1;
        });
        socket.once("close", () => {
          tally.cut += 1;
        });
        socket.resume();
        socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        await rest(6000, signal);
        socket.destroy();
      }
    };
    await Promise.all([
      ...Array.from({ length: 12 }, (_, place) => ask(place)),
      ...Array.from({ length: 40 }, (_, place) => dribble(place)),
    ]);
  },
};

export const questionAttacks: readonly Attack[] = [
  metadataStorm,
  adminSpam,
  strayCursors,
  adminListener,
];
