// A consumer that does not know when it is over: it takes messages, works on none of them until the broker takes them back,
// and acknowledges them then, when others may have them. Knows nothing but the protocol. Every such acknowledgement must be
// refused, unless the message is settled anyhow. Begun and ended by faults/consumer-faults.ts.
import type { Random } from "../../../src/base/random.ts";
import type {
  Delivery,
  DeliveryChannel,
  LostMessages,
  SubscribeRequest,
  SubscribeResponse,
} from "../../../src/rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../../src/rpc/ports.ts";
import type { DeliveryRecorder, DeliveryToken } from "../../../src/testkit/index.ts";
import { clientEndpoint, type SimBroker } from "../sim-broker.ts";
import type { SimCluster } from "../sim-cluster.ts";
import type { SimHost } from "../world.ts";

const PROTOCOL_VERSION = 1;
/** Few: what it holds nobody else gets meanwhile. */
const MESSAGES = 6;
const BYTES = 1024 * 1024;
/** From the notice that a message is lost to its acknowledgement: the next holder has it by then, and works on it. */
const LATE_MS_MAX = 100;
/** A stream that ended is followed by another one after this. */
const AGAIN_MS = 100;
const NOTHING: SubscribeRequest = {
  creditMessages: 0,
  creditBytes: 0,
  settle: [],
  drain: false,
  held: [],
};

interface Held {
  readonly channel: number;
  readonly token: DeliveryToken;
  readonly offsets: readonly number[];
}

export interface ZombieOptions {
  readonly subscription: string;
  readonly name: string;
  readonly random: Random;
  /** From whom it gets messages now. */
  readonly leader: () => SimBroker | undefined;
  /** It acknowledged what it had lost. */
  readonly onLate: () => void;
}

export class Zombie {
  readonly #cluster: SimCluster;
  readonly #recorder: DeliveryRecorder;
  readonly #options: ZombieOptions;
  readonly #host: SimHost;
  readonly #channels = new Map<number, DeliveryChannel>();
  /** By channel and delivery number. */
  readonly #held = new Map<string, Held>();
  #connection: Connection | undefined;
  #stream: MessageStream<SubscribeRequest, SubscribeResponse> | undefined;
  #settlements = 0;
  #isOver = false;

  constructor(cluster: SimCluster, recorder: DeliveryRecorder, options: ZombieOptions) {
    this.#cluster = cluster;
    this.#recorder = recorder;
    this.#options = options;
    this.#host = cluster.world.host(options.name);
  }

  start(): void {
    this.#note("started");
    this.#host.clock.schedule(0, () => this.#connect());
  }

  /** Idempotent. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#note("disconnected");
    this.#stream?.cancel();
    this.#connection?.close();
  }

  #connect(): void {
    if (this.#isOver) return;
    const { leader, name, subscription } = this.#options;
    const broker = leader();
    if (broker === undefined) {
      this.#host.clock.schedule(AGAIN_MS, () => this.#connect());
      return;
    }
    const connector = this.#cluster.network.connector(this.#host);
    this.#connection = connector.connect(clientEndpoint(broker.nodeId), "zombie");
    const stream = this.#connection.bidi(subscriptionService.subscribe);
    this.#stream = stream;
    stream.onMessage = (answer) => this.#onAnswer(answer);
    stream.onEnd = () => this.#lost();
    const open = { subscription, consumerId: name, protocolVersion: PROTOCOL_VERSION };
    stream.send({
      ...{ ...NOTHING, creditMessages: MESSAGES, creditBytes: BYTES },
      open: { ...open, form: "messages", reportsBegun: true, expectedFilter: "", held: [] },
    });
  }

  /** What it held with the stream is lost, and no later stream can name it. */
  #lost(): void {
    if (this.#isOver) return;
    this.#note("disconnected");
    this.#connection?.close();
    this.#stream = undefined;
    this.#channels.clear();
    this.#held.clear();
    this.#host.clock.schedule(AGAIN_MS, () => this.#connect());
  }

  #onAnswer(answer: SubscribeResponse): void {
    if (this.#isOver) return;
    for (const channel of answer.channels) this.#introduced(channel);
    for (const number of answer.settled) this.#answered(number, "confirmed");
    for (const { number, reason } of answer.refusals) {
      this.#answered(number, reason === "STALE_DELIVERY" ? "refused" : "unknown", reason);
    }
    for (const delivery of answer.deliveries) this.#deliver(delivery);
    for (const lost of answer.lost) this.#lose(lost);
    for (const { channel } of answer.ended) this.#channels.delete(channel);
  }

  #introduced(channel: DeliveryChannel): void {
    this.#channels.set(channel.channel, channel);
    const { partition, topicId } = channel;
    const held = [{ topicId, partition, leaderEpoch: 0, deliveryNumber: 0, ranges: [] }];
    this.#stream?.send({ ...NOTHING, held });
  }

  #deliver({ channel: number, deliveryNumber, messages, redeliveries }: Delivery): void {
    const channel = this.#channels.get(number);
    if (channel === undefined || messages.length === 0) return;
    const { leaderEpoch, partition, topic } = channel;
    const { name, subscription } = this.#options;
    const who = { subscription, consumer: name };
    const token = { ...who, topic, partition, leaderEpoch, delivery: deliveryNumber };
    const before = new Map(redeliveries.map((one) => [one.offset, one]));
    const records = messages.map(({ key, offset, value }) => {
      const { failed = 0, handedOut = 1 } = before.get(offset) ?? {};
      const text = value?.toString() ?? "";
      return { offset, value: text, key: key?.toString(), handedOut, failed };
    });
    this.#recorder.deliver(token, records);
    const offsets = records.map(({ offset }) => offset);
    this.#held.set(`${number}/${deliveryNumber}`, { channel: number, token, offsets });
    this.#cluster.world.trace(`deliver ${name} ${topic}/${partition}@${offsets.join()}`);
  }

  #lose({ cause, channel, deliveryNumber, ranges: named }: LostMessages): void {
    const held = this.#held.get(`${channel}/${deliveryNumber}`);
    if (held === undefined) return;
    const ranges = named.length > 0 ? named : held.offsets.flatMap((offset) => [offset, 1]);
    this.#recorder.lose(held.token, ranges, cause);
    const lateMs = this.#options.random.next() * LATE_MS_MAX;
    const stream = this.#stream;
    this.#host.clock.schedule(lateMs, () => {
      if (stream === this.#stream) this.#acknowledge(held, ranges);
    });
  }

  /** What it does not hold any more. */
  #acknowledge({ channel, token }: Held, ranges: readonly number[]): void {
    if (this.#isOver) return;
    const { name, onLate } = this.#options;
    this.#settlements += 1;
    const number = this.#settlements;
    this.#recorder.ask(token, "ack", ranges, undefined, number);
    this.#cluster.world.trace(`late ${name} ${number}`);
    this.#stream?.send({
      ...{ ...NOTHING, creditMessages: countOf(ranges), creditBytes: BYTES },
      settle: [
        {
          ...{ number, channel, deliveryNumber: token.delivery, kind: "ack", ranges },
          ...{ cumulative: false, retryAtMs: 0, error: "" },
        },
      ],
    });
    onLate();
  }

  #answered(number: number, outcome: "confirmed" | "refused" | "unknown", reason?: string): void {
    this.#recorder.answer(this.#options.name, number, outcome, reason);
    this.#cluster.world.trace(`${outcome} ${this.#options.name} ${number}`);
  }

  #note(phase: "started" | "disconnected"): void {
    const { name: consumer, subscription } = this.#options;
    const { world } = this.#cluster;
    const who = { subscription, consumer };
    this.#recorder.note({ type: "consumer", atMs: world.nowMs, ...who, phase, reportsBegun: true });
    world.trace(`zombie ${consumer} ${phase}`);
  }
}

/** Of pairs of first offset and count. */
function countOf(ranges: readonly number[]): number {
  return ranges.reduce((sum, value, at) => (at % 2 === 1 ? sum + value : sum), 0);
}
