// What clients do while things go wrong: users that send unique values under keys, one after the other, in every class of
// acknowledgement, and readers that follow. Everything they see goes into the history. Begun by simulate.ts.
import { sleep } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { Acks, Flush } from "../../src/model/durability.ts";
import { isBrokerError } from "../../src/model/errors.ts";
import type { DurabilityClass } from "../../src/testkit/index.ts";
import { PublishClient, type SendOutcome } from "./publish-client.ts";
import type { SimCluster } from "./sim-cluster.ts";

export interface SimTopic {
  readonly name: string;
  readonly partitions: number;
  readonly flush: Flush;
  /** Old records go, so that logs are cut and replicas that were away need images. */
  readonly isRolling: boolean;
  readonly settings: Readonly<Record<string, string>>;
}

const ROLLING = { "segment.bytes": String(64 * 1024), "retention.bytes": String(128 * 1024) };

export const TOPICS: readonly SimTopic[] = [
  { name: "ledger", partitions: 2, flush: "sync", isRolling: false, settings: { flush: "sync" } },
  { name: "feed", partitions: 2, flush: "async", isRolling: false, settings: { flush: "async" } },
  {
    name: "rolling",
    partitions: 1,
    flush: "sync",
    isRolling: true,
    settings: { flush: "sync", ...ROLLING },
  },
];

interface User {
  readonly name: string;
  readonly topic: SimTopic;
  readonly acks: Exclude<Acks, "none">;
  readonly keys: readonly string[];
  readonly pauseMsMax: number;
  readonly valueBytes: number;
}

const SEND_DEADLINE_MS = 8000;
const READ_DEADLINE_MS = 5000;
const READ_PAUSE_MS = 400;

export class Workload {
  sends = 0;
  acks = 0;
  failures = 0;
  readonly client: PublishClient;
  readonly #cluster: SimCluster;
  readonly #random: Random;
  #isStopped = false;
  #running = 0;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
    const { clientHost: host, world } = cluster;
    this.#random = seededRandom(world.random.integer(0, 2 ** 32));
    this.client = newClient(cluster);
    void host;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  /** @param forgives topics whose committed records these faults may take: followers do not witness those */
  start(forgives: (topic: SimTopic) => boolean): void {
    for (const user of this.#users()) this.#spawn(() => this.#send(user));
    for (const topic of TOPICS) {
      if (topic.isRolling || forgives(topic)) continue;
      for (let partition = 0; partition < topic.partitions; partition += 1) {
        this.#spawn(() => this.#follow(topic.name, partition));
      }
    }
  }

  /** No new operations; those under way end within their deadlines. */
  stop(): void {
    this.#isStopped = true;
  }

  /** One send with its history. @returns whether it was acknowledged */
  async sendOne(user: User, key: string, partition?: number): Promise<boolean> {
    const { clientHost, history } = this.#cluster;
    this.sends += 1;
    const value = `${user.name}-${this.sends}`.padEnd(user.valueBytes, ".");
    const topic = user.topic.name;
    const durability = `${user.acks}/${user.topic.flush}` as DurabilityClass;
    const { clock } = clientHost;
    const send = { producer: user.name, topic, key, value, durability };
    history.add({ type: "send", atMs: clock.monotonicMs(), ...send });
    const outcome = await this.client.send({
      topic,
      key,
      value,
      partition,
      acks: user.acks,
      deadlineMs: SEND_DEADLINE_MS,
    });
    this.#note(value, outcome);
    return "receipt" in outcome;
  }

  #note(value: string, outcome: SendOutcome): void {
    const { history, world } = this.#cluster;
    const atMs = world.nowMs;
    if (!("receipt" in outcome)) {
      this.failures += 1;
      history.add({ type: "fail", atMs, value, ...outcome });
      world.trace(`fail ${value} ${outcome.reason}`);
      return;
    }
    this.acks += 1;
    const { duplicate, leaderEpoch, offset, partition } = outcome.receipt;
    history.add({ type: "ack", atMs, value, partition, offset, leaderEpoch, duplicate });
    world.trace(`ack ${value.slice(0, 40)} ${partition}@${offset}`);
  }

  #users(): User[] {
    const [ledger, feed, rolling] = TOPICS;
    if (ledger === undefined || feed === undefined || rolling === undefined) return [];
    const make = (topic: SimTopic, acks: User["acks"], count: number, valueBytes = 0): User[] =>
      Array.from({ length: count }, (_, at) => {
        const name = `${topic.name}-${acks}-${at}`;
        const keys = [0, 1].map((number) => `${name}-k${number}`);
        return { name, topic, acks, keys, pauseMsMax: 300, valueBytes };
      });
    return [
      ...make(ledger, "all", 4),
      ...make(feed, "all", 4),
      ...make(ledger, "leader", 1),
      ...make(feed, "leader", 1),
      ...make(rolling, "all", 2, 3000),
    ];
  }

  async #send(user: User): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    while (!this.#isStopped) {
      const key = user.keys[this.#random.integer(0, user.keys.length)] ?? "";
      await this.sendOne(user, key);
      await sleep(clock, this.#random.next() * user.pauseMsMax);
    }
  }

  async #follow(topic: string, partition: number): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    const reader = `follower-${topic}-${partition}`;
    let offset = 0;
    while (!this.#isStopped) {
      try {
        const page = await this.client.fetch(topic, partition, offset, READ_DEADLINE_MS);
        recordPage(this.#cluster, reader, topic, page.messages);
        offset = page.nextOffset;
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        if (error.reason === "OFFSET_OUT_OF_RANGE") {
          this.#cluster.violation(`${reader} at ${offset}: ${error.message}`);
        }
      }
      await sleep(clock, READ_PAUSE_MS);
    }
  }

  #spawn(run: () => Promise<void>): void {
    const { clientHost, world } = this.#cluster;
    this.#running += 1;
    const begin = (): void => {
      run()
        .catch((error: unknown) => {
          this.#cluster.violation(`client failed: ${(error as Error).stack ?? String(error)}`);
        })
        .finally(() => {
          this.#running -= 1;
        });
    };
    world.schedule(this.#random.next() * 100, begin, clientHost);
  }
}

export function newClient(cluster: SimCluster): PublishClient {
  const { bootstrap, clientHost, network, world } = cluster;
  return new PublishClient({
    connector: network.connector(clientHost),
    bootstrap,
    clock: clientHost.clock,
    random: seededRandom(world.random.integer(0, 2 ** 32)),
  });
}

/** A user of the last phase: one acknowledged send per partition shows that the cluster works again. */
export function lastUser(topic: SimTopic): User {
  return {
    name: `last-${topic.name}`,
    topic,
    acks: "all",
    keys: [],
    pauseMsMax: 0,
    valueBytes: 0,
  };
}

interface ReadMessage {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly key?: Buffer | undefined;
  readonly value?: Buffer | undefined;
}

export function recordPage(
  { history, world }: SimCluster,
  reader: string,
  topic: string,
  messages: readonly ReadMessage[],
): void {
  const atMs = world.nowMs;
  for (const { partition, offset, leaderEpoch, key, value } of messages) {
    const place = { reader, topic, partition, offset, leaderEpoch };
    const record = { key: key?.toString(), value: value?.toString() ?? "" };
    history.add({ type: "read", atMs, ...place, ...record });
    world.trace(`read ${reader} ${partition}@${offset} ${record.value.slice(0, 40)}`);
  }
}
