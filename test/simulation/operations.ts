// The book of what clients did and saw: every send, its end, and every record read go into the history (for the checker),
// into the trace (for determinism), and are compared with what the brokers' disks hold. Kept by the workload and by the
// final reads.
import type { Acks } from "../../src/model/durability.ts";
import type { DurabilityClass, History } from "../../src/testkit/index.ts";
import { markerOf, tagHeaders } from "./delivery/tags.ts";
import type { TopicPlan } from "./plan/seed-plan.ts";
import type { SimCluster } from "./sim-cluster.ts";
import type { World } from "./world.ts";

export interface SendPlan {
  /** Whose order is promised. */
  readonly producer: string;
  readonly topic: TopicPlan;
  readonly key: string;
  readonly acks: Acks;
  /** Stronger than the topic's. */
  readonly flush?: "sync" | undefined;
}

export interface Placed {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
}

export interface ReadRecord extends Placed {
  readonly key?: Buffer | undefined;
  readonly value?: Buffer | undefined;
}

/** What a reader was answered. */
export interface Page {
  readonly from: number;
  readonly next: number;
  readonly beganMs: number;
  readonly records: readonly ReadRecord[];
}

export interface ScannedRange {
  readonly partition: number;
  readonly beganMs: number;
  readonly from: number;
  readonly to: number;
}

/** Enough of a value to recognise it. */
const SHOWN = 40;

export class Operations {
  sends = 0;
  acks = 0;
  failures = 0;
  reads = 0;
  verdicts = 0;
  readonly #history: History;
  readonly #world: World;
  readonly #cluster: SimCluster;
  readonly #classes = new Map<string, DurabilityClass>();

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
    this.#history = cluster.history;
    this.#world = cluster.world;
  }

  /** @returns the value to send: unique, as long as the topic wants it */
  begin({ acks, flush, key, producer, topic }: SendPlan): string {
    this.sends += 1;
    const value = `${producer}-${this.sends}`.padEnd(topic.valueBytes, ".");
    const durability: DurabilityClass =
      acks === "none" ? "none" : `${acks}/${flush ?? topic.flush}`;
    const atMs = this.#world.nowMs;
    this.#classes.set(value, durability);
    const about = { producer, topic: topic.name, key, value, durability, marker: markerOf(key) };
    this.#history.add({ type: "send", atMs, ...about });
    return value;
  }

  /** Of the message to send. */
  headersFor({ key, topic }: SendPlan): ReturnType<typeof tagHeaders> {
    return tagHeaders(this.#cluster.plan, topic.name, key);
  }

  acked(topic: string, value: string, placed: Placed, duplicate: boolean): void {
    this.acks += 1;
    const { leaderEpoch, offset, partition } = placed;
    const atMs = this.#world.nowMs;
    this.#history.add({ type: "ack", atMs, value, partition, offset, leaderEpoch, duplicate });
    this.#world.trace(`ack ${value.slice(0, SHOWN)} ${partition}@${offset}`);
    const durability = this.#classes.get(value);
    const group = this.#cluster.groupOf(topic, partition);
    if (group === undefined || durability?.startsWith("all/") !== true) return;
    this.#cluster.invariants.acked(group, offset, leaderEpoch, durability === "all/sync");
  }

  failed(value: string, outcome: "not-applied" | "unknown", reason: string): void {
    this.failures += 1;
    const atMs = this.#world.nowMs;
    this.#history.add({ type: "fail", atMs, value, outcome, reason });
    this.#world.trace(`fail ${value.slice(0, SHOWN)} ${outcome} ${reason}`);
  }

  read(reader: string, topic: string, record: ReadRecord): void {
    this.reads += 1;
    const { leaderEpoch, offset, partition } = record;
    const atMs = this.#world.nowMs;
    const key = record.key?.toString();
    const value = record.value?.toString() ?? "";
    const place = { topic, partition, offset, leaderEpoch };
    this.#history.add({ type: "read", atMs, reader, ...place, key, value });
    this.#world.trace(`read ${reader} ${partition}@${offset} ${value.slice(0, SHOWN)}`);
    const group = this.#cluster.groupOf(topic, partition);
    if (group !== undefined) this.#cluster.invariants.read(group, offset, leaderEpoch);
  }

  /** A whole answer: that it was empty is news, too. */
  polled(reader: string, topic: string, partition: number, page: Page): void {
    const { beganMs, from, next } = page;
    const records = page.records.map(({ key, leaderEpoch, offset, value }) => {
      return { offset, leaderEpoch, key: key?.toString(), value: value?.toString() ?? "" };
    });
    this.reads += records.length;
    const place = { reader, topic, partition };
    const atMs = this.#world.nowMs;
    this.#history.add({ type: "poll", atMs, beganMs, ...place, from, next, records });
    this.#world.trace(`poll ${reader} ${from}…${next} of ${partition}`);
    const group = this.#cluster.groupOf(topic, partition);
    if (group === undefined) return;
    for (const { leaderEpoch, offset } of records) {
      this.#cluster.invariants.read(group, offset, leaderEpoch);
    }
  }

  /** A reader has come from the log start to the end. */
  scanned(reader: string, topic: string, range: ScannedRange): void {
    const atMs = this.#world.nowMs;
    this.#history.add({ type: "scan", atMs, reader, topic, ...range });
  }

  /** A broker said what became of a send that was acknowledged at a place. */
  judged(value: string, placed: Placed, outcome: "committed" | "lost"): void {
    this.verdicts += 1;
    const { leaderEpoch, offset, partition } = placed;
    const place = { partition, offset, leaderEpoch };
    const atMs = this.#world.nowMs;
    this.#history.add({ type: "outcome", atMs, value, by: "position", outcome, ...place });
    this.#world.trace(`verdict ${value.slice(0, SHOWN)} ${partition}@${offset} ${outcome}`);
  }
}
