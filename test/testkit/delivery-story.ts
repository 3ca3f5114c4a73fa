// Tells small histories of subscriptions for the checker's tests: one topic "t" with one partition, one subscription "s", a
// millisecond between two events unless the story jumps. Tokens are written "epoch.number".
import {
  type ConsumerSeen,
  type CursorSeen,
  type DeliveredRecord,
  type FaultEvent,
  type HistoryEvent,
  headerOf,
  type Rules,
  type SettlementAnswered,
  type SettlementAsked,
  type SubscriptionDeclared,
} from "../../src/testkit/index.ts";

const PLACE = { topic: "t", partition: 0 };
const S = { subscription: "s" };
const DEFAULTS: SubscriptionDeclared = {
  ...{ type: "subscription", atMs: 1, ...S, mode: "shared", topics: ["t"], start: "earliest" },
  ...{ attemptsMax: 3, onFailure: "skip", deadLetterTopic: "dlq/s", ackDeadlineMs: 30_000 },
};

interface Sent {
  readonly offset: number;
  readonly key: string | undefined;
}

export class DeliveryStory {
  readonly events: HistoryEvent[] = [];
  readonly #sent = new Map<string, Sent>();
  #nowMs = 1000;
  #settlements = 0;
  #offsets = 0;
  #dead = 0;

  static of(more: Partial<SubscriptionDeclared> = {}, rules: Partial<Rules> = {}): DeliveryStory {
    const story = new DeliveryStory();
    story.events.push(headerOf("story", rules));
    const size = { partitions: 1, replicas: 3, flush: "sync", keepsAll: true } as const;
    story.events.push({ type: "topic", atMs: 0, topic: "t", ...size });
    return story.tell({ ...DEFAULTS, ...more });
  }

  static keyed(more: Partial<SubscriptionDeclared> = {}): DeliveryStory {
    return DeliveryStory.of({ mode: "keyed", onFailure: "park", ...more });
  }

  wait(ms: number): this {
    this.#nowMs += ms;
    return this;
  }

  /** Sent and acknowledged: "a", or "a:key". */
  sent(...values: readonly string[]): this {
    for (const name of values) {
      const [value = "", key] = name.split(":");
      this.sendOne(value, key);
    }
    return this;
  }

  sendOne(value: string, key?: string, marker?: string): this {
    const base = { producer: "p", topic: "t", key, value, durability: "all/sync" } as const;
    this.tell({ type: "send", atMs: this.#tick(), ...base, marker });
    const offset = this.#offsets;
    this.#offsets += 1;
    this.#sent.set(value, { offset, key });
    const receipt = { partition: 0, offset, leaderEpoch: 1, duplicate: false };
    this.tell({ type: "ack", atMs: this.#tick(), value, ...receipt });
    // Somebody reads it, so that nothing is said about an unseen tail.
    const record = { offset, leaderEpoch: 1, key, value };
    return this.tell({ type: "read", atMs: this.#tick(), reader: "r", ...PLACE, ...record });
  }

  /** "a", or "a!2": as one that failed twice. */
  deliver(consumer: string, token: string, ...values: readonly string[]): this {
    const records = values.map((value) => this.#record(value));
    return this.tell({ type: "deliver", atMs: this.#tick(), ...tokenOf(consumer, token), records });
  }

  resume(consumer: string, token: string, ...values: readonly string[]): this {
    const records = values.map((value) => this.#record(value));
    const named = { ...tokenOf(consumer, token), isResumed: true };
    return this.tell({ type: "deliver", atMs: this.#tick(), ...named, records });
  }

  begin(consumer: string, token: string, ...values: readonly string[]): this {
    const { ranges } = this.#about(values);
    const about = { phase: "begin", ...tokenOf(consumer, token), ranges } as const;
    return this.tell({ type: "handler", atMs: this.#tick(), ...about });
  }

  end(consumer: string, token: string, isOk: boolean, ...values: readonly string[]): this {
    const { ranges } = this.#about(values);
    const about = { phase: "end", ...tokenOf(consumer, token), ranges, isOk } as const;
    return this.tell({ type: "handler", atMs: this.#tick(), ...about });
  }

  ask(
    consumer: string,
    token: string,
    verdict: SettlementAsked["verdict"],
    ...values: readonly string[]
  ): this {
    this.#settlements += 1;
    const named = { ...tokenOf(consumer, token), number: this.#settlements, verdict };
    return this.tell({ type: "settlement", atMs: this.#tick(), ...named, ...this.#about(values) });
  }

  /** The last one that was asked for, of that consumer. */
  answer(consumer: string, outcome: SettlementAnswered["outcome"] = "confirmed"): this {
    const number = this.#settlements;
    return this.tell({ type: "settled", atMs: this.#tick(), consumer, number, outcome });
  }

  /** Acknowledged and confirmed. */
  acked(consumer: string, token: string, ...values: readonly string[]): this {
    return this.ask(consumer, token, "ack", ...values).answer(consumer);
  }

  nacked(consumer: string, token: string, ...values: readonly string[]): this {
    return this.ask(consumer, token, "nack", ...values).answer(consumer);
  }

  lost(consumer: string, token: string, cause: string, ...values: readonly string[]): this {
    const named = { ...tokenOf(consumer, token), ...this.#about(values), cause };
    return this.tell({ type: "lost", atMs: this.#tick(), ...named });
  }

  reset(offset: number, outcome: "done" | "unknown" = "done"): this {
    const beganMs = this.#tick();
    const what = { ...S, ...PLACE, offset, outcome };
    return this.tell({ type: "reset", beganMs, atMs: this.#tick(), ...what });
  }

  pause(isPaused: boolean): this {
    const beganMs = this.#tick();
    return this.tell({ type: "pause", beganMs, atMs: this.#tick(), ...S, isPaused });
  }

  unpark(value: string, skipsMessage: boolean): this {
    const { offset } = this.#find(value);
    const beganMs = this.#tick();
    const what = { ...S, ...PLACE, offset, skipsMessage };
    return this.tell({ type: "unpark", beganMs, atMs: this.#tick(), ...what });
  }

  consumer(name: string, phase: ConsumerSeen["phase"], reportsBegun?: boolean): this {
    const what = { ...S, consumer: name, phase, reportsBegun };
    return this.tell({ type: "consumer", atMs: this.#tick(), ...what });
  }

  fault(name: string, phase: FaultEvent["phase"], ...nodes: readonly number[]): this {
    return this.tell({ type: "fault", atMs: this.#tick(), name, phase, nodes });
  }

  cursor(offset: number, more: Partial<CursorSeen> = {}): this {
    const what = { ...S, ...PLACE, offset, ...more };
    return this.tell({ type: "cursor", atMs: this.#tick(), ...what });
  }

  /** At rest, with these values unsettled. */
  atRest(...unsettled: readonly string[]): this {
    const offsets = unsettled.map((value) => this.#find(value).offset);
    const cursor = Math.min(this.#offsets, ...offsets);
    const ranges = offsets.flatMap((offset) => [offset, 1]);
    return this.cursor(cursor, { unsettled: ranges, isFinal: true });
  }

  dead(value: string, more: { readonly deadOffset?: number } = {}): this {
    const { offset } = this.#find(value);
    const where = { deadTopic: "dlq/s", deadPartition: 0, deadOffset: this.#dead, ...more };
    this.#dead += 1;
    return this.tell({ type: "dead", atMs: this.#tick(), ...S, ...PLACE, offset, value, ...where });
  }

  deadScanned(): this {
    const beganMs = this.#tick();
    const where = { topic: "dlq/s", partition: 0, from: 0, to: this.#dead };
    return this.tell({ type: "scan", atMs: this.#tick(), beganMs, reader: "dead", ...where });
  }

  tell(event: HistoryEvent): this {
    this.events.push(event);
    return this;
  }

  #record(name: string): DeliveredRecord {
    const [value = "", failed] = name.split("!");
    const { key, offset } = this.#find(value);
    return { offset, value, key, failed: failed === undefined ? undefined : Number(failed) };
  }

  #about(values: readonly string[]): { readonly ranges: readonly number[] } {
    return { ranges: values.flatMap((value) => [this.#find(value).offset, 1]) };
  }

  /** What nobody sent stands at 900. */
  #find(value: string): Sent {
    return this.#sent.get(value) ?? { offset: 900, key: undefined };
  }

  #tick(): number {
    this.#nowMs += 1;
    return this.#nowMs;
  }
}

function tokenOf(
  consumer: string,
  token: string,
): {
  readonly subscription: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly delivery: number;
} {
  const [leaderEpoch = 0, delivery = 0] = token.split(".").map(Number);
  return { ...S, consumer, ...PLACE, leaderEpoch, delivery };
}
