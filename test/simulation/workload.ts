// What clients do while things go wrong: SDK producers that send in bursts, plain clients that send one message after the
// other, in every class of acknowledgement, and some that ask later what became of it. Everything they see goes into the
// book. Begun by simulate.ts.
import { sleep } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type Client, isBrokerError, type Producer } from "../../src/client/index.ts";
import { plainClient, sdkClient, sendBySdk } from "./clients.ts";
import { Operations, type Placed, type SendPlan } from "./operations.ts";
import { PassingTopics } from "./passing-topics.ts";
import type { TopicPlan, UserPlan } from "./plan/seed-plan.ts";
import type { PublishClient } from "./publish-client.ts";
import { Readers } from "./readers.ts";
import type { SimCluster } from "./sim-cluster.ts";
import type { SimHost } from "./world.ts";

const KEYS_PER_USER = 2;
const SEND_DEADLINE_MS = 8000;
/** Of an SDK user: more are not sent before some are answered. */
const OUTSTANDING_MAX = 40;
const ASK_PROBABILITY = 0.3;
const ASK_AFTER_MS_MAX = 4000;
const ASK_DEADLINE_MS = 3000;

export class Workload {
  readonly operations: Operations;
  readonly passing: PassingTopics;
  readonly #cluster: SimCluster;
  readonly #random: Random;
  readonly #plain: PublishClient;
  readonly #sdk: Client;
  readonly #readers: Readers;
  #isStopped = false;
  #running = 0;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
    this.#random = seededRandom(cluster.world.random.integer(0, 2 ** 32));
    this.operations = new Operations(cluster);
    this.#plain = plainClient(cluster);
    this.#sdk = sdkClient(cluster);
    this.#readers = new Readers(cluster, this.operations, this.#plain, this.#sdk);
    this.passing = new PassingTopics(cluster, this.operations, this.#plain, this.#random);
  }

  /** Readers that were told that what they had read is gone. */
  get divergences(): number {
    return this.#readers.divergences;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  start(): void {
    const { clientHost, plan, sdkHost } = this.#cluster;
    const producer = this.#sdk.producer({ deliveryTimeoutMs: plan.deliveryTimeoutMs });
    for (const user of plan.users) {
      const topic = plan.topics.find(({ name }) => name === user.topic);
      if (topic === undefined) throw new Error(`no topic is called "${user.topic}"`);
      if (user.client === "plain") this.#spawn(clientHost, () => this.#sendPlain(user, topic));
      else this.#spawn(sdkHost, () => this.#sendBursts(producer, user, topic));
    }
    const { asksForBounds, doubtful, hasPassingTopics, plain, sdk } = plan.readers;
    for (const topic of asksForBounds === true ? plan.topics : []) {
      this.#spawn(sdkHost, () => this.#readers.askBounds(topic));
    }
    for (const name of sdk) this.#spawn(sdkHost, () => this.#readers.followBySdk(name));
    for (const { name, partitions } of plan.topics) {
      if (!plain.includes(name)) continue;
      for (let partition = 0; partition < partitions; partition += 1) {
        this.#spawn(clientHost, () => this.#readers.follow(name, partition));
      }
    }
    for (const { name, partitions } of plan.topics) {
      if (doubtful?.includes(name) !== true) continue;
      for (let partition = 0; partition < partitions; partition += 1) {
        this.#spawn(sdkHost, () => this.#readers.followDoubtful(name, partition));
      }
    }
    if (hasPassingTopics) this.#spawn(clientHost, () => this.passing.run());
  }

  /** No new operations; those under way end within their deadlines. */
  stop(): void {
    this.#isStopped = true;
    this.#readers.stop();
    this.passing.stop();
  }

  async #sendPlain(user: UserPlan, topic: TopicPlan): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    while (!this.#isStopped) {
      const plan = this.#planOf(user, topic);
      const value = this.operations.begin(plan);
      const { acks, flush, key } = plan;
      const headers = this.operations.headersFor(plan);
      const message = { topic: topic.name, key, value, headers, acks, flush };
      const end = await this.#plain.send({ ...message, deadlineMs: SEND_DEADLINE_MS });
      if ("receipt" in end) {
        this.operations.acked(topic.name, value, end.receipt, end.receipt.duplicate);
        if (acks === "leader") this.#askLater(topic.name, value, end.receipt);
      } else this.operations.failed(value, end.outcome, end.reason);
      await sleep(clock, this.#random.next() * user.pauseMsMax);
    }
  }

  async #sendBursts(producer: Producer, user: UserPlan, topic: TopicPlan): Promise<void> {
    const { clock } = this.#cluster.sdkHost;
    let outstanding = 0;
    while (!this.#isStopped || outstanding > 0) {
      const count = this.#isStopped ? 0 : this.#random.integer(1, user.burstMax + 1);
      for (let number = 0; number < count && outstanding < OUTSTANDING_MAX; number += 1) {
        outstanding += 1;
        sendBySdk(this.operations, producer, this.#planOf(user, topic), () => {
          outstanding -= 1;
        });
      }
      // Not only when the burst is answered: more may be under way at once.
      await sleep(clock, this.#isStopped ? 100 : this.#random.next() * user.pauseMsMax);
    }
  }

  #planOf({ acks, flush, name: producer }: UserPlan, topic: TopicPlan): SendPlan {
    return {
      producer,
      topic,
      acks,
      flush,
      key: `${producer}-k${this.#random.integer(0, KEYS_PER_USER)}`,
    };
  }

  /** What only the leader acknowledged may be cut off; then a broker says so. */
  #askLater(topic: string, value: string, placed: Placed): void {
    const { clientHost, plan } = this.#cluster;
    const topicId = this.#cluster.topicIdOf(topic);
    if (!plan.readers.asksForOutcomes || topicId === undefined) return;
    if (this.#random.next() >= ASK_PROBABILITY) return;
    const afterMs = this.#random.next() * ASK_AFTER_MS_MAX;
    this.#spawn(clientHost, async () => {
      await sleep(clientHost.clock, afterMs);
      try {
        const outcome = await this.#plain.outcomeOf(topicId, placed, ASK_DEADLINE_MS);
        if (outcome !== undefined) this.operations.judged(value, placed, outcome);
      } catch (error) {
        if (!isBrokerError(error)) throw error;
      }
    });
  }

  #spawn(host: SimHost, run: () => Promise<void>): void {
    this.#running += 1;
    const begin = (): void => {
      run()
        .catch((error: unknown) => {
          this.#cluster.violation("a client failed", error);
        })
        .finally(() => {
          this.#running -= 1;
        });
    };
    this.#cluster.world.schedule(this.#random.next() * 100, begin, host);
  }
}
