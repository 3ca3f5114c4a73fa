// A terminal that records, a client that remembers, a context around both.
import { expect } from "vitest";
import type {
  ClientPort,
  ClusterDetails,
  ConsumeWish,
  MoveDetails,
  NodeDetails,
  OutgoingMessage,
  PartitionDetails,
  ProducerWish,
  ReaderWish,
  ReadMessage,
  ReplicaView,
} from "../../src/cli/client-port.ts";
import type { Context } from "../../src/cli/context.ts";
import type { RedriveReport, ShownDeadLetter } from "../../src/cli/dead-letter-port.ts";
import { buildProgram } from "../../src/cli/program.ts";
import type {
  Explanation,
  ParkedKey,
  PartitionProgress,
  Progress,
  SeekAnswer,
  SubscriptionDetails,
} from "../../src/cli/subscription-port.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { loadConfig } from "../../src/config/load-config.ts";
import { BrokerError } from "../../src/model/errors.ts";

export interface Recorder extends Terminal {
  readonly out: string[];
  readonly talk: string[];
}

export function recorder(isInteractive = false, answers: string[] = []): Recorder {
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
    ask: (question) => {
      talk.push(question);
      return Promise.resolve(answers.shift() ?? "");
    },
    isInteractive,
    canTalk: false,
  };
}

export interface FakeClient extends ClientPort {
  readonly calls: unknown[];
  readonly sent: OutgoingMessage[];
  readonly wishes: (ConsumeWish | ProducerWish | ReaderWish)[];
  isClosed: boolean;
}

export const NODE: NodeDetails = {
  nodeId: 1,
  endpoint: "localhost:9001",
  fenced: false,
  leaders: 2,
  replicas: 6,
  lastHeardMs: 400,
  decommissioning: false,
  partitionsLeft: 6,
  metadataVoter: true,
};

export const CLUSTER: ClusterDetails = {
  clusterId: "c-1",
  controllerId: 1,
  metadataTerm: 3,
  leaderlessPartitions: 0,
  underReplicatedPartitions: 0,
  movingPartitions: 0,
  metadataVoters: 3,
  metadataIndex: 9,
  foundingVoters: [1, 2, 3],
  foundingLearners: [],
  nodes: [NODE],
};

export const SUBSCRIPTION: SubscriptionDetails = {
  subscriptionId: "s-1",
  version: 812,
  name: "mail",
  topics: { kind: "names", names: ["orders"] },
  filter: { kind: "tags", tags: ["paid"] },
  mode: "keyed",
  retry: {
    attempts: 16,
    delaysMs: [],
    initialMs: 1000,
    maxMs: 600_000,
    multiplier: 2,
    jitter: 0.2,
  },
  deadLetterTopic: "dlq/mail",
  onFailure: "park",
  ackDeadlineMs: 30_000,
  start: { kind: "earliest" },
  pausedUntilMs: 0,
};

export const PROGRESS: PartitionProgress = {
  topic: "orders",
  partition: 0,
  attached: true,
  cursor: 900,
  highWatermark: 1000,
  unsettledMessages: 100,
  unsettledBytes: 2048,
  oldestUnsettledMs: 0,
  outstandingMessages: 10,
  retryingMessages: 3,
  parkedKeys: 2,
  droppedMessages: 0,
  consumers: 4,
  activeConsumer: "",
  stoppedAtPlusOne: 0,
};

export const LETTER: ShownDeadLetter = {
  topic: "dlq/mail",
  partition: 0,
  offset: 12,
  diedMs: 1_700_000_000_000,
  originTopic: "orders",
  originPartition: 3,
  originOffset: 1200,
  timestampMs: 1_690_000_000_000,
  reason: "attempts",
  error: "no such account: a text that is much longer than what fits into a table",
  failed: 16,
  attempts: [{ timeMs: 1_700_000_000_000, cause: "nack", error: "no such account" }],
  redriven: 1,
  open: true,
  key: Buffer.from("k"),
  value: Buffer.from('{"amount":5}'),
  valueBytes: 12,
  headers: [{ name: "region", value: Buffer.from("eu") }],
};

export const REPORT: RedriveReport = {
  outcome: "done",
  lookedAt: 40,
  matching: 30,
  redriven: 30,
  duplicates: 0,
  held: 0,
};

export interface FakeOptions {
  readonly letters?: readonly ShownDeadLetter[];
  /** Answers to one redrive after the other; afterwards REPORT. */
  readonly redrives?: RedriveReport[];
  readonly subscriptions?: readonly SubscriptionDetails[];
  /** Answers to one question after the other; afterwards one partition of "orders". */
  readonly progress?: (Progress | Error)[];
  /** The same for seeks; afterwards nothing is skipped. */
  readonly seeks?: (readonly SeekAnswer[])[];
  readonly explanation?: Explanation;
  readonly parked?: readonly ParkedKey[];
  /** Other than what is told of a topic's partition. */
  readonly partition?: Partial<PartitionDetails>;
  /** Answers to one question after the other; afterwards CLUSTER. */
  readonly clusters?: ClusterDetails[];
  /** The same for moves; afterwards none. */
  readonly moves?: (readonly MoveDetails[])[];
  /** Metadata index of each answer about moves; afterwards 9, which knows of every change. */
  readonly age?: number[];
  /** Of nodes that answer. */
  readonly replicas?: readonly ReplicaView[];
  /** What is typed; absent: nobody sits at the terminal. */
  readonly typed?: string;
  readonly messages?: readonly ReadMessage[];
  readonly failSend?: (position: number) => Error | undefined;
  /** Values of messages that were not answered yet, as a producer takes them. */
  readonly bufferBytesMax?: number;
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
                recovering: [3],
                leaving: [],
                logStartOffset: 0,
                highWatermark: 1234,
                bytes: 1_572_864,
                ...options.partition,
              },
            ],
          },
        ),
      alterTopic: (name, settings) => answer({ alter: name, settings }, undefined),
      deleteTopic: (name) => answer({ delete: name }, undefined),
      describeCluster: () => Promise.resolve(options.clusters?.shift() ?? CLUSTER),
      members: {
        moveReplica: (move) => answer({ move }, { changed: true, metadataIndex: 9 }),
        cancelMove: (name) =>
          answer({ cancelMove: name }, { changed: options.moves !== undefined, metadataIndex: 9 }),
        listMoves: () => {
          const moves = options.moves?.shift() ?? [];
          return Promise.resolve({
            moves,
            total: moves.length,
            metadataIndex: options.age?.shift() ?? 9,
          });
        },
        decommissionNode: (wish) =>
          answer({ decommission: wish }, { changed: true, partitions: 2, metadataIndex: 9 }),
        cancelDecommission: (nodeId) =>
          answer({ cancel: nodeId }, { changed: nodeId !== 9, partitions: 1, metadataIndex: 9 }),
        rebalance: (execute) =>
          answer(
            { rebalance: execute },
            {
              moves: [{ topic: "orders", partition: 0, fromNode: 1, toNode: 4 }],
              begun: execute ? 1 : 0,
              metadataIndex: 9,
            },
          ),
        setMetadataVoters: (count) => answer({ voters: count }, undefined),
        nodesOf: ({ partition }) => Promise.resolve(partition === 0 ? [2, 1, 3] : []),
        inspectReplica: (nodeId) => {
          const view = options.replicas?.find((one) => one.nodeId === nodeId);
          return view === undefined ? Promise.reject(new Error("gone")) : Promise.resolve(view);
        },
        unsafeRecover: (name, { nodeId }) =>
          answer({ recover: name, from: nodeId }, { replicas: 2, metadataIndex: 9 }),
      },
      subscriptions: {
        create: (wish, validateOnly) =>
          answer({ create: wish, validateOnly }, { subscriptionId: "s-1", topics: ["orders"] }),
        list: (wish) => answer({ list: wish }, options.subscriptions ?? [SUBSCRIPTION]),
        describe: (name) =>
          answer(
            { describe: name },
            {
              subscription: options.subscriptions?.[0] ?? SUBSCRIPTION,
              topics: [{ name: "orders", partitions: 1 }],
            },
          ),
        alter: (name, changes, version) =>
          answer({ alter: name, changes, version }, { version: 813 }),
        pause: (name, untilMs) => answer({ pause: name, untilMs }, undefined),
        resume: (name) => answer({ resume: name }, undefined),
        delete: (name) => answer({ delete: name }, undefined),
        progress: () => {
          const next = options.progress?.shift() ?? { partitions: [PROGRESS], unknown: [] };
          return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
        },
        seek: (name, to, where, dryRun) =>
          answer(
            { seek: name, to, where, dryRun },
            options.seeks?.shift() ?? [
              {
                topic: "orders",
                partition: 0,
                from: 900,
                to: 400,
                skippedMessages: 0,
                repeatedMessages: 500,
              },
            ],
          ),
        explain: (name, message) =>
          answer(
            { explain: name, message },
            options.explanation ?? {
              fate: "ready",
              sentence: "It is handed out as soon as a consumer has credit.",
              handedOut: 0,
              failed: 0,
              failures: [],
            },
          ),
        parkedKeys: (name, where) => answer({ parked: name, where }, options.parked ?? []),
        release: (name, message, skipMessage) =>
          answer({ release: name, message, skipMessage }, undefined),
      },
      deadLetters: {
        async *list(name, wish) {
          await answer({ deadLetters: name, wish }, undefined);
          yield* options.letters ?? [LETTER];
        },
        get: (name, place) => answer({ deadLetter: name, place }, options.letters?.[0] ?? LETTER),
        redrive(name, { onProgress, signal, ...wish }) {
          const report = options.redrives?.shift() ?? REPORT;
          onProgress(report);
          expect(signal.aborted).toBe(false);
          return answer({ redrive: name, wish }, report);
        },
      },
    },
    producer(wish) {
      client.wishes.push(wish);
      let bufferedBytes = 0;
      return {
        // Everything is answered by then.
        async ready() {
          await Promise.resolve();
          bufferedBytes = 0;
        },
        send(message) {
          bufferedBytes += message.value?.length ?? 0;
          const isFull = bufferedBytes > (options.bufferBytesMax ?? Number.POSITIVE_INFINITY);
          const error = isFull
            ? new BrokerError("BUFFER_FULL", "the producer's buffer is full")
            : options.failSend?.(client.sent.length);
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
    async consume(wish) {
      client.wishes.push(wish);
      const messages = (options.messages ?? []).slice(0, wish.countMax);
      await wish.write(messages.map((one) => ({ ...one, attempt: 2 })));
      return messages.length;
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

/** What came of one command line. */
export interface Run {
  readonly terminal: Recorder;
  readonly client: FakeClient;
  readonly help: string;
  readonly error: unknown;
}

/** @param words a line, or the words themselves where one of them has a blank in it */
export async function run(
  words: string | readonly string[],
  options: FakeOptions = {},
): Promise<Run> {
  const { typed } = options;
  const terminal = recorder(typed !== undefined, typed === undefined ? [] : [typed]);
  const client = fakeClient(options);
  const program = buildProgram("1.2.3", fakeContext(client, terminal));
  let help = "";
  const quiet = (command: typeof program): void => {
    command.exitOverride();
    const collect = (text: string): void => {
      help += text;
    };
    command.configureOutput({ writeOut: collect, writeErr: collect });
    for (const child of command.commands) quiet(child);
  };
  quiet(program);
  let error: unknown;
  try {
    const list = typeof words === "string" ? words.split(" ") : [...words];
    await program.parseAsync(list, { from: "user" });
  } catch (thrown) {
    error = thrown;
  }
  return { terminal, client, help, error };
}
