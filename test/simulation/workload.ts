// What clients do while things go wrong: SDK producers that send in bursts, plain clients that send one message after the
// other, and readers that follow, in every class of acknowledgement. Everything they see goes into the history. Begun by
// simulate.ts.
import { sleep } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type Client, createClient, isBrokerError, type Producer } from "../../src/client/index.ts";
import { Operations, type SendPlan } from "./operations.ts";
import { PublishClient } from "./publish-client.ts";
import type { SimCluster } from "./sim-cluster.ts";
import { FEED, LEDGER, ROLLING, type SimTopic } from "./topics.ts";
import type { SimHost } from "./world.ts";

interface User {
  readonly name: string;
  readonly topic: SimTopic;
  readonly acks: SendPlan["acks"];
}

const KEYS_PER_USER = 2;
const PLAIN_PAUSE_MS_MAX = 500;
const SDK_PAUSE_MS_MAX = 1500;
const SEND_DEADLINE_MS = 8000;
const READ_DEADLINE_MS = 5000;
const READ_PAUSE_MS = 400;
/** Check-quorum takes less, so nobody refuses for longer what was committed. */
const DEPOSED_MS_MAX = 4000;
/** Of an SDK user: more are not sent before some are answered. */
const OUTSTANDING_MAX = 40;
const BURST_MAX = 6;

export class Workload {
  readonly operations: Operations;
  readonly #cluster: SimCluster;
  readonly #random: Random;
  readonly #plain: PublishClient;
  readonly #sdk: Client;
  readonly #readers = new AbortController();
  #isStopped = false;
  #running = 0;

  constructor(cluster: SimCluster) {
    const { history, world } = cluster;
    this.#cluster = cluster;
    this.#random = seededRandom(world.random.integer(0, 2 ** 32));
    this.operations = new Operations(history, world);
    this.#plain = plainClient(cluster);
    this.#sdk = sdkClient(cluster);
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  /** @param isForgiven topics whose committed records these faults may take: nobody follows those */
  start(isForgiven: (topic: SimTopic) => boolean): void {
    const { clientHost, sdkHost } = this.#cluster;
    const plain = [
      ...users("plain", LEDGER, "all", 2),
      ...users("plain", FEED, "all", 2),
      ...users("plain", LEDGER, "leader", 1),
      ...users("plain", ROLLING, "all", 2),
    ];
    for (const user of plain) this.#spawn(clientHost, () => this.#sendPlain(user));
    const deliveryTimeoutMs = this.#random.next() < 0.5 ? 4000 : 15_000;
    for (let number = 0; number < 2; number += 1) {
      const name = `sdk${number}`;
      const producer = this.#sdk.producer({ deliveryTimeoutMs });
      const sdk = [
        ...users(name, LEDGER, "all", 1),
        ...users(name, FEED, "all", 1),
        ...users(name, number === 0 ? LEDGER : FEED, "leader", 1),
      ];
      for (const user of sdk) this.#spawn(sdkHost, () => this.#sendBursts(producer, user));
    }
    this.#spawn(sdkHost, () => this.#followBySdk(LEDGER));
    if (isForgiven(FEED)) return;
    for (let partition = 0; partition < FEED.partitions; partition += 1) {
      this.#spawn(clientHost, () => this.#follow(FEED, partition));
    }
  }

  /** No new operations; those under way end within their deadlines. */
  stop(): void {
    this.#isStopped = true;
    this.#readers.abort(new Error("the workload ends"));
  }

  async #sendPlain(user: User): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    const { acks, name: producer, topic } = user;
    while (!this.#isStopped) {
      const key = this.#keyOf(user);
      const value = this.operations.begin({ producer, topic, key, acks });
      const message = { topic: topic.name, key, value, acks, deadlineMs: SEND_DEADLINE_MS };
      const end = await this.#plain.send(message);
      if ("receipt" in end) this.operations.acked(value, end.receipt, end.receipt.duplicate);
      else this.operations.failed(value, end.outcome, end.reason);
      await sleep(clock, this.#random.next() * PLAIN_PAUSE_MS_MAX);
    }
  }

  async #sendBursts(producer: Producer, user: User): Promise<void> {
    const { clock } = this.#cluster.sdkHost;
    let outstanding = 0;
    while (!this.#isStopped || outstanding > 0) {
      const count = this.#isStopped ? 0 : this.#random.integer(1, BURST_MAX + 1);
      for (let number = 0; number < count && outstanding < OUTSTANDING_MAX; number += 1) {
        outstanding += 1;
        sendBySdk(this.operations, producer, { ...this.#planOf(user) }, () => {
          outstanding -= 1;
        });
      }
      await sleep(clock, this.#random.next() * SDK_PAUSE_MS_MAX);
    }
  }

  #planOf(user: User): SendPlan {
    return { producer: user.name, topic: user.topic, acks: user.acks, key: this.#keyOf(user) };
  }

  #keyOf(user: User): string {
    return `${user.name}-k${this.#random.integer(0, KEYS_PER_USER)}`;
  }

  async #follow(topic: SimTopic, partition: number): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    const reader = `follower-${topic.name}-${partition}`;
    let offset = 0;
    let refusedSinceMs: number | undefined;
    while (!this.#isStopped) {
      try {
        const from = offset;
        const beganMs = this.#cluster.world.nowMs;
        const page = await this.#plain.fetch(topic.name, partition, from, READ_DEADLINE_MS);
        offset = page.nextOffset;
        const answer = { from, next: offset, beganMs, records: page.messages };
        this.operations.polled(reader, topic.name, partition, answer);
        refusedSinceMs = undefined;
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        if (error.reason === "OFFSET_OUT_OF_RANGE") {
          // A deposed leader that has not noticed yet may be behind what the reader saw.
          refusedSinceMs ??= clock.monotonicMs();
          if (clock.monotonicMs() - refusedSinceMs > DEPOSED_MS_MAX) {
            this.#cluster.violation(`${reader} at ${offset}: ${error.message}`);
          }
        }
      }
      await sleep(clock, READ_PAUSE_MS);
    }
  }

  async #followBySdk(topic: SimTopic): Promise<void> {
    const { signal } = this.#readers;
    const reader = this.#sdk.reader({ topic: topic.name, signal });
    try {
      for await (const message of reader) this.operations.read("sdk-follower", topic.name, message);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #spawn(host: SimHost, run: () => Promise<void>): void {
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
    this.#cluster.world.schedule(this.#random.next() * 100, begin, host);
  }
}

/** One send by the SDK, in the book from beginning to end. */
export function sendBySdk(
  operations: Operations,
  producer: Producer,
  plan: SendPlan & { readonly partition?: number },
  done: (isAcked: boolean) => void,
): void {
  const { acks, key, partition, topic } = plan;
  const value = operations.begin(plan);
  const message = { topic: topic.name, key, value, partition };
  producer.sendAsync(
    message,
    (error, receipt) => {
      if (receipt !== undefined) operations.acked(value, receipt, receipt.duplicate);
      else operations.failed(value, error?.outcome ?? "unknown", error?.reason ?? "none");
      done(receipt !== undefined);
    },
    { acks },
  );
}

function users(prefix: string, topic: SimTopic, acks: User["acks"], count: number): User[] {
  return Array.from({ length: count }, (_, number) => {
    return { name: `${prefix}-${topic.name}-${acks}-${number}`, topic, acks };
  });
}

export function plainClient(cluster: SimCluster): PublishClient {
  const { bootstrap, clientHost, network, world } = cluster;
  return new PublishClient({
    connector: network.connector(clientHost),
    bootstrap,
    clock: clientHost.clock,
    random: seededRandom(world.random.integer(0, 2 ** 32)),
  });
}

export function sdkClient(cluster: SimCluster): Client {
  const { bootstrap, network, sdkHost, world } = cluster;
  return createClient({
    connector: network.connector(sdkHost),
    bootstrap,
    clock: sdkHost.clock,
    random: seededRandom(world.random.integer(0, 2 ** 32)),
    logger: {
      debug: () => undefined,
      info: () => undefined,
      warn: (fields, message) => cluster.line(`sdk warn: ${message} ${JSON.stringify(fields)}`),
    },
  });
}
