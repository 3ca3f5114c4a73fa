// The history of a run on several topics, in the form of flotilla/testkit: what the ledger holds of each producer, what
// readers saw meanwhile and in the end, and between them what was done and seen.
import {
  type HistoryEvent,
  headerOf,
  type LogLine,
  type Rules,
} from "../../../src/testkit/index.ts";
import type { ProcessEnd } from "../../support/local-cluster.ts";
import { saveHistory } from "../../support/save-history.ts";
import type { Digest, PartitionView } from "../cluster-view.ts";
import type { FaultKind } from "../faults/fault.ts";
import type { Ledger } from "../ledger.ts";
import type { PartitionRead } from "../partition-read.ts";
import { countRecords, readEvent, scanEvent, sendEvents } from "../run-history.ts";

export interface HistoryTopic {
  readonly name: string;
  readonly partitions: number;
  readonly flush: "sync" | "async";
  /** As the ledger names it; its sends go to this topic only. */
  readonly producer: string;
  /** What a reader that never stopped saw, in passes. */
  readonly live: (PartitionRead & { readonly reader: string })[];
  /** One per partition, complete from the log start to the end; empty while nothing was read back. */
  finals: readonly PartitionRead[];
}

const REPLICAS = 3;

export class MixedHistory {
  readonly ledger: Ledger;
  readonly topics: readonly HistoryTopic[];
  readonly #name: string;
  readonly #rules: Partial<Rules>;
  readonly #notes: HistoryEvent[] = [];

  /** @param name of the run, for people */
  constructor(
    name: string,
    ledger: Ledger,
    topics: readonly HistoryTopic[],
    rules: Partial<Rules>,
  ) {
    this.#name = name;
    this.ledger = ledger;
    this.topics = topics;
    this.#rules = rules;
  }

  fault(
    { effect, name }: Pick<FaultKind, "name" | "effect">,
    phase: "start" | "bit" | "stop",
    nodes: readonly number[],
  ): void {
    this.#notes.push({ type: "fault", atMs: performance.now(), name, phase, nodes, effect });
  }

  /** Who leads, as the brokers say now. That nobody does at a glance says nothing about how long. */
  leaders(topic: string, views: readonly PartitionView[]): void {
    const atMs = performance.now();
    for (const { leaderEpoch, leaderId: node, partition } of views) {
      if (node === 0) continue;
      this.#notes.push({ type: "leader", atMs, topic, partition, node, leaderEpoch });
    }
  }

  processEnd(node: number, { code, signal }: ProcessEnd): void {
    const end = { code: code ?? undefined, signal: signal ?? undefined };
    this.#notes.push({ type: "exit", atMs: performance.now(), node, ...end });
  }

  logLines(lines: readonly LogLine[]): void {
    this.#notes.push(...lines);
  }

  digests(topic: string, digests: readonly Digest[]): void {
    const atMs = performance.now();
    for (const { firstIndex, lastIndex, nodeId: node, partition, sha256: digest } of digests) {
      const range = { topic, partition, firstIndex, lastIndex };
      this.#notes.push({ type: "digest", atMs, node, ...range, digest });
    }
  }

  *events(): Generator<HistoryEvent> {
    yield { ...headerOf(this.#name), rules: this.#rules };
    for (const { flush, name: topic, partitions } of this.topics) {
      const size = { partitions, replicas: REPLICAS };
      yield { type: "topic", atMs: 0, topic, ...size, flush, keepsAll: true };
    }
    const byProducer = new Map(this.topics.map((topic) => [topic.producer, topic]));
    for (let n = 0; n < this.ledger.sent; n += 1) {
      const row = this.ledger.row(n);
      const topic = byProducer.get(row.producer);
      if (topic === undefined) throw new Error(`no topic of producer ${row.producer}`);
      yield* sendEvents(row, topic.name, `all/${topic.flush}`);
    }
    yield* this.#notes;
    for (const { finals, live, name } of this.topics) {
      for (const read of live) {
        for (let i = 0; i < read.sends.length; i += 1) yield readEvent(read, i, name, read.reader);
      }
      for (const read of finals) {
        for (let i = 0; i < read.sends.length; i += 1) yield readEvent(read, i, name);
        yield scanEvent(read, name);
      }
    }
  }

  get readCount(): number {
    return this.topics.reduce((sum, { finals }) => sum + countRecords(finals), 0);
  }

  save(file: string): void {
    saveHistory(file, this.events());
  }
}
