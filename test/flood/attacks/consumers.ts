// Attacks of consumers: streams that take nothing, settle nothing, settle nonsense, claim what they never got, come and go,
// or are simply too many.
import {
  CreateSubscriptionRequest,
  DeleteSubscriptionRequest,
  HeldMessages,
  Settle,
  SubscribeOpen,
  SubscribeRequest,
  type SubscribeResponse,
  SubscriptionDefinition,
  TopicSelection,
} from "../../../src/rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../../src/rpc/ports.ts";
import { type Attack, pick, rest, type Target } from "../attack.ts";
import { countError, countReason, type Tally } from "../tally.ts";
import { counted, dial, message, openCall, openSession } from "../wire.ts";

/** So long what was opened is kept before it begins again. */
const HOLD_MS = 12_000;
const TIMEOUT = { timeoutMs: 8000 };
const FAR = Number.MAX_SAFE_INTEGER;
const CREDIT = { creditMessages: 2 ** 31, creditBytes: 2 ** 40 };

type Subscribe = MessageStream<SubscribeRequest, SubscribeResponse>;

function opening(
  { subscription }: Target,
  consumerId: string,
  more: Partial<SubscribeOpen> = {},
): SubscribeRequest {
  const open = { subscription, consumerId, protocolVersion: 1, form: "batches", ...more } as const;
  return SubscribeRequest.create({ open: SubscribeOpen.create(open), ...CREDIT });
}

/** A stream that is read, and whose refusals are counted. */
function subscribe(
  connection: Connection,
  tally: Tally,
  onAnswer: (answer: SubscribeResponse) => void = () => undefined,
): Subscribe {
  const stream = connection.bidi(subscriptionService.subscribe);
  tally.sent += 1;
  stream.onMessage = (answer) => {
    tally.answered += answer.deliveries.length + answer.settled.length;
    for (const { reason, metadata } of answer.refusals) {
      countReason(tally, reason, metadata["limit"]);
    }
    onAnswer(answer);
  };
  stream.onEnd = (error) => {
    if (error !== undefined) countError(tally, error);
  };
  return stream;
}

const unreadPushes: Attack = {
  name: "unread-pushes",
  what: "consumers with boundless credit that never read, 100 on each of 4 connections per broker",
  // Answered: headers, which need no window, say that messages would follow.
  effects: ["answered", "cut", "refused"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const sessions = [];
      for (let place = 0; place < 4 * target.clients.length; place += 1) {
        const session = openSession(pick(target.clients, place), tally, 0);
        for (let count = 0; count < 100; count += 1) {
          const request = opening(target, `unread-${place}-${count}`);
          const stream = openCall(session, subscriptionService.subscribe.path, tally);
          stream?.write(message(SubscribeRequest.encode(request)));
          stream?.pause();
          stream?.once("response", (headers) => {
            if (headers["grpc-status"] === undefined) tally.answered += 1;
          });
        }
        sessions.push(session);
        await rest(20, signal);
      }
      await rest(HOLD_MS, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

const hoarders: Attack = {
  name: "hoarders",
  what: "consumers with boundless credit that take everything and settle nothing, 20 per broker",
  effects: ["answered"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const connections = target.clients.map((endpoint) => dial(endpoint));
      tally.connected += connections.length;
      for (const connection of connections) {
        for (let count = 0; count < 20; count += 1) {
          const stream = subscribe(connection, tally);
          stream.send(opening(target, `hoarder-${count}`));
        }
      }
      await rest(HOLD_MS, signal);
      for (const connection of connections) connection.close();
    }
  },
};

/** One message of 2500 settlements of things that nobody has. */
function nonsense(channel: number): SubscribeRequest {
  const kinds = ["ack", "nack", "reject", "release", "extend", "begun"] as const;
  return SubscribeRequest.create({
    settle: Array.from({ length: 2500 }, (_, number) =>
      Settle.create({
        number: number + 1,
        channel: number % 3 === 0 ? channel : number % 7,
        deliveryNumber: number % 5 === 0 ? FAR : 1 + (number % 100),
        kind: pick(kinds, number),
        ranges: number % 2 === 0 ? [0, FAR - 1] : [number, 1, number + 2, 1],
        error: pick(kinds, number) === "nack" ? "x".repeat(256) : "",
      }),
    ),
  });
}

const garbageSettlements: Attack = {
  name: "garbage-settlements",
  what: "settlements of what nobody has, 2,500 in a message, on 4 streams per broker; one stream reads no answers",
  effects: ["refused", "cut"],
  async run(target, tally, signal) {
    const garbage = nonsense(0);
    const bytes = message(SubscribeRequest.encode(garbage));
    while (!signal.aborted) {
      const connections = target.clients.map((endpoint) => dial(endpoint));
      const sessions = target.clients.map((endpoint) => openSession(endpoint, tally, 0));
      const streams = connections.flatMap((connection, broker) =>
        Array.from({ length: 3 }, (_, count) => {
          const stream = subscribe(connection, tally);
          stream.send(opening(target, `garbage-${broker}-${count}`));
          return stream;
        }),
      );
      const unread = sessions.map((session, broker) => {
        const stream = openCall(session, subscriptionService.subscribe.path, tally);
        const open = opening(target, `garbage-unread-${broker}`);
        stream?.write(message(SubscribeRequest.encode(open)));
        return stream;
      });
      for (let round = 0; round < 20 && !signal.aborted; round += 1) {
        for (const stream of streams) stream.send(garbage);
        for (const stream of unread) if (stream?.writable === true) stream.write(bytes);
        await rest(1000, signal);
      }
      for (const connection of connections) connection.close();
      for (const session of sessions) session.destroy();
    }
  },
};

const claims: Attack = {
  name: "claims",
  what: "consumers that claim to hold 8,000 ranges of what they never got, 600 per broker, kept open",
  effects: ["refused", "answered", "cut"],
  async run(target, tally, signal) {
    const ranges = Array.from({ length: 8000 }, (_, at) => (at % 2 === 0 ? at * 1000 : 1));
    const held = [98, 99].map((partition) =>
      HeldMessages.create({ topicId: target.topicId, partition, leaderEpoch: 1, ranges }),
    );
    while (!signal.aborted) {
      const endpoints = [...target.clients, ...target.clients, ...target.clients];
      const connections = endpoints.map((endpoint) => dial(endpoint));
      tally.connected += connections.length;
      for (let count = 0; count < 200 && !signal.aborted; count += 1) {
        for (const [place, connection] of connections.entries()) {
          subscribe(connection, tally).send(opening(target, `claims-${place}-${count}`, { held }));
        }
        await rest(20, signal);
      }
      await rest(HOLD_MS / 2, signal);
      for (const connection of connections) connection.close();
    }
  },
};

const subscriptionStorm: Attack = {
  name: "subscription-storm",
  what: "subscriptions and streams that come and go: 8 at a time created, consumed for a moment and deleted, and 60 streams a second",
  effects: ["answered"],
  async run(target, tally, signal) {
    const connections = target.clients.map((endpoint) => dial(endpoint));
    tally.connected += connections.length;
    const topics = TopicSelection.create({ names: [target.topic] });
    const comeAndGo = async (place: number): Promise<void> => {
      for (let round = 0; !signal.aborted; round += 1) {
        const connection = pick(connections, place + round);
        const name = `storm-${process.pid}-${place}`;
        const definition = SubscriptionDefinition.create({ name, topics, mode: "keyed" });
        const create = CreateSubscriptionRequest.create({ definition });
        await counted(
          tally,
          connection.unary(subscriptionService.createSubscription, create, TIMEOUT),
        );
        const stream = subscribe(connection, tally);
        stream.send(opening({ ...target, subscription: name }, "storm"));
        await rest(200, signal);
        stream.cancel();
        const remove = DeleteSubscriptionRequest.create({ name });
        await counted(
          tally,
          connection.unary(subscriptionService.deleteSubscription, remove, TIMEOUT),
        );
      }
    };
    const flicker = async (): Promise<void> => {
      for (let place = 0; !signal.aborted; place += 1) {
        const stream = subscribe(pick(connections, place), tally);
        stream.send(opening(target, "flicker"));
        await rest(15, signal);
        stream.cancel();
      }
    };
    await Promise.all([flicker(), ...Array.from({ length: 8 }, (_, place) => comeAndGo(place))]);
    for (const connection of connections) connection.close();
  },
};

const SESSIONS = 10_500;
const SESSIONS_PER_CONNECTION = 250;

const manySessions: Attack = {
  name: "many-sessions",
  what: "10,500 consumers of one broker, 250 on a connection, kept open",
  effects: ["refused", "answered"],
  async run(target, tally, signal) {
    while (!signal.aborted) {
      const sessions = [];
      for (let opened = 0; opened < SESSIONS && !signal.aborted; ) {
        const session = openSession(pick(target.clients, 0), tally, 65_535);
        sessions.push(session);
        for (let count = 0; count < SESSIONS_PER_CONNECTION; count += 1) {
          opened += 1;
          const stream = openCall(session, subscriptionService.subscribe.path, tally);
          const open = SubscribeRequest.create({ ...opening(target, `many-${opened}`) });
          const request = { ...open, creditMessages: 1, creditBytes: 1 };
          stream?.write(message(SubscribeRequest.encode(request)));
          stream?.once("data", () => {
            tally.answered += 1;
          });
        }
        await rest(50, signal);
      }
      await rest(HOLD_MS, signal);
      for (const session of sessions) session.destroy();
    }
  },
};

export const consumerAttacks: readonly Attack[] = [
  unreadPushes,
  hoarders,
  garbageSettlements,
  claims,
  subscriptionStorm,
  manySessions,
];
