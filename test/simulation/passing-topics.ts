// Topics that come and go while things go wrong: made, written to, some deleted again. Whoever was told that a topic was
// made must find it later, with what was acknowledged; what was deleted must be gone from every disk that knows of it.
// Run by the workload, looked at by the calm phase and the final reads.
import { sleep } from "../../src/base/clock.ts";
import type { Random } from "../../src/base/random.ts";
import { isBrokerError } from "../../src/client/index.ts";
import type { Operations } from "./operations.ts";
import type { TopicPlan } from "./plan/seed-plan.ts";
import type { PublishClient } from "./publish-client.ts";
import type { SimCluster } from "./sim-cluster.ts";

const PAUSE_MS_MAX = 9000;
const CALL_DEADLINE_MS = 8000;
const SENDS_MAX = 5;

export class PassingTopics {
  /** Made, and nobody tried to delete them. */
  readonly kept: TopicPlan[] = [];
  readonly #deleted = new Set<string>();
  readonly #cluster: SimCluster;
  readonly #operations: Operations;
  readonly #client: PublishClient;
  readonly #random: Random;
  #isStopped = false;

  constructor(cluster: SimCluster, operations: Operations, client: PublishClient, random: Random) {
    this.#cluster = cluster;
    this.#operations = operations;
    this.#client = client;
    this.#random = random;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** What a broker still knows although its deletion was acknowledged. */
  leftOvers(): string[] {
    const found = new Set<string>();
    for (const { node } of this.#cluster.brokers) {
      for (const { name } of node?.view.image.topics.values() ?? []) {
        if (this.#deleted.has(name)) found.add(name);
      }
    }
    return [...found];
  }

  async run(): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    for (let number = 1; !this.#isStopped; number += 1) {
      await sleep(clock, this.#random.next() * PAUSE_MS_MAX);
      if (this.#isStopped) return;
      const topic: TopicPlan = {
        name: `passing-${number}`,
        partitions: 1,
        flush: "sync",
        isRolling: false,
        valueBytes: 0,
      };
      if (!(await this.#attempt(() => this.#create(topic)))) continue;
      await this.#write(topic);
      if (this.#random.next() < 0.5) this.kept.push(topic);
      else await this.#attempt(() => this.#delete(topic));
    }
  }

  #create(topic: TopicPlan): Promise<void> {
    return this.#client.createTopic(topic, CALL_DEADLINE_MS);
  }

  async #delete({ name }: TopicPlan): Promise<void> {
    await this.#client.deleteTopic(name, CALL_DEADLINE_MS);
    this.#deleted.add(name);
  }

  /** Sends nobody waits for the end of: with them the topic is gone, or it is kept and they are read at the end. */
  async #write(topic: TopicPlan): Promise<void> {
    const count = this.#random.integer(1, SENDS_MAX);
    for (let number = 0; number < count && !this.#isStopped; number += 1) {
      const plan = { producer: topic.name, topic, key: "k", acks: "all" } as const;
      const value = this.#operations.begin(plan);
      const message = { topic: topic.name, key: "k", value, deadlineMs: CALL_DEADLINE_MS };
      const end = await this.#client.send(message);
      if ("receipt" in end) {
        this.#operations.acked(topic.name, value, end.receipt, end.receipt.duplicate);
      } else this.#operations.failed(value, end.outcome, end.reason);
    }
  }

  /** @returns whether it was answered with success */
  async #attempt(call: () => Promise<void>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      return false;
    }
  }
}
