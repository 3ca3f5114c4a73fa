// A terminal that records, a client that remembers, a context around both.
import type {
  ClientPort,
  OutgoingMessage,
  ProducerWish,
  ReaderWish,
  ReadMessage,
} from "../../src/cli/client-port.ts";
import type { Context } from "../../src/cli/context.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { loadConfig } from "../../src/config/load-config.ts";

export interface Recorder extends Terminal {
  readonly out: string[];
  readonly talk: string[];
}

export function recorder(isInteractive = false): Recorder {
  const out: string[] = [];
  const talk: string[] = [];
  return {
    out,
    talk,
    line: (text) => void out.push(`${text}\n`),
    write: (bytes) => {
      out.push(Buffer.from(bytes).toString("utf8"));
      return Promise.resolve();
    },
    note: (text) => void talk.push(text),
    status: () => undefined,
    isInteractive,
    canTalk: false,
  };
}

export interface FakeClient extends ClientPort {
  readonly calls: unknown[];
  readonly sent: OutgoingMessage[];
  readonly wishes: (ProducerWish | ReaderWish)[];
  isClosed: boolean;
}

export interface FakeOptions {
  readonly messages?: readonly ReadMessage[];
  readonly failSend?: (position: number) => Error | undefined;
}

export function fakeClient(options: FakeOptions = {}): FakeClient {
  const client: FakeClient = {
    calls: [],
    sent: [],
    wishes: [],
    isClosed: false,
    admin: {
      createTopic: (topic) => answer({ create: topic }, { topicId: "id-1" }),
      listTopics: (prefix) =>
        answer({ list: prefix }, [
          {
            name: "orders",
            topicId: "id-1",
            partitions: 6,
            replicationFactor: 3,
            durability: "all/sync",
          },
        ]),
      describeTopic: (name) =>
        answer(
          { describe: name },
          {
            topic: {
              name,
              topicId: "id-1",
              partitions: 1,
              replicationFactor: 3,
              durability: "all/sync",
            },
            settings: [{ name: "flush", value: "sync", isDefault: true }],
            partitions: [
              {
                partition: 0,
                leaderId: 2,
                leaderEpoch: 5,
                replicas: [2, 1, 3],
                inSync: [1, 2],
                logStartOffset: 0,
                highWatermark: 1234,
                bytes: 1_572_864,
              },
            ],
          },
        ),
      alterTopic: (name, settings) => answer({ alter: name, settings }, undefined),
      deleteTopic: (name) => answer({ delete: name }, undefined),
      describeCluster: () => Promise.reject(new Error("not used")),
    },
    producer(wish) {
      client.wishes.push(wish);
      return {
        send(message) {
          const error = options.failSend?.(client.sent.length);
          client.sent.push(message);
          if (error !== undefined) return Promise.reject(error);
          const offset = client.sent.length - 1;
          return Promise.resolve({
            partition: 0,
            offset,
            leaderEpoch: 1,
            acks: "all",
            flush: "sync",
            duplicate: false,
          });
        },
        close: () => Promise.resolve(),
      };
    },
    async *read(wish) {
      client.wishes.push(wish);
      await Promise.resolve();
      yield* options.messages ?? [];
    },
    close() {
      client.isClosed = true;
      return Promise.resolve();
    },
  };
  const answer = <T>(call: unknown, result: T): Promise<T> => {
    client.calls.push(call);
    return Promise.resolve(result);
  };
  return client;
}

export function fakeContext(client: ClientPort, terminal: Terminal): Context {
  return {
    terminal,
    environment: {},
    signal: new AbortController().signal,
    connect: () => Promise.resolve(client),
    loadConfig: (path) => Promise.resolve(loadConfig(path)),
  };
}

export function message(offset: number, fields: Partial<ReadMessage> = {}): ReadMessage {
  return {
    topic: "orders",
    partition: 3,
    offset,
    leaderEpoch: 7,
    timestampMs: 1_700_000_000_000,
    key: Buffer.from("k1"),
    value: Buffer.from(`value ${offset}`),
    headers: [{ name: "source", value: Buffer.from("shop") }],
    ...fields,
  };
}
