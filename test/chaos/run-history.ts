// The history of a run in the form of flotilla/testkit: sends and receipts out of the ledger, the last reading of every
// partition, and between them what was done and seen. Events are made one at a time: a run has millions of them.
import {
  type DurabilityClass,
  type HistoryEvent,
  headerOf,
  type LogLine,
  type Rules,
} from "../../src/testkit/index.ts";
import { saveHistory } from "../support/save-history.ts";
import type { Digest, PartitionView } from "./cluster-view.ts";
import { ACKNOWLEDGED, type Ledger, NOT_APPLIED, type SendRow, UNKNOWN } from "./ledger.ts";
import type { PartitionRead } from "./partition-read.ts";
import { keyOf } from "./payload.ts";

const FINAL = "final";
const REPLICAS = 3;

export class RunHistory {
  readonly ledger: Ledger;
  readonly topic: string;
  /** One per partition, complete from the log start to the end; empty while nothing was read back. */
  reads: readonly PartitionRead[] = [];
  readonly flush: "sync" | "async";
  readonly #name: string;
  readonly #rules: Partial<Rules>;
  readonly #notes: HistoryEvent[] = [];

  /** @param name of the run, for people @param flush of the topic and all sends */
  constructor(
    name: string,
    ledger: Ledger,
    topic: string,
    flush: "sync" | "async" = "sync",
    rules: Partial<Rules> = {},
  ) {
    this.#name = name;
    this.flush = flush;
    this.#rules = rules;
    this.ledger = ledger;
    this.topic = topic;
  }

  fault(name: string, phase: "start" | "bit" | "stop", nodes: readonly number[]): void {
    this.#notes.push({ type: "fault", atMs: performance.now(), name, phase, nodes });
  }

  /** Who leads, as the brokers say now. That nobody does at a glance says nothing about how long. */
  leaders(views: readonly PartitionView[]): void {
    const atMs = performance.now();
    for (const { leaderEpoch, leaderId: node, partition } of views) {
      if (node === 0) continue;
      const leader = { topic: this.topic, partition, node, leaderEpoch };
      this.#notes.push({ type: "leader", atMs, ...leader });
    }
  }

  logLines(lines: readonly LogLine[]): void {
    this.#notes.push(...lines);
  }

  digests(digests: readonly Digest[]): void {
    const atMs = performance.now();
    for (const { firstIndex, lastIndex, nodeId: node, partition, sha256: digest } of digests) {
      const range = { topic: this.topic, partition, firstIndex, lastIndex };
      this.#notes.push({ type: "digest", atMs, node, ...range, digest });
    }
  }

  *events(): Generator<HistoryEvent> {
    yield { ...headerOf(this.#name), rules: this.#rules };
    if (this.reads.length > 0) yield this.#declared();
    for (let n = 0; n < this.ledger.sent; n += 1) {
      yield* sendEvents(this.ledger.row(n), this.topic, `all/${this.flush}`);
    }
    yield* this.#notes;
    for (const read of this.reads) {
      for (let i = 0; i < read.sends.length; i += 1) yield readEvent(read, i, this.topic);
      yield scanEvent(read, this.topic);
    }
  }

  get readCount(): number {
    return countRecords(this.reads);
  }

  save(file: string): void {
    saveHistory(file, this.events());
  }

  #declared(): HistoryEvent {
    const size = { partitions: this.reads.length, replicas: REPLICAS };
    const { flush, topic } = this;
    return { type: "topic", atMs: 0, topic, ...size, flush, keepsAll: true };
  }
}

export function* sendEvents(
  row: SendRow,
  topic: string,
  durability: DurabilityClass,
): Generator<HistoryEvent> {
  const value = String(row.n);
  const key = keyOf(row.slot).toString();
  const { producer, sentAtMs, doneAtMs: atMs, partition, offset, leaderEpoch, duplicate } = row;
  yield { type: "send", atMs: sentAtMs, producer, topic, key, value, durability };
  if (row.state === ACKNOWLEDGED) {
    yield { type: "ack", atMs, value, partition, offset, leaderEpoch, duplicate };
  } else if (row.state === NOT_APPLIED || row.state === UNKNOWN) {
    const outcome = row.state === UNKNOWN ? "unknown" : "not-applied";
    yield { type: "fail", atMs, value, outcome, reason: row.reason };
  }
}

export function readEvent(
  read: PartitionRead,
  i: number,
  topic: string,
  reader = FINAL,
): HistoryEvent {
  const slot = read.slots[i] ?? -1;
  return {
    type: "read",
    atMs: read.times?.[i] ?? read.beganMs,
    reader,
    topic,
    partition: read.partition,
    offset: read.offsets[i] ?? -1,
    leaderEpoch: read.leaderEpochs[i] ?? -1,
    key: slot < 0 ? undefined : keyOf(slot).toString(),
    value: read.strange.get(i) ?? String(read.sends[i]),
  };
}

export function scanEvent(read: PartitionRead, topic: string): HistoryEvent {
  const { beganMs, offsets, partition } = read;
  const range = { from: offsets[0] ?? 0, to: (offsets.at(-1) ?? -1) + 1 };
  return { type: "scan", atMs: beganMs, beganMs, reader: FINAL, topic, partition, ...range };
}

export function countRecords(reads: readonly PartitionRead[]): number {
  return reads.reduce((sum, { sends }) => sum + sends.length, 0);
}
