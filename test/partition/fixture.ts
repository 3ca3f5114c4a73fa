// What the tests of this room share: a partition on a fake replica, batches, a virtual clock.
import type { Cancel, Clock } from "../../src/base/clock.ts";
import type { Flush } from "../../src/model/durability.ts";
import { batchOf } from "../../src/model/entry-frame.ts";
import type { BrokerError } from "../../src/model/errors.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { BatchBuilder, type BatchProducer } from "../../src/model/record-batch-builder.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";
import { Partition } from "../../src/partition/partition.ts";
import { PartitionState } from "../../src/partition/partition-state.ts";
import type {
  AppendObserver,
  AppendReceipt,
  AppendRequest,
  PartitionEnvironment,
  PartitionSettings,
} from "../../src/partition/ports.ts";
import { FakeReplica } from "./fake-replica.ts";

export const TOPIC = "6f1d2c8e-0000-4000-8000-000000000001" as TopicId;

export const SETTINGS: PartitionSettings = {
  acks: "all",
  minAcks: "none",
  flush: "sync",
  messageBytesMax: 1024 * 1024,
  retentionMs: -1,
  retentionBytes: -1,
  retentionAcked: false,
  layoutEpoch: 1,
};

export class VirtualClock implements Clock {
  nowMs = 0;
  #deferred: (() => void)[] = [];
  #timers: { atMs: number; run: () => void }[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }
  wallMs(): number {
    return 1_700_000_000_000 + this.nowMs;
  }
  schedule(delayMs: number, run: () => void): Cancel {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  defer(run: () => void): void {
    this.#deferred.push(run);
  }
  /** Runs what was deferred, what that defers, and all promises between. */
  async turn(): Promise<void> {
    await settle();
    while (this.#deferred.length > 0) {
      const due = this.#deferred;
      this.#deferred = [];
      for (const run of due) run();
      await settle();
    }
  }
  async advance(byMs: number): Promise<void> {
    const endMs = this.nowMs + byMs;
    for (;;) {
      await this.turn();
      const next = this.#timers.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = endMs;
    await this.turn();
  }
}

export async function settle(): Promise<void> {
  for (let i = 0; i < 12; i += 1) await Promise.resolve();
}

export interface Fixture {
  readonly state: PartitionState;
  readonly replica: FakeReplica;
  readonly partition: Partition;
}

export function makePartition(
  options: {
    settings?: Partial<PartitionSettings>;
    environment?: PartitionEnvironment;
    state?: PartitionState;
    flush?: Flush;
    follower?: boolean;
  } = {},
): Fixture {
  const state = options.state ?? new PartitionState();
  const replica = new FakeReplica(state);
  const partition = new Partition({
    topicId: TOPIC,
    partition: 0,
    replica,
    state,
    settings: { ...SETTINGS, ...options.settings },
    ...(options.environment === undefined ? {} : { environment: options.environment }),
  });
  if (options.follower !== true) {
    replica.takeOver();
    // A flush change of the settings is an entry of the log.
    replica.advance();
  }
  return { state, replica, partition };
}

export function batchOfValues(values: readonly string[], producer?: BatchProducer): Buffer {
  const builder = new BatchBuilder(256);
  for (const value of values) builder.append(undefined, Buffer.from(value), undefined, 5000);
  return builder.finish(producer);
}

export function producerBatch(
  producerId: number,
  baseSequence: number,
  count = 1,
  epoch = 0,
): Buffer {
  const values = Array.from({ length: count }, (_, i) => `${producerId}:${baseSequence + i}`);
  return batchOfValues(values, { producerId, producerEpoch: epoch, baseSequence });
}

export function request(batch: Buffer, more: Partial<AppendRequest> = {}): AppendRequest {
  return { batch, acks: "all", flush: undefined, layoutEpoch: 1, ...more };
}

/** Remembers what became of an append. */
export class Outcome implements AppendObserver {
  receipt: AppendReceipt | undefined;
  error: BrokerError | undefined;
  onReceipt(receipt: AppendReceipt): void {
    if (this.isSettled) throw new Error("told twice");
    this.receipt = receipt;
  }
  onFailure(error: BrokerError): void {
    if (this.isSettled) throw new Error("told twice");
    this.error = error;
  }
  get isSettled(): boolean {
    return this.receipt !== undefined || this.error !== undefined;
  }
}

/** Values of all records in the log up to `lastIndex`, with their offsets checked to be dense. */
export function logValues(replica: FakeReplica, lastIndex: number = replica.lastIndex): string[] {
  const values: string[] = [];
  for (const frame of replica.frames.slice(0, lastIndex)) {
    const batch = batchOf(frame);
    if (batch === undefined) continue;
    for (const record of decodeBatch(batch)) {
      if (record.offset !== values.length) throw new Error("offsets are not dense");
      values.push(record.value?.toString() ?? "");
    }
  }
  return values;
}
