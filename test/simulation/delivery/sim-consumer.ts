// One consumer: the SDK's, on a host of its own, that is killed, paused and started again. Its handlers acknowledge most
// messages and do everything else that handlers may do with the others; what they see and ask stands in the history. Made
// by sim-subscription.ts.
import { sleep } from "../../../src/base/clock.ts";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import {
  type Client,
  type ConsumerMessage,
  createClient,
  isBrokerError,
} from "../../../src/client/index.ts";
import type { GroupId } from "../../../src/model/ids.ts";
import {
  ConsumerRecorder,
  type ConsumerSeen,
  type DeliveryRecorder,
  type Handled,
} from "../../../src/testkit/index.ts";
import { Arrivals, type RecordTexts } from "../../support/arrivals.ts";
import type { ConsumerPlan, SubscriptionPlan } from "../plan/seed-plan.ts";
import type { SimCluster } from "../sim-cluster.ts";
import type { SimHost } from "../world.ts";

type Verdict = "ack" | "nack" | "reject" | "release";
type Action = Verdict | "slow" | "crash";

/** What is done with messages that make trouble, with the weights of it. */
const TROUBLES: readonly (readonly [Action, number])[] = [
  ["nack", 0.5],
  ["release", 0.2],
  ["slow", 0.15],
  ["reject", 0.1],
  ["crash", 0.05],
];
/** So long an application that ended is gone. */
const AWAY_MS_MAX = 2000;
const CALM_WORK_MS = 20;
const CLOSE_LIMIT_MS = 20_000;

/** Keys and values of a run are texts. */
const TEXTS: RecordTexts = {
  value: (value) => Buffer.from(value ?? []).toString(),
  key: (key) => (key === undefined ? undefined : Buffer.from(key).toString()),
};

export class SimConsumer {
  readonly host: SimHost;
  /** Messages in the hands of handlers, by group. */
  readonly held = new Map<GroupId, number>();
  /** Its handlers take longer than they may. */
  isSlow = false;
  /** Messages that came with failures, or were handed out before. */
  redelivered = 0;
  readonly #cluster: SimCluster;
  readonly #recorder: DeliveryRecorder;
  readonly #subscription: SubscriptionPlan;
  readonly #plan: ConsumerPlan;
  readonly #random: Random;
  readonly #id: string;
  readonly #hasStableId: boolean;
  #life = 0;
  /** Reasons for which nothing reaches it. */
  #walls = 0;
  #isRunning = false;
  #isGentle = false;
  #client: Client | undefined;

  constructor(
    cluster: SimCluster,
    recorder: DeliveryRecorder,
    subscription: SubscriptionPlan,
    number: number,
    plan: ConsumerPlan,
  ) {
    this.#cluster = cluster;
    this.#recorder = recorder;
    this.#subscription = subscription;
    this.#plan = plan;
    this.#random = seededRandom(plan.draw);
    this.#hasStableId = this.#random.next() < 0.5;
    this.#id = `${subscription.name}-c${number}`;
    this.host = cluster.world.host(this.#id);
  }

  /** Idempotent. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#life += 1;
    this.host.isUp = true;
    this.#cluster.world.schedule(0, () => this.#begin(), this.host);
  }

  kill(): void {
    if (!this.#isRunning) return;
    this.#note("killed");
    this.#isRunning = false;
    this.#walls = 0;
    this.held.clear();
    this.#client = undefined;
    this.host.crash();
    this.#cluster.network.hostDied(this.host);
  }

  /**
   * Nothing reaches it any more, for one reason more: brokers may take its connection for a broken one, and so may it when it is
   * reached again.
   * @returns ends that
   */
  unreachable(): () => void {
    const { generation } = this.host;
    if (this.#walls === 0) this.#note("unreachable");
    this.#walls += 1;
    return () => {
      if (this.host.generation !== generation) return;
      this.#walls -= 1;
      if (this.#walls === 0) this.#note("reachable");
    };
  }

  /** From now on it is there, and acknowledges whatever it gets. */
  calm(): void {
    this.#isGentle = true;
    this.start();
  }

  /** Drains and ends, on its host. */
  async close(): Promise<void> {
    if (this.#client === undefined) return;
    this.#note("closing");
    await this.#client.close({ timeoutMs: CLOSE_LIMIT_MS });
    this.#note("closed");
  }

  get #name(): string {
    return `${this.#id}.${this.#life}`;
  }

  #begin(): void {
    const { bootstrap, network } = this.#cluster;
    const { clock } = this.host;
    const { concurrency, extends: isExtending, prefetch } = this.#plan;
    const { name } = this.#subscription;
    const now = (): number => this.#cluster.world.nowMs;
    const recorder = new ConsumerRecorder(this.#recorder, now, name, this.#name);
    const client = createClient({
      connector: network.connector(this.host),
      bootstrap,
      clock,
      random: seededRandom(this.#random.integer(0, 2 ** 32)),
      observer: new Arrivals(recorder, TEXTS),
    });
    this.#client = client;
    this.#note("started");
    const consumer = client.consumer({
      subscription: name,
      consumerId: this.#hasStableId ? this.#id : this.#name,
      prefetch: { messages: prefetch },
      extendMaxMs: isExtending ? undefined : 0,
    });
    const { generation } = this.host;
    const handle = (message: ConsumerMessage): Promise<void> => this.#handle(recorder, message);
    consumer.run(handle, { concurrency, onError: () => undefined }).catch((error: unknown) => {
      if (generation === this.host.generation) this.#failed(error);
    });
  }

  /** Nothing that a run does to its cluster lasts long enough for a consumer to give up. */
  #failed(error: unknown): void {
    this.#cluster.violation(`the consumer ${this.#name} failed`, error);
  }

  async #handle(recorder: ConsumerRecorder, message: ConsumerMessage): Promise<void> {
    const { clock } = this.host;
    const { ackDeadlineMs } = this.#subscription;
    const handled = this.#receive(recorder, message);
    const action = this.#draw();
    const isLate = action === "slow" || this.isSlow;
    const workMs = isLate ? ackDeadlineMs * (1 + this.#random.next()) : this.#workMs();
    await sleep(clock, workMs);
    if (action === "crash") {
      this.#crash();
      // Nothing of this process goes on.
      await new Promise(() => undefined);
    }
    this.#hold(message, -1);
    const verdict = action === "slow" || action === "crash" ? "ack" : action;
    recorder.end(handled, verdict === "ack");
    this.#settle(recorder, handled, message, verdict);
  }

  #receive(recorder: ConsumerRecorder, message: ConsumerMessage): Handled {
    const { invariants, world } = this.#cluster;
    const { leaderEpoch, offset, partition, topic } = message;
    const value = TEXTS.value(message.value);
    this.#hold(message, 1);
    if (message.attempt > 1 || message.handedOut > 1) this.redelivered += 1;
    const handled = recorder.begin(message, value, TEXTS.key(message.key));
    message.signal.addEventListener("abort", () => {
      recorder.lose(handled, causeOf(message.signal.reason));
    });
    world.trace(`deliver ${this.#name} ${topic}/${partition}@${offset}`);
    const group = this.#cluster.groupOf(topic, partition);
    if (group !== undefined) invariants.read(group, offset, leaderEpoch);
    return handled;
  }

  /** Until its handlers end together next, and settle. */
  get settlesInMs(): number {
    return this.#workMs();
  }

  #hold({ partition, topic }: ConsumerMessage, count: number): void {
    const group = this.#cluster.groupOf(topic, partition);
    if (group !== undefined) this.held.set(group, (this.held.get(group) ?? 0) + count);
  }

  #settle(
    recorder: ConsumerRecorder,
    handled: Handled,
    message: ConsumerMessage,
    verdict: Verdict,
  ): void {
    const number = recorder.ask(handled, verdict);
    const settled = verdict === "nack" ? message.nack({ error: "drawn" }) : message[verdict]();
    settled.then(
      () => {
        recorder.answer(number, "confirmed");
        this.#cluster.world.trace(`settled ${this.#name} ${number}`);
      },
      (error: unknown) => {
        const isRefused = isBrokerError(error, "STALE_DELIVERY");
        const reason = isBrokerError(error) ? error.reason : String(error);
        recorder.answer(number, isRefused ? "refused" : "unknown", reason);
      },
    );
  }

  #draw(): Action {
    if (this.#isGentle || this.#random.next() >= this.#subscription.troubles) return "ack";
    let dice = this.#random.next();
    for (const [action, weight] of TROUBLES) {
      dice -= weight;
      if (dice < 0) return action;
    }
    return "ack";
  }

  /** Handlers end together: what they settle then goes in one request, and costs one entry. */
  #workMs(): number {
    const { nowMs } = this.#cluster.world;
    const gridMs = this.#isGentle ? CALM_WORK_MS : this.#plan.workMs;
    return gridMs - (nowMs % gridMs);
  }

  /** A message that ends the process. */
  #crash(): void {
    const awayMs = this.#random.next() * AWAY_MS_MAX;
    this.kill();
    this.#cluster.world.schedule(awayMs, () => this.start());
  }

  #note(phase: ConsumerSeen["phase"]): void {
    const { world } = this.#cluster;
    const who = { subscription: this.#subscription.name, consumer: this.#name };
    this.#recorder.note({ type: "consumer", atMs: world.nowMs, ...who, phase, reportsBegun: true });
    world.trace(`consumer ${this.#name} ${phase}`);
  }
}

/** As the broker said it; what the SDK gave up by itself was its connection's end. */
function causeOf(reason: unknown): string {
  const cause = isBrokerError(reason) ? reason.fields["cause"] : undefined;
  return typeof cause === "string" ? cause : "session";
}
