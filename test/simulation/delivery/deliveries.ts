// All subscriptions of a run: created before the load, disturbed with everything else, brought to rest in the calm phase,
// written into the history for the judge. Made by simulate.ts.
import { seededRandom } from "../../../src/base/random.ts";
import { createClient } from "../../../src/client/index.ts";
import { DeliveryRecorder } from "../../../src/testkit/index.ts";
import type { TopicPlan } from "../plan/seed-plan.ts";
import type { SimCluster } from "../sim-cluster.ts";
import type { SimConsumer } from "./sim-consumer.ts";
import { SimSubscription } from "./sim-subscription.ts";

const CREATE_LIMIT_MS = 40_000;
const REST_LIMIT_MS = 60_000;
const CLOSE_LIMIT_MS = 30_000;
/** Leaders replicate how many consumers there are at most once a second. */
const NOTES_MS = 2500;
const ASK_LIMIT_MS = 40_000;
const POLL_MS = 50;

export class Deliveries {
  readonly recorder: DeliveryRecorder;
  readonly subscriptions: readonly SimSubscription[];
  readonly #cluster: SimCluster;
  /** Leaders that began while messages of their partition were out. */
  leadersWithLeasesOut = 0;
  /** Messages read in dead letter topics. */
  deadLetters = 0;
  #isWritten = false;

  constructor(cluster: SimCluster, seed: number) {
    this.#cluster = cluster;
    this.recorder = new DeliveryRecorder(() => cluster.world.nowMs);
    const plans = cluster.plan.subscriptions ?? [];
    const random = seededRandom(seed);
    const { bootstrap, clientHost, network } = cluster;
    const operator = createClient({
      connector: network.connector(clientHost),
      bootstrap,
      clock: clientHost.clock,
      random: seededRandom(random.integer(0, 2 ** 32)),
    });
    this.subscriptions = plans.map((plan) => {
      const own = seededRandom(random.integer(0, 2 ** 32));
      return new SimSubscription(cluster, this.recorder, operator, own, plan);
    });
  }

  get redelivered(): number {
    return this.#consumers.reduce((sum, { redelivered }) => sum + redelivered, 0);
  }

  get #consumers(): readonly SimConsumer[] {
    return this.subscriptions.flatMap(({ consumers }) => consumers);
  }

  /** Brokers write into them, nobody else. */
  get deadLetterTopics(): readonly TopicPlan[] {
    return this.subscriptions.flatMap(({ deadLetterTopic: name }) =>
      name === undefined
        ? []
        : [{ name, partitions: 1, flush: "sync", isRolling: false, valueBytes: 0 } as const],
    );
  }

  async create(): Promise<void> {
    const cluster = this.#cluster;
    for (const subscription of this.subscriptions) {
      await cluster.complete(cluster.clientHost, () => subscription.create(), CREATE_LIMIT_MS);
    }
    for (const topic of this.deadLetterTopics) cluster.learnTopic(topic);
  }

  start(): void {
    this.#cluster.onLeader = (group) => {
      if (this.#consumers.some(({ held }) => (held.get(group) ?? 0) > 0)) {
        this.leadersWithLeasesOut += 1;
      }
    };
    for (const subscription of this.subscriptions) subscription.start();
  }

  calm(): void {
    for (const subscription of this.subscriptions) subscription.calm();
  }

  /** Everything that was sent is settled, and nobody holds anything. */
  async rest(): Promise<void> {
    if (this.subscriptions.length === 0) return;
    const cluster = this.#cluster;
    const { world } = cluster;
    let nextMs = 0;
    const isDone = (): boolean => {
      if (cluster.fatal) return true;
      if (world.nowMs < nextMs) return false;
      nextMs = world.nowMs + POLL_MS;
      return this.#lacks().length === 0;
    };
    if (await world.runUntil(isDone, REST_LIMIT_MS)) return;
    for (const lack of this.#lacks()) cluster.violation(`not at rest: ${lack}`);
  }

  /** The consumers end as an application does, and leave nothing behind. */
  async close(): Promise<void> {
    if (this.subscriptions.length === 0) return;
    const cluster = this.#cluster;
    const { world } = cluster;
    for (const subscription of this.subscriptions) subscription.stop();
    for (const consumer of this.#consumers) {
      await cluster.complete(consumer.host, () => consumer.close(), CLOSE_LIMIT_MS);
    }
    await world.run(NOTES_MS);
    for (const lack of this.#lacks()) cluster.violation(`not at rest after closing: ${lack}`);
  }

  /** The last word about each cursor. */
  async ask(): Promise<void> {
    const cluster = this.#cluster;
    for (const subscription of this.subscriptions) {
      const ask = (): Promise<boolean> => subscription.askFinally();
      const isComplete = await cluster.complete(cluster.clientHost, ask, ASK_LIMIT_MS);
      if (!isComplete) {
        cluster.violation(`not every leader says how far ${subscription.plan.name} is`);
      }
    }
  }

  /** Into the history, once. */
  write(): void {
    if (this.#isWritten) return;
    this.#isWritten = true;
    for (const event of this.recorder.events()) this.#cluster.history.add(event);
  }

  #lacks(): string[] {
    return this.subscriptions.flatMap((subscription) =>
      subscription.lanes.flatMap((lane) => {
        const lack = subscription.lackOf(lane);
        const { mode, name } = subscription.plan;
        const where = `${name} (${mode}) in ${lane.topic}/${lane.partition}`;
        return lack === undefined ? [] : [`${where}: ${lack}`];
      }),
    );
  }
}
