// Writes down what consumers were given and what they did with it, in columns: a run has millions of deliveries. Knows no
// client and no clock; whoever calls it says what happened, before acting on it. Exported for users' own tests.
import { Column } from "./column.ts";
import type {
  DeliveredRecord,
  DeliveryEvent,
  SettlementAnswered,
  SettlementAsked,
} from "./delivery-events.ts";
import { Names, Places } from "./names.ts";

/** Which delivery. */
export interface DeliveryToken {
  readonly subscription: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly delivery: number;
}

const KINDS = ["deliver", "resume", "begin", "ok", "failed", "settlement", "lost"] as const;
type Kind = (typeof KINDS)[number] | "settled";
const SETTLED = KINDS.length;
const VERDICTS: readonly SettlementAsked["verdict"][] = [
  "ack",
  "nack",
  "reject",
  "release",
  "extend",
];
const OUTCOMES: readonly SettlementAnswered["outcome"][] = ["confirmed", "refused", "unknown"];
const NONE = -1;
/** An answer names only its consumer. */
const NOWHERE = { subscription: "", topic: "", partition: 0, leaderEpoch: 0, delivery: 0 };

export class DeliveryRecorder {
  readonly #now: () => number;
  readonly #consumers = new Names();
  readonly #subscriptions = new Names();
  readonly #places = new Places();
  readonly #texts = new Names();
  readonly #notes: DeliveryEvent[] = [];
  readonly #kind = Column.small();
  /** 1: the row goes on with the event of the row before it. */
  readonly #isMore = Column.small();
  readonly #atMs = Column.numbers();
  readonly #consumer = Column.small();
  readonly #subscription = Column.small();
  readonly #place = Column.small();
  readonly #epoch = Column.numbers();
  readonly #delivery = Column.numbers();
  readonly #offset = Column.numbers();
  readonly #count = Column.numbers();
  /** deliver: handed out; settlement: verdict; settled: outcome. */
  readonly #detail = Column.small();
  /** deliver: failed; settlement and settled: its number. */
  readonly #number = Column.small();
  /** deliver: key; lost: cause; settled: reason. */
  readonly #text = Column.small();
  /** By row; only of deliveries. */
  readonly #values: string[] = [];
  #settlements = 0;
  delivered = 0;
  confirmed = 0;
  refused = 0;

  /** @param now milliseconds of the test's one monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whatever is rare: subscriptions, consumers, resets, pauses, cursors, dead letters. */
  note(event: DeliveryEvent): void {
    this.#notes.push(event);
  }

  /** Messages arrived: before they wait in any buffer. */
  deliver(token: DeliveryToken, records: readonly DeliveredRecord[], atMs = this.#now()): void {
    this.#deliver("deliver", token, records, atMs);
    this.delivered += records.length;
  }

  /** The consumer goes on with what it holds, under this new token. */
  resume(token: DeliveryToken, records: readonly DeliveredRecord[], atMs = this.#now()): void {
    this.#deliver("resume", token, records, atMs);
  }

  /** A handler begins with these messages. Ranges: pairs of first offset and count. */
  begin(token: DeliveryToken, ranges: readonly number[], atMs = this.#now()): void {
    this.#add("begin", token, ranges, atMs);
  }

  /** A handler is done with them. */
  end(token: DeliveryToken, ranges: readonly number[], isOk: boolean, atMs = this.#now()): void {
    this.#add(isOk ? "ok" : "failed", token, ranges, atMs);
  }

  /** A settlement is about to be sent. Returns its number, which is unique here unless one is given. */
  ask(
    token: DeliveryToken,
    verdict: SettlementAsked["verdict"],
    ranges: readonly number[],
    atMs = this.#now(),
    number = this.#settlements + 1,
  ): number {
    this.#settlements = Math.max(this.#settlements, number);
    this.#add("settlement", token, ranges, atMs, VERDICTS.indexOf(verdict), number);
    return number;
  }

  /** What became of it. */
  answer(
    consumer: string,
    number: number,
    outcome: SettlementAnswered["outcome"],
    reason?: string,
    atMs = this.#now(),
  ): void {
    if (outcome === "confirmed") this.confirmed += 1;
    if (outcome === "refused") this.refused += 1;
    this.#row(SETTLED, { ...NOWHERE, consumer }, atMs, false);
    this.#rest(0, 0, OUTCOMES.indexOf(outcome), number, this.#textOf(reason));
  }

  lose(token: DeliveryToken, ranges: readonly number[], cause: string, atMs = this.#now()): void {
    this.#add("lost", token, ranges, atMs, NONE, NONE, this.#texts.numberOf(cause));
  }

  /** Of each consumer in the order in which it was written; made one at a time. */
  *events(): Generator<DeliveryEvent> {
    for (const note of this.#notes) if (note.type === "subscription") yield note;
    let from = 0;
    while (from < this.#kind.length) {
      let to = from + 1;
      while (to < this.#kind.length && this.#isMore.at(to) === 1) to += 1;
      yield this.#eventOf(from, to);
      from = to;
    }
    for (const note of this.#notes) if (note.type !== "subscription") yield note;
  }

  #deliver(
    kind: "deliver" | "resume",
    token: DeliveryToken,
    records: readonly DeliveredRecord[],
    atMs: number,
  ): void {
    for (const [at, record] of records.entries()) {
      this.#values[this.#kind.length] = record.value;
      this.#row(KINDS.indexOf(kind), token, atMs, at > 0);
      const { failed = NONE, handedOut = NONE, key, offset } = record;
      this.#rest(offset, 1, handedOut, failed, this.#textOf(key));
    }
  }

  #add(
    kind: (typeof KINDS)[number],
    token: DeliveryToken,
    ranges: readonly number[],
    atMs: number,
    detail = NONE,
    number = NONE,
    text = NONE,
  ): void {
    for (let at = 0; at < ranges.length; at += 2) {
      this.#row(KINDS.indexOf(kind), token, atMs, at > 0);
      this.#rest(ranges[at] ?? 0, ranges[at + 1] ?? 0, detail, number, text);
    }
  }

  #row(kind: number, token: DeliveryToken, atMs: number, isMore: boolean): void {
    this.#kind.push(kind);
    this.#isMore.push(isMore ? 1 : 0);
    this.#atMs.push(atMs);
    this.#consumer.push(this.#consumers.numberOf(token.consumer));
    this.#subscription.push(this.#subscriptions.numberOf(token.subscription));
    this.#place.push(this.#places.numberOf(token.topic, token.partition));
    this.#epoch.push(token.leaderEpoch);
    this.#delivery.push(token.delivery);
  }

  #rest(offset: number, count: number, detail: number, number: number, text: number): void {
    this.#offset.push(offset);
    this.#count.push(count);
    this.#detail.push(detail);
    this.#number.push(number);
    this.#text.push(text);
  }

  #eventOf(from: number, to: number): DeliveryEvent {
    const kind: Kind = KINDS[this.#kind.at(from)] ?? "settled";
    const atMs = this.#atMs.at(from);
    const number = this.#number.at(from);
    if (kind === "settled") {
      const consumer = this.#consumers.textOf(this.#consumer.at(from));
      const outcome = OUTCOMES[this.#detail.at(from)] ?? "unknown";
      const reason = this.#textAt(from);
      return { type: kind, atMs, consumer, number, outcome, reason };
    }
    const token = this.#tokenAt(from);
    if (kind === "deliver" || kind === "resume") {
      const isResumed = kind === "resume" ? true : undefined;
      return { type: "deliver", atMs, ...token, isResumed, records: this.#records(from, to) };
    }
    const ranges: number[] = [];
    for (let row = from; row < to; row += 1) {
      ranges.push(this.#offset.at(row), this.#count.at(row));
    }
    if (kind === "settlement") {
      const verdict = VERDICTS[this.#detail.at(from)] ?? "extend";
      return { type: kind, atMs, number, ...token, verdict, ranges };
    }
    if (kind === "lost") {
      return { type: kind, atMs, ...token, ranges, cause: this.#textAt(from) ?? "" };
    }
    if (kind === "begin") return { type: "handler", atMs, phase: kind, ...token, ranges };
    return { type: "handler", atMs, phase: "end", ...token, ranges, isOk: kind === "ok" };
  }

  #records(from: number, to: number): DeliveredRecord[] {
    const records: DeliveredRecord[] = [];
    for (let row = from; row < to; row += 1) {
      const handedOut = this.#detail.at(row);
      const failed = this.#number.at(row);
      records.push({
        offset: this.#offset.at(row),
        value: this.#values[row] ?? "",
        key: this.#textAt(row),
        handedOut: handedOut === NONE ? undefined : handedOut,
        failed: failed === NONE ? undefined : failed,
      });
    }
    return records;
  }

  #tokenAt(row: number): DeliveryToken {
    const { partition, topic } = this.#places.placeOf(this.#place.at(row));
    return {
      subscription: this.#subscriptions.textOf(this.#subscription.at(row)),
      consumer: this.#consumers.textOf(this.#consumer.at(row)),
      topic,
      partition,
      leaderEpoch: this.#epoch.at(row),
      delivery: this.#delivery.at(row),
    };
  }

  #textOf(text: string | undefined): number {
    return text === undefined ? NONE : this.#texts.numberOf(text);
  }

  #textAt(row: number): string | undefined {
    const text = this.#text.at(row);
    return text === NONE ? undefined : this.#texts.textOf(text);
  }
}
