// One subscription of a run: its consumers, its operator, and what the leaders of its partitions say about it. Orders go
// through the calls of the command line, one after the other, and stand in the history. Made by deliveries.ts.
import { sleep } from "../../../src/base/clock.ts";
import type { Random } from "../../../src/base/random.ts";
import { type Client, isBrokerError, type SubscriptionAdmin } from "../../../src/client/index.ts";
import type { DispatchProgress } from "../../../src/delivery/dispatch-types.ts";
import type { PartitionDeliveries } from "../../../src/delivery/partition-deliveries.ts";
import { chooseOwner } from "../../../src/delivery/rendezvous-plan.ts";
import { DEAD_LETTER_PREFIX } from "../../../src/model/subscription.ts";
import type { DeliveryRecorder } from "../../../src/testkit/index.ts";
import type { SubscriptionPlan } from "../plan/seed-plan.ts";
import type { SimBroker } from "../sim-broker.ts";
import type { SimCluster } from "../sim-cluster.ts";
import { SimConsumer } from "./sim-consumer.ts";
import { filterOf, MARKERS } from "./tags.ts";
import { Zombie } from "./zombie.ts";

/** A partition of one of its topics. */
export interface Lane {
  readonly topic: string;
  readonly partition: number;
}

const CREATE_LIMIT_MS = 20_000;
const CALL = { timeoutMs: 5000 };
const AGAIN_MS = 500;
/** The operator looks so often, in the end more often. */
const ROUND_MS = 5000;
const CALM_ROUND_MS = 500;
const RETRY = { delaysMs: [200, 500, 1000] };
const BACK_MAX = 30;
const FORWARD_MAX = 15;
/** Several, each begun before consumers settle, so that what they say may meet one that is under way. */
const AHEAD_MS_MAX = 40;
/** Then they have messages again. */
const PAUSE_MS = 60;
const SEEKS_IN_ROW_MAX = 8;
const SKIP_PROBABILITY = 0.3;
/** From which a zombie chooses. */
const NAMES = 8;

export class SimSubscription {
  readonly plan: SubscriptionPlan;
  readonly consumers: readonly SimConsumer[];
  readonly lanes: readonly Lane[];
  /** Somebody ordered that it pauses, and nobody that it goes on. */
  isToBePaused = false;
  readonly #cluster: SimCluster;
  readonly #recorder: DeliveryRecorder;
  readonly #admin: SubscriptionAdmin;
  readonly #random: Random;
  readonly #orders: (() => Promise<void>)[] = [];
  #zombies = 0;
  #isOrdering = false;
  #isCalm = false;
  #isStopped = false;
  #id = "";

  constructor(
    cluster: SimCluster,
    recorder: DeliveryRecorder,
    client: Client,
    random: Random,
    plan: SubscriptionPlan,
  ) {
    this.#cluster = cluster;
    this.#recorder = recorder;
    this.#admin = client.admin().subscriptions;
    this.#random = random;
    this.plan = plan;
    this.lanes = cluster.plan.topics
      .filter(({ name }) => plan.topics.includes(name))
      .flatMap(({ name, partitions }) =>
        Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
      );
    this.consumers = plan.consumers.map((consumer, at) => {
      return new SimConsumer(cluster, recorder, plan, at + 1, consumer);
    });
  }

  /** Undefined: its dead messages are tried again for ever. */
  get deadLetterTopic(): string | undefined {
    return this.plan.hasDeadLetters ? `${DEAD_LETTER_PREFIX}${this.plan.name}` : undefined;
  }

  async create(): Promise<void> {
    const { ackDeadlineMs, attemptsMax, hasDeadLetters, mode, name, onFailure, topics } = this.plan;
    const filter = filterOf(this.plan);
    const policies = { ackDeadlineMs, deadLetter: hasDeadLetters, onFailure };
    const retry = { ...RETRY, attempts: attemptsMax };
    const created = await this.#admin.create(
      { name, topics, mode, filter, retry, ...policies },
      { timeoutMs: CREATE_LIMIT_MS },
    );
    this.#id = created.subscriptionId;
    this.#recorder.note({
      ...{ type: "subscription", atMs: this.#cluster.world.nowMs, subscription: name },
      ...{ mode, topics, start: "earliest", attemptsMax, onFailure, ackDeadlineMs },
      deadLetterTopic: this.deadLetterTopic,
      filter: filter === undefined ? undefined : { markers: MARKERS },
    });
  }

  start(): void {
    for (const consumer of this.consumers) consumer.start();
    this.#cluster.run(this.#cluster.clientHost, "operator", () => this.#rounds());
  }

  /** Nothing disturbs it any more. */
  calm(): void {
    this.#isCalm = true;
    for (const consumer of this.consumers) consumer.calm();
    if (this.isToBePaused) this.resume();
  }

  /** No rounds of the operator any more. */
  stop(): void {
    this.#isStopped = true;
  }

  pause(done: () => void): void {
    this.isToBePaused = true;
    this.#order(async () => {
      await this.#changePause(true);
      done();
    });
  }

  /** Is repeated until it is confirmed. */
  resume(): void {
    this.isToBePaused = false;
    this.#order(async () => {
      try {
        await this.#changePause(false);
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        await sleep(this.#cluster.clientHost.clock, AGAIN_MS);
        if (!this.isToBePaused) this.resume();
      }
    });
  }

  /** Somewhat back or forward in one partition, around a time at which its consumers settle. */
  seek(random: Random, done: () => void): void {
    const lane = this.lanes[random.integer(0, this.lanes.length)];
    const distance = random.integer(-BACK_MAX, FORWARD_MAX + 1);
    const cursor = lane === undefined ? undefined : this.progressOf(lane)?.cursor;
    if (lane === undefined || cursor === undefined) return;
    const offset = Math.max(0, cursor + distance);
    this.#cluster.invariants.deliveries.mayGoBack(this.#id, this.#groupOf(lane), offset);
    const consumer = this.consumers[random.integer(0, this.consumers.length)];
    const aheadMs = Array.from({ length: random.integer(1, SEEKS_IN_ROW_MAX + 1) }, () =>
      random.integer(0, AHEAD_MS_MAX),
    );
    this.#order(async () => {
      for (const ms of aheadMs) {
        const waitMs = Math.max(0, (consumer?.settlesInMs ?? 0) - ms);
        await sleep(this.#cluster.clientHost.clock, waitMs);
        await this.#seekOnce(lane, offset);
        await sleep(this.#cluster.clientHost.clock, PAUSE_MS);
      }
      done();
    });
  }

  async #seekOnce(lane: Lane, offset: number): Promise<void> {
    const { world } = this.#cluster;
    const beganMs = world.nowMs;
    const about = { type: "reset", subscription: this.plan.name, ...lane, beganMs } as const;
    try {
      const [moved] = await this.#admin.seek(this.plan.name, { offset }, { ...lane, ...CALL });
      const to = moved?.to ?? offset;
      this.#recorder.note({ ...about, atMs: world.nowMs, offset: to, outcome: "done" });
    } catch (error) {
      this.#recorder.note({ ...about, atMs: world.nowMs, offset, outcome: "unknown" });
      throw error;
    }
  }

  /** A zombie at the leader of one of its partitions. @returns undefined when the partition is not known yet */
  haunt(random: Random, onLate: () => void): Zombie | undefined {
    const lane = this.lanes[random.integer(0, this.lanes.length)];
    const group = lane === undefined ? undefined : this.#groupOf(lane);
    if (lane === undefined || group === undefined) return undefined;
    this.#zombies += 1;
    const place = `${this.#cluster.topicIdOf(lane.topic)}/${lane.partition}`;
    const zombie = new Zombie(this.#cluster, this.#recorder, {
      subscription: this.plan.name,
      name: nameFor(place, `${this.plan.name}-z${this.#zombies}`),
      random,
      leader: () => this.#cluster.leaderOf(group),
      onLate,
    });
    zombie.start();
    return zombie;
  }

  /** Who leads a partition with a message that died and is not settled. */
  leaderOfDead(): SimBroker | undefined {
    const lane = this.lanes.find((one) => {
      const state = this.#deliveriesOf(one)?.partition.deliveries.get(this.#id);
      return state !== undefined && state.failures.deadCount > 0;
    });
    const group = lane === undefined ? undefined : this.#groupOf(lane);
    return group === undefined ? undefined : this.#cluster.leaderOf(group);
  }

  /** What is left to be done in a partition when nobody sends and all consumers acknowledge; undefined: nothing. */
  lackOf(lane: Lane): string | undefined {
    const progress = this.progressOf(lane);
    const deliveries = this.#deliveriesOf(lane);
    const state = deliveries?.partition.deliveries.get(this.#id);
    if (progress === undefined || deliveries === undefined || state === undefined) {
      return "nobody serves it";
    }
    const { cursor, outstandingMessages, parkedKeys, retryingMessages } = progress;
    const { highWatermark } = deliveries.partition;
    const left = [
      cursor === highWatermark ? "" : `the cursor is ${cursor} of ${highWatermark}`,
      outstandingMessages === 0 ? "" : `${outstandingMessages} are out`,
      retryingMessages === 0 ? "" : `${retryingMessages} failed`,
      parkedKeys === 0 ? "" : `${parkedKeys} keys are parked`,
      state.failures.size === 0 ? "" : `${state.failures.size} failures are kept${this.#due(lane)}`,
      state.parked.size === 0 ? "" : `${state.parked.size} parked messages are kept`,
    ].filter((text) => text !== "");
    return left.length === 0 ? undefined : left.join(", ");
  }

  /** How long from now, as its leader sees it, until what failed may be tried again. */
  #due(lane: Lane): string {
    const runner = this.#deliveriesOf(lane)?.runner(this.#id);
    if (runner === undefined) return "";
    const dues = Array.from(runner.state.failures.all(), ({ isDead, notBeforeMs }) =>
      isDead ? "dead" : `${Math.round(notBeforeMs - runner.nowMs)} ms`,
    );
    return ` (due in: ${dues.slice(0, 5).join(", ")})`;
  }

  progressOf(lane: Lane): DispatchProgress | undefined {
    return this.#deliveriesOf(lane)?.runner(this.#id)?.progress();
  }

  /** Asks all leaders, as the command line does. @returns whether all of them answered */
  async ask(isFinal: boolean): Promise<boolean> {
    const beganMs = this.#cluster.world.nowMs;
    const { partitions, unknown } = await this.#admin.progress(this.plan.name, CALL);
    const atMs = this.#cluster.world.nowMs;
    for (const { attached, cursor: offset, partition, topic } of partitions) {
      if (!attached) continue;
      const place = { subscription: this.plan.name, topic, partition };
      const event = { type: "cursor", atMs, beganMs, ...place, offset } as const;
      this.#recorder.note(isFinal ? { ...event, isFinal } : event);
    }
    return unknown.length === 0 && partitions.every(({ attached }) => attached);
  }

  /** When all is calm: how far everybody is, and what is said to have become of the newest messages. */
  async askFinally(): Promise<boolean> {
    const isComplete = await this.ask(true);
    for (const lane of this.lanes) {
      const offset = (this.progressOf(lane)?.cursor ?? 0) - 1;
      if (offset < 0) continue;
      // What died is settled, too, for the leader.
      const plain = { ...CALL, deadLetters: false };
      const { fate } = await this.#admin.explain(this.plan.name, { ...lane, offset }, plain);
      if (fate === "settled") continue;
      const where = `${lane.topic}/${lane.partition}@${offset}`;
      this.#cluster.violation(`explained otherwise: ${where} is settled, not ${fate}`);
    }
    return isComplete;
  }

  #deliveriesOf(lane: Lane): PartitionDeliveries | undefined {
    const topicId = this.#cluster.topicIdOf(lane.topic);
    const group = this.#groupOf(lane);
    if (topicId === undefined || group === undefined) return undefined;
    const { node } = this.#cluster.leaderOf(group) ?? {};
    return node?.partitions.delivery.get(topicId, lane.partition);
  }

  #groupOf({ partition, topic }: Lane): ReturnType<SimCluster["groupOf"]> {
    return this.#cluster.groupOf(topic, partition);
  }

  async #changePause(isPaused: boolean): Promise<void> {
    const beganMs = this.#cluster.world.nowMs;
    const { name } = this.plan;
    if (isPaused) await this.#admin.pause(name, undefined, CALL);
    else await this.#admin.resume(name, CALL);
    const atMs = this.#cluster.world.nowMs;
    this.#recorder.note({ type: "pause", beganMs, atMs, subscription: name, isPaused });
  }

  async #rounds(): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    while (!this.#isStopped) {
      await sleep(clock, this.#isCalm ? CALM_ROUND_MS : ROUND_MS * (0.5 + this.#random.next()));
      if (this.#isStopped) return;
      if (!this.#isCalm) this.#order(async () => void (await this.ask(false)));
      if (this.#hasParked() && this.#orders.length === 0) this.#order(() => this.#releaseAll());
    }
  }

  #hasParked(): boolean {
    return this.lanes.some((lane) => {
      const state = this.#deliveriesOf(lane)?.partition.deliveries.get(this.#id);
      return state !== undefined && state.parked.size > 0;
    });
  }

  /** Parked keys, and partitions that stand still. */
  async #releaseAll(): Promise<void> {
    const { name } = this.plan;
    for (const lane of this.lanes) {
      const parked = this.#deliveriesOf(lane)?.partition.deliveries.get(this.#id)?.parked;
      for (const { offset } of [...(parked?.all() ?? [])]) {
        const skipMessage = this.plan.hasDeadLetters && this.#random.next() < SKIP_PROBABILITY;
        const beganMs = this.#cluster.world.nowMs;
        const about = { type: "unpark", subscription: name, ...lane, offset } as const;
        try {
          await this.#admin.release(name, { ...lane, offset, skipMessage }, CALL);
        } finally {
          const atMs = this.#cluster.world.nowMs;
          this.#recorder.note({ ...about, beganMs, atMs, skipsMessage: skipMessage });
        }
      }
    }
  }

  /** One after the other: what was confirmed came before what is ordered later. */
  #order(order: () => Promise<void>): void {
    this.#orders.push(order);
    if (this.#isOrdering) return;
    this.#isOrdering = true;
    this.#cluster.run(this.#cluster.clientHost, "order", async () => {
      for (let next = this.#orders.shift(); next !== undefined; next = this.#orders.shift()) {
        try {
          await next();
        } catch (error) {
          if (!isBrokerError(error)) throw error;
          this.#cluster.line(`${this.plan.name}: an order failed: ${error.reason}`);
        }
      }
      this.#isOrdering = false;
    });
  }
}

/** Of a few names the one that a partition most likely belongs to, when only one consumer gets messages. */
function nameFor(place: string, prefix: string): string {
  const names = Array.from({ length: NAMES }, (_, at) => `${prefix}-${at}`);
  return (
    chooseOwner(
      names.map((id) => ({ id })),
      place,
    )?.id ?? prefix
  );
}
