// A consumer's stream: the bytes are read as a script of what consumers, their transports, the log and its leader do, with
// numbers and ranges that nobody was given; in between, requests as they come off the wire. Refusals are typed, answers can be
// sent, nothing is answered twice, and in the end somebody well-behaved gets everything that is left.
import type { DeliveryNote } from "../../../src/delivery/push-answer.ts";
import type { OpenMessage } from "../../../src/delivery/push-request.ts";
import { BrokerError, isBrokerError } from "../../../src/model/errors.ts";
import { SubscribeRequest, SubscribeResponse } from "../../../src/rpc/generated/flotilla-v1.ts";
import { FakeStream, OPEN, type Stage, stageOf, TOPIC_ID } from "../../delivery/fake-partition.ts";
import { rowOf, SUB } from "../../delivery/support.ts";
import { refusing, type Subject } from "../subject.ts";

const STEPS_MAX = 100;
const STREAMS = 3;
/** Answers that a full transport is given: what the room says, and what was under way. */
const BLOCKED_ANSWERS_MAX = 260;
const DAY_MS = 24 * 3600 * 1000;
const FAR = Number.MAX_SAFE_INTEGER;
const REFUSALS = new Set([
  "CONSUMER_REPLACED",
  "FILTER_MISMATCH",
  "INVALID_REQUEST",
  "LEADERSHIP_LOST",
  "LEADER_UNKNOWN",
  "OVERLOADED",
  "STALE_DELIVERY",
  "UNKNOWN_SUBSCRIPTION",
  "UNSUPPORTED_VERSION",
]);
const KINDS = ["ack", "ack", "nack", "reject", "release", "extend", "begun", undefined] as const;
const RANGES: readonly (readonly number[])[] = [
  [],
  [],
  [0, 1],
  [1, 2],
  [0, 100],
  [0, FAR],
  [FAR, 1],
  [5],
  [3, 0],
  [3, 1, 2, 1],
  [0, 1, 1, 1, 2, 1, 7, 3],
  Array.from({ length: 9000 }, (_, at) => (at % 2 === 0 ? at : 1)),
];

class Script {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  number(): number {
    this.#at += 1;
    return this.#bytes[this.#at - 1] ?? 0;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.number() % items.length];
    return item as T;
  }

  /** Nearly always the usual thing, so that streams live long enough. */
  seldom<T>(usual: T, others: readonly T[]): T {
    const byte = this.number();
    return byte < 240 ? usual : (others[byte % others.length] ?? usual);
  }

  rest(count: number): Buffer {
    const piece = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return piece;
  }
}

class Play {
  readonly #script: Script;
  readonly #stage: Stage;
  readonly #streams: FakeStream[] = [];
  readonly #all: FakeStream[] = [];
  readonly #fullSince = new Map<FakeStream, number>();
  /** Settlements that were numbered here; no number twice. */
  #settlements = 0;

  constructor(script: Script, stage: Stage) {
    this.#script = script;
    this.#stage = stage;
  }

  async run(): Promise<void> {
    this.#begin({});
    for (let step = 0; step < STEPS_MAX && !this.#script.isOver; step += 1) {
      this.#step();
      await this.#stage.clock.run(0);
      for (const [stream, since] of this.#fullSince) {
        const answers = stream.answers.length - since;
        if (answers > BLOCKED_ANSWERS_MAX)
          throw new Error(`${answers} answers to a full transport`);
      }
      const waitMs = this.#script.pick([0, 0, 0, 0, 1, 20, 1000, 31_000]);
      await this.#stage.clock.run(waitMs);
    }
  }

  /** Everything ends; what is left goes to somebody who takes and acknowledges it. */
  async finish(): Promise<void> {
    const { clock, partition, host, memory } = this.#stage;
    if (!partition.isLeaderReady) partition.lead();
    partition.release();
    partition.refusals.length = 0;
    for (const stream of this.#all) stream.close();
    const good = this.#stage.open({ consumerId: "good" }, { messages: 1e6, bytes: 1e9 });
    const cursor = (): number => partition.deliveries.get(SUB)?.cursor ?? 0;
    let taken = 0;
    let looked = 0;
    for (let day = 0; day < 30 && cursor() < partition.highWatermark; day += 1) {
      for (let turn = 0; turn < 20; turn += 1) {
        await clock.run(1000);
        for (; looked < good.answers.length; looked += 1) {
          for (const { channel, deliveryNumber } of good.answers[looked]?.deliveries ?? []) {
            taken += 1;
            good.ack(taken, deliveryNumber, [], channel);
          }
        }
      }
      await clock.runUntil(() => looked < good.answers.length, DAY_MS);
    }
    if (cursor() < partition.highWatermark) {
      throw new Error(`stopped at ${cursor()} of ${partition.highWatermark}: ${good.error}`);
    }
    good.close();
    await clock.run(DAY_MS);
    const held = memory.used("delivery") + memory.used("streams");
    if (host.sessions !== 0 || held !== 0)
      throw new Error(`${host.sessions} sessions, ${held} bytes`);
    for (const stream of [...this.#all, good]) this.#judge(stream);
  }

  #step(): void {
    const script = this.#script;
    const { partition } = this.#stage;
    const stream = script.pick(this.#streams.length > 0 ? this.#streams : [undefined]);
    switch (script.number() % 20) {
      case 0:
      case 1:
        this.#open();
        break;
      case 2:
      case 3:
        stream?.say(this.#credit());
        break;
      case 9:
        stream?.say({ held: this.#held() });
        break;
      case 10:
        stream?.say({ drain: true });
        break;
      case 11:
      case 12:
        this.#append(1 + (script.number() % 5));
        break;
      case 13:
        if (partition.isLeaderReady) partition.lose();
        else partition.lead();
        break;
      case 14:
        this.#setFull(stream, true);
        break;
      case 15:
        this.#setFull(stream, false);
        break;
      case 16:
        this.#wire(stream);
        break;
      case 17:
        if (partition.isHeld) partition.release();
        else partition.isHeld = true;
        break;
      case 18:
        partition.refusals.push(new BrokerError("LEADERSHIP_LOST", "who knows"));
        break;
      case 19:
        this.#pause();
        break;
      default:
        stream?.say({ settle: this.#settle(stream), ...this.#credit() });
    }
  }

  /** The subscription is paused, and goes on. */
  #pause(): void {
    const { directory } = this.#stage;
    const row = directory.byName("bills");
    if (row === undefined) return;
    const { definition, version } = row;
    const pausedUntilMs = this.#script.pick([0, 1, FAR]);
    const paused = { ...definition, pausedUntilMs };
    directory.set([{ ...row, version: version + 1, definition: paused }]);
    directory.set([{ ...row, version: version + 2 }]);
  }

  #open(): void {
    const script = this.#script;
    this.#begin({
      consumerId: script.seldom(script.pick(["c1", "c2", "c3"]), ["", "x".repeat(129)]),
      form: script.pick(["messages", "messages", "batches", undefined] as const),
      reportsBegun: script.pick([true, false]),
      protocolVersion: script.pick([1, 1, 1, 1, 1, 1, 0, 2 ** 32 - 1]),
      subscription: script.pick([
        "bills",
        "bills",
        "bills",
        "bills",
        "",
        "other",
        "x".repeat(1000),
      ]),
      expectedFilter: script.pick(["", "", "", "", "{}", '{"kind":"fanout"}', "\0"]),
      held: script.pick([true, false, false]) ? this.#held() : [],
    });
  }

  #begin(more: Partial<OpenMessage>): void {
    const stream = new FakeStream(this.#stage.host);
    this.#all.push(stream);
    this.#streams.push(stream);
    if (this.#streams.length > STREAMS) this.#streams.shift()?.close();
    stream.say({ open: { ...OPEN, ...more }, ...this.#credit() });
  }

  #credit(): { readonly creditMessages: number; readonly creditBytes: number } {
    return {
      creditMessages: this.#script.pick([0, 1, 5, 100, 2 ** 32 - 1]),
      creditBytes: this.#script.pick([0, 1, 1000, 1e6, FAR]),
    };
  }

  #held(): SubscribeRequest["held"] {
    const script = this.#script;
    return Array.from({ length: script.number() % 4 }, () => ({
      topicId: script.pick([TOPIC_ID, TOPIC_ID, "", "nonsense"]),
      partition: script.pick([0, 0, 0, 1, 2 ** 32 - 1]),
      leaderEpoch: script.pick([1, 2, 0, FAR]),
      deliveryNumber: script.pick([1, 2, 0, FAR]),
      ranges: [
        ...script.seldom(
          script.pick([
            [0, 1],
            [1, 2],
            [0, 100],
          ]),
          RANGES,
        ),
      ],
    }));
  }

  #settle(stream: FakeStream): SubscribeRequest["settle"] {
    const script = this.#script;
    return Array.from({ length: 1 + (script.number() % 3) }, () => {
      this.#settlements += 1;
      const known = deliveryOf(stream, script.pick([1, 1, 1, 2, 3, 10]));
      const first = known?.messages[0]?.offset ?? known?.resumed[0] ?? 0;
      const kind = script.pick(KINDS);
      const isUsual = script.pick([true, true, true, false]);
      return {
        number: isUsual ? this.#settlements : script.pick([0, FAR]),
        channel: script.seldom(known?.channel ?? 0, [0, 1, 7, 2 ** 32 - 1]),
        deliveryNumber: isUsual ? (known?.deliveryNumber ?? 1) : script.pick([0, 1, 2, FAR]),
        kind,
        ranges: [...(isUsual ? script.pick([[], [first, 1], [first, 2]]) : script.pick(RANGES))],
        cumulative: kind === "ack" && script.pick([true, false]),
        retryAtMs: kind === "nack" ? script.pick([0, 0, 1, 1_767_225_700_000, FAR]) : 0,
        error: script.seldom("boom", ["", "x".repeat(256), "x".repeat(257)]),
      };
    });
  }

  #append(count: number): void {
    const key = this.#script.pick(["", "a", "b"]);
    const record = { value: "v", ...(key === "" ? {} : { key }) };
    this.#stage.partition.append(...Array.from({ length: count }, () => record));
  }

  #setFull(stream: FakeStream | undefined, isFull: boolean): void {
    if (stream === undefined || stream.isFull === isFull) return;
    if (isFull) {
      stream.isFull = true;
      this.#fullSince.set(stream, stream.answers.length);
    } else {
      this.#fullSince.delete(stream);
      stream.drained();
    }
  }

  /** As it comes off the wire. */
  #wire(stream: FakeStream | undefined): void {
    const bytes = this.#script.rest(this.#script.number());
    refusing(isBrokerError, () => stream?.say(SubscribeRequest.decode(bytes)));
  }

  #judge(stream: FakeStream): void {
    if (stream.error !== undefined && !REFUSALS.has(stream.error.reason)) throw stream.error;
    for (const answer of stream.answers) {
      SubscribeResponse.encode(SubscribeResponse.create(answer));
    }
    for (const { reason, message } of [...stream.refusals, ...stream.ended]) {
      if (!REFUSALS.has(reason)) throw new Error(`${reason}: ${message}`);
    }
    const answered = [...stream.settled, ...stream.refusals.map(({ number }) => number)];
    const own = answered.filter((number) => number > 0 && number <= this.#settlements);
    if (new Set(own).size < own.length) throw new Error(`answered twice: ${own.join(" ")}`);
  }
}

/** The last one, or an earlier one. */
function deliveryOf({ answers }: FakeStream, back: number): DeliveryNote | undefined {
  let left = back;
  for (let at = answers.length - 1; at >= 0; at -= 1) {
    const deliveries = answers[at]?.deliveries ?? [];
    if (deliveries.length >= left) return deliveries[deliveries.length - left];
    left -= deliveries.length;
  }
  return undefined;
}

const DEFINITIONS = [
  { mode: "shared" },
  { mode: "keyed", onFailure: "skip" },
  { mode: "fifo", onFailure: "skip" },
  { mode: "exclusive", onFailure: "skip" },
] as const;

/** Scripts that do something with most bytes. */
function seedScript(seed: number, length: number): Buffer {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 16;
  };
  return Buffer.from(Array.from({ length }, () => next() & 0xff));
}

export const subscribeSubject: Subject = {
  name: "subscribe",
  seeds: Array.from({ length: 32 }, (_, at) => seedScript(at + 1, 40 + 20 * at)),
  cost: 25,
  async run(bytes) {
    const script = new Script(bytes);
    const definition = script.pick(DEFINITIONS);
    const stage = await stageOf([rowOf({ ...definition, ackDeadlineMs: 30_000 })]);
    stage.partition.append({ key: "a", value: "1" }, { key: "b", value: "2" }, "3");
    const play = new Play(script, stage);
    await play.run();
    await play.finish();
    stage.host.close();
  },
};
