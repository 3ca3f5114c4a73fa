// A partition, its metadata and a stream, in memory: everything that a delivery host touches, under the test's control.

import { seededRandom } from "../../src/base/random.ts";
import type { DeliveryCommand, DeliveryReply } from "../../src/delivery/delivery-commands.ts";
import { deliveryReplyOf, encodeDeliveryCommand } from "../../src/delivery/delivery-encoder.ts";
import {
  DeliveryHost,
  type DeliveryHostDeps,
  type PushStream,
} from "../../src/delivery/delivery-host.ts";
import { noDeliveryMetrics } from "../../src/delivery/delivery-metrics.ts";
import { DeliveryState } from "../../src/delivery/delivery-state.ts";
import type {
  BatchRun,
  DeadLetter,
  DeliveryPartition,
  PartitionListener,
  RecordReader,
  SubscriptionDirectory,
} from "../../src/delivery/ports.ts";
import type { PushAnswer } from "../../src/delivery/push-answer.ts";
import type { OpenMessage, SubscribeMessage } from "../../src/delivery/push-request.ts";
import type { PushOutput } from "../../src/delivery/push-session.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { MEMORY_BUDGET_MIN, MemoryBudget } from "../../src/model/memory-budget.ts";
import { readBatchHeader } from "../../src/model/record-batch.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";
import type { SubscriptionRow } from "../../src/model/subscription.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { storedBatch, type TestRecord } from "./support.ts";

export const TOPIC_ID = "6f1d2c8e-0000-4000-8000-000000000001" as TopicId;
export const APPEND_TIME_MS = 1_700_000_000_500;

export class FakePartition implements DeliveryPartition {
  readonly topicId: TopicId = TOPIC_ID;
  readonly topicName: string = "orders";
  readonly partition: number = 0;
  readonly layoutEpoch: number = 1;
  readonly logBytes: number = 1000;
  readonly batches: Buffer[] = [];
  /** Of some of the batches. */
  readonly hints = new Map<Buffer, Buffer>();
  deliveries: DeliveryState = new DeliveryState();
  isLeaderReady = false;
  term = 0;
  logStartOffset = 0;
  highWatermark = 0;
  /** Nothing is in memory: every read takes a turn. */
  isCold = false;
  /** Thrown by the next proposals, in turn. */
  refusals: BrokerError[] = [];
  /** Proposals are not applied before release(). */
  isHeld = false;
  readonly commands: DeliveryCommand[] = [];
  readonly #held: (() => void)[] = [];
  readonly #listeners = new Set<PartitionListener>();

  lead(term: number = this.term + 1): void {
    this.term = term;
    this.isLeaderReady = true;
    for (const listener of [...this.#listeners]) listener.onLeaderReady(term);
  }

  lose(): void {
    this.isLeaderReady = false;
    this.#held.length = 0;
    for (const listener of [...this.#listeners]) listener.onLeadershipLost();
  }

  append(...records: (TestRecord | string)[]): void {
    this.batches.push(storedBatch(this.highWatermark, records));
    this.highWatermark += records.length;
    for (const listener of [...this.#listeners]) listener.onNews();
  }

  notLeader(): BrokerError {
    return new BrokerError("LEADER_UNKNOWN", "no leader of the partition is ready right now");
  }

  reader(from: number): RecordReader {
    return new FakeReader(this, from);
  }

  async propose(command: DeliveryCommand): Promise<DeliveryReply> {
    const refusal = this.refusals.shift();
    if (refusal !== undefined) throw refusal;
    this.commands.push(command);
    const { term } = this;
    if (this.isHeld) await new Promise<void>((resolve) => this.#held.push(resolve));
    if (!this.isLeaderReady || this.term !== term) {
      throw new BrokerError("LEADERSHIP_LOST", "leadership changed");
    }
    const { highWatermark: baseOffset, logStartOffset } = this;
    const fields = JSON.parse(JSON.stringify(encodeDeliveryCommand(command))) as object;
    return deliveryReplyOf(
      this.deliveries.apply({ ...fields }, { term, baseOffset, logStartOffset }, []),
    );
  }

  /** Applies what was held back. */
  release(): void {
    this.isHeld = false;
    for (const go of this.#held.splice(0)) go();
  }

  offsetOfTime(timeMs: number): Promise<number | undefined> {
    return Promise.resolve(timeMs > APPEND_TIME_MS ? undefined : this.logStartOffset);
  }

  listen(listener: PartitionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

class FakeReader implements RecordReader {
  readonly #partition: FakePartition;
  offset: number;

  constructor(partition: FakePartition, from: number) {
    this.#partition = partition;
    this.offset = from;
  }

  readTail(bytesMax: number): BatchRun | undefined {
    return this.#partition.isCold ? undefined : this.#run(bytesMax);
  }

  async read(bytesMax: number): Promise<BatchRun> {
    await Promise.resolve();
    return this.#run(bytesMax);
  }

  #run(bytesMax: number): BatchRun {
    const { logStartOffset } = this.#partition;
    if (this.offset < logStartOffset) {
      throw new BrokerError("OFFSET_OUT_OF_RANGE", "dropped", { logStartOffset });
    }
    const batches: Buffer[] = [];
    let bytes = 0;
    for (const batch of this.#partition.batches) {
      const header = readBatchHeader(batch);
      const end = (header?.baseOffset ?? 0) + (header?.recordCount ?? 0);
      if (end <= this.offset || (bytes > 0 && bytes + batch.length > bytesMax)) continue;
      batches.push(batch);
      bytes += batch.length;
      this.offset = end;
    }
    const hints = batches.map((batch) => this.#partition.hints.get(batch));
    return { batches, appendTimesMs: batches.map(() => APPEND_TIME_MS), hints };
  }
}

export class FakeDirectory implements SubscriptionDirectory {
  version = 100;
  topicIndex = 1;
  #rows: readonly SubscriptionRow[] = [];
  #listeners = new Set<() => void>();

  set(rows: readonly SubscriptionRow[], version: number = this.version + 1): void {
    this.#rows = rows;
    this.version = version;
    for (const changed of this.#listeners) changed();
  }

  byName(name: string): SubscriptionRow | undefined {
    return this.#rows.find((row) => row.definition.name === name);
  }

  selecting(): readonly SubscriptionRow[] {
    return this.#rows;
  }

  topicCreatedIndex(): number | undefined {
    return this.topicIndex;
  }

  onChange(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }
}

const QUIET: SubscribeMessage = {
  creditMessages: 0,
  creditBytes: 0,
  settle: [],
  drain: false,
  held: [],
};

export const OPEN: OpenMessage = {
  subscription: "bills",
  consumerId: "c1",
  protocolVersion: 1,
  form: "messages",
  reportsBegun: true,
  expectedFilter: "",
  held: [],
};

/** A consumer's end of a stream. */
export class FakeStream implements PushOutput {
  readonly answers: PushAnswer[] = [];
  isFull = false;
  isPaused = false;
  error: BrokerError | undefined;
  isEnded = false;
  readonly #stream: PushStream;

  constructor(host: DeliveryHost) {
    this.#stream = host.stream(this);
  }

  send(answer: PushAnswer): boolean {
    this.answers.push(answer);
    return !this.isFull;
  }

  end(error?: BrokerError): void {
    this.isEnded = true;
    this.error = error;
    this.#stream.close();
  }

  pause(): void {
    if (this.isPaused) throw new Error("paused twice");
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) throw new Error("resumed twice");
    this.isPaused = false;
  }

  say(message: Partial<SubscribeMessage>): void {
    this.#stream.receive({ ...QUIET, ...message });
  }

  /** The client took everything. */
  drained(): void {
    this.isFull = false;
    this.#stream.drained();
  }

  /** The client is gone. */
  close(): void {
    this.#stream.close();
  }

  ack(number: number, deliveryNumber: number, ranges: readonly number[] = [], channel = 0): void {
    const settle = { number, channel, deliveryNumber, kind: "ack", ranges } as const;
    this.say({ settle: [{ ...settle, cumulative: false, retryAtMs: 0, error: "" }] });
  }

  nack(number: number, deliveryNumber: number, ranges: readonly number[] = []): void {
    const settle = { number, channel: 0, deliveryNumber, kind: "nack", ranges } as const;
    this.say({ settle: [{ ...settle, cumulative: false, retryAtMs: 0, error: "boom" }] });
  }

  get deliveries(): PushAnswer["deliveries"] {
    return this.answers.flatMap((answer) => answer.deliveries);
  }

  /** Offsets in the order in which they came. */
  get offsets(): number[] {
    return this.deliveries.flatMap(({ batch, messages, ranges }) => {
      if (batch.length === 0) return messages.map(({ offset }) => offset);
      const all = decodeBatch(batch).map(({ offset }) => offset);
      if (ranges.length === 0) return all;
      return all.filter((offset) =>
        ranges.some(
          (from, at) => at % 2 === 0 && offset >= from && offset < from + (ranges[at + 1] ?? 0),
        ),
      );
    });
  }

  get settled(): number[] {
    return this.answers.flatMap((answer) => answer.settled);
  }

  get refusals(): PushAnswer["refusals"] {
    return this.answers.flatMap((answer) => answer.refusals);
  }

  get ended(): PushAnswer["ended"] {
    return this.answers.flatMap((answer) => answer.ended);
  }

  get lost(): PushAnswer["lost"] {
    return this.answers.flatMap((answer) => answer.lost);
  }

  get channels(): PushAnswer["channels"] {
    return this.answers.flatMap((answer) => answer.channels);
  }
}

export interface Stage {
  readonly clock: VirtualClock;
  readonly partition: FakePartition;
  readonly directory: FakeDirectory;
  readonly host: DeliveryHost;
  readonly memory: MemoryBudget;
  readonly letters: DeadLetter[];
  /** Thrown by the next publications, in turn. */
  readonly sinkRefusals: BrokerError[];
  /** Opens a stream with plenty of credit. */
  open(more?: Partial<OpenMessage>, credit?: { messages: number; bytes: number }): FakeStream;
}

/** A partition led here with these subscriptions, attached. */
export async function stageOf(
  rows: readonly SubscriptionRow[],
  more: Partial<DeliveryHostDeps> = {},
): Promise<Stage> {
  const clock = new VirtualClock();
  const partition = new FakePartition();
  const directory = new FakeDirectory();
  const memory = new MemoryBudget(MEMORY_BUDGET_MIN);
  const letters: DeadLetter[] = [];
  const sinkRefusals: BrokerError[] = [];
  const host = new DeliveryHost({
    clock: clock.root,
    random: seededRandom(1),
    metrics: noDeliveryMetrics,
    memory,
    directory,
    logger: { info: () => undefined, warn: () => undefined, error: failOnError },
    sink: {
      publish: (letter) => {
        const refusal = sinkRefusals.shift();
        if (refusal !== undefined) return Promise.reject(refusal);
        letters.push(letter);
        return Promise.resolve();
      },
    },
    ...more,
  });
  directory.set(rows);
  host.add(partition);
  partition.lead();
  await clock.run(0);
  return {
    clock,
    partition,
    directory,
    host,
    memory,
    letters,
    sinkRefusals,
    open: (open = {}, { messages, bytes } = { messages: 1000, bytes: 1_000_000 }) => {
      const stream = new FakeStream(host);
      const message = { ...OPEN, ...open };
      stream.say({ open: message, creditMessages: messages, creditBytes: bytes });
      return stream;
    },
  };
}

function failOnError(fields: Readonly<Record<string, unknown>>, message: string): void {
  throw new Error(message, { cause: fields["error"] });
}
