// Tells small histories for the checker's tests: one topic "t" with one partition, three replicas, a millisecond between
// two events unless the story jumps.
import {
  type BoundsSeen,
  type DurabilityClass,
  type FaultEvent,
  type HistoryEvent,
  headerOf,
  type OutcomeAnswered,
  type Rules,
  type SendInvoked,
} from "../../src/testkit/index.ts";

const PLACE = { topic: "t", partition: 0 };

export class Story {
  readonly events: HistoryEvent[] = [];
  #nowMs = 1000;

  static of(rules: Partial<Rules> = {}, flush: "sync" | "async" = "sync"): Story {
    const story = new Story();
    story.events.push(headerOf("story", rules));
    const size = { partitions: 1, replicas: 3 };
    story.events.push({ type: "topic", atMs: 0, topic: "t", ...size, flush, keepsAll: true });
    return story;
  }

  /** Lets time go by. */
  wait(ms: number): this {
    this.#nowMs += ms;
    return this;
  }

  send(value: string, more: Partial<SendInvoked> = {}): this {
    const durability: DurabilityClass = "all/sync";
    const base = { producer: "p", topic: "t", key: undefined, value, durability };
    return this.tell({ type: "send", atMs: this.#tick(), ...base, ...more });
  }

  ack(value: string, offset: number, leaderEpoch = 1, node?: number): this {
    const receipt = { partition: 0, offset, leaderEpoch, duplicate: false };
    return this.tell({ type: "ack", atMs: this.#tick(), value, ...receipt, node });
  }

  /** Sent and acknowledged at once, one after the other from offset 0. */
  acked(...values: readonly string[]): this {
    for (const [offset, value] of values.entries()) this.send(value).ack(value, offset);
    return this;
  }

  fail(value: string, outcome: "not-applied" | "unknown", reason = "DEADLINE"): this {
    return this.tell({ type: "fail", atMs: this.#tick(), value, outcome, reason });
  }

  read(reader: string, offset: number, value: string, leaderEpoch = 1): this {
    const record = { offset, leaderEpoch, key: undefined, value };
    return this.tell({ type: "read", atMs: this.#tick(), reader, ...PLACE, ...record });
  }

  poll(reader: string, from: number, offsets: readonly (readonly [number, string])[]): this {
    const records = offsets.map(([offset, value]) => ({ offset, leaderEpoch: 1, value }));
    const next = (offsets.at(-1)?.[0] ?? from - 1) + 1;
    const beganMs = this.#tick();
    const poll = { reader, ...PLACE, from, next, records };
    return this.tell({ type: "poll", atMs: this.#tick(), beganMs, ...poll });
  }

  seek(reader: string, offset: number): this {
    return this.tell({ type: "seek", atMs: this.#tick(), reader, ...PLACE, offset });
  }

  /** The final pass: these values from `from` on, and nothing else. */
  final(values: readonly string[], from = 0): this {
    const beganMs = this.#tick();
    for (const [position, value] of values.entries()) this.read("final", from + position, value);
    const range = { from, to: from + values.length };
    const scan = { beganMs, reader: "final", ...PLACE, ...range };
    return this.tell({ type: "scan", atMs: this.#tick(), ...scan });
  }

  bounds(highWatermark: number, leaderEpoch = 1, more: Partial<BoundsSeen> = {}): this {
    const seen = { ...PLACE, leaderEpoch, logStartOffset: 0, highWatermark };
    const beganMs = this.#tick();
    return this.tell({ type: "bounds", atMs: this.#tick(), beganMs, ...seen, ...more });
  }

  outcome(value: string, outcome: OutcomeAnswered["outcome"], offset: number, epoch = 1): this {
    const place = { partition: 0, offset, leaderEpoch: epoch };
    const answer = { value, by: "position", outcome, ...place } as const;
    return this.tell({ type: "outcome", atMs: this.#tick(), ...answer });
  }

  fault(name: string, phase: FaultEvent["phase"], ...nodes: readonly number[]): this {
    return this.tell({ type: "fault", atMs: this.#tick(), name, phase, nodes });
  }

  leader(node: number, leaderEpoch: number): this {
    return this.tell({ type: "leader", atMs: this.#tick(), ...PLACE, node, leaderEpoch });
  }

  digest(node: number, digest: string, lastIndex = 9): this {
    const range = { firstIndex: 1, lastIndex };
    return this.tell({ type: "digest", atMs: this.#tick(), ...PLACE, node, ...range, digest });
  }

  metadata(node: number, index: number, subject: string, state: string): this {
    return this.tell({ type: "metadata", atMs: this.#tick(), node, index, subject, state });
  }

  log(node: number, level: "info" | "warn" | "error" | "fatal", message: string): this {
    return this.tell({ type: "log", atMs: this.#tick(), node, level, message });
  }

  exit(node: number, code: number): this {
    return this.tell({ type: "exit", atMs: this.#tick(), node, code });
  }

  sample(phase: "baseline" | "load" | "idle", values: Readonly<Record<string, number>>): this {
    return this.tell({ type: "sample", atMs: this.#tick(), node: 1, phase, values });
  }

  tell(event: HistoryEvent): this {
    this.events.push(event);
    return this;
  }

  #tick(): number {
    this.#nowMs += 1;
    return this.#nowMs;
  }
}
