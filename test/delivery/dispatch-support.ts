// A dispatcher over a real replicated state and a made-up log: what the runner does in production, in one step each.

import { consumerHash } from "../../src/delivery/consumer-hash.ts";
import type { OffsetRange } from "../../src/delivery/delivery-commands.ts";
import type {
  ConsumerKey,
  Credit,
  LoadedBatch,
  OutgoingDelivery,
  Output,
  ReadRequest,
  Resumed,
  Settlement,
  SettlementKind,
  SettleOutcome,
} from "../../src/delivery/dispatch-types.ts";
import { Dispatcher } from "../../src/delivery/dispatcher.ts";
import { SubscriptionState, type TableLimits } from "../../src/delivery/subscription-state.ts";
import type { SubscriptionDefinition, SubscriptionMode } from "../../src/model/subscription.ts";

export const START_MS = 1_000_000;
export const DEADLINE_MS = 30_000;

export function definitionOf(
  mode: SubscriptionMode,
  changes: Partial<SubscriptionDefinition> = {},
): SubscriptionDefinition {
  return {
    name: "orders",
    topics: { kind: "names", names: ["t"] },
    filter: "",
    mode,
    retry: {
      attemptsMax: 3,
      delaysMs: [1000, 5000],
      initialMs: 1000,
      maxMs: 60_000,
      multiplierPercent: 200,
      jitterPercent: 0,
    },
    deadLetterTopic: "dlq/orders",
    onFailure: "skip",
    ackDeadlineMs: DEADLINE_MS,
    start: { kind: "earliest" },
    pausedUntilMs: 0,
    ...changes,
  };
}

/** What a consumer says that it holds. */
export interface Claim {
  /** Not said: of the leader before. */
  readonly leaderEpoch?: number;
  readonly ranges: readonly OffsetRange[];
}

interface StoredBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly keys: readonly (string | undefined)[];
}

/** Handles of batches are "b<base offset>"; records have 100 bytes. */
export class Harness {
  readonly state: SubscriptionState;
  readonly batches: StoredBatch[] = [];
  definition: SubscriptionDefinition;
  dispatcher: Dispatcher<string>;
  nowMs = START_MS;
  /** There was another leader before. */
  term = 2;
  /** Which consumers there are is in the state before anything is handed out. */
  isCounting = true;
  random = 0;
  endOffset = 0;
  logStartOffset = 0;
  /** Which records the filter does not want. */
  isUnwanted: (offset: number) => boolean = () => false;
  readonly credits = new Map<ConsumerKey, Credit>();
  /** Of the consumers that are there. */
  readonly ids = new Map<ConsumerKey, string>();
  /** Who lost something by its deadline and has said nothing since. */
  readonly silent = new Set<ConsumerKey>();
  /** Handles that the dispatcher has. */
  readonly heldBatches: string[] = [];
  readonly reads: ReadRequest[] = [];
  readonly outputs: Output<string>[] = [];
  #settlements = 0;

  constructor(
    mode: SubscriptionMode,
    changes: Partial<SubscriptionDefinition> = {},
    from = 0,
    limits: TableLimits = {},
  ) {
    this.definition = definitionOf(mode, changes);
    const attachment = { id: "s", version: 1, createdIndex: 1, startOffset: from };
    this.state = new SubscriptionState(attachment, limits);
    this.dispatcher = this.#newDispatcher();
  }

  /** A batch with these keys, or with so many records without one. */
  append(keys: readonly (string | undefined)[] | number): void {
    const list = typeof keys === "number" ? new Array<undefined>(keys).fill(undefined) : keys;
    const baseOffset = this.endOffset;
    this.endOffset += list.length;
    this.batches.push({ baseOffset, endOffset: this.endOffset, keys: list });
    this.dispatcher.logMoved(this.logStartOffset, this.endOffset);
  }

  /** Their ids are such that consumers 1, 2 and 3 have their first turns in this order. */
  consumer(
    key: ConsumerKey,
    messages = 1000,
    { reportsBegun = true, id = `w${key}`, resumes = true } = {},
  ): void {
    const credit = { messages, bytes: 1_000_000_000 };
    this.credits.set(key, credit);
    this.ids.set(key, id);
    this.dispatcher.addConsumer(key, { id, reportsBegun, credit }, this.nowMs);
    if (resumes) this.dispatcher.resume(key, [], this.nowMs);
  }

  resume(key: ConsumerKey, claims: readonly Claim[]): readonly Resumed[] {
    const held = claims.map((claim) => ({ leaderEpoch: this.term - 1, ...claim }));
    return this.dispatcher.resume(key, held, this.nowMs);
  }

  credit(key: ConsumerKey, messages: number): void {
    const credit = this.credits.get(key);
    if (credit !== undefined) credit.messages += messages;
    this.setSilent(key, false);
    this.dispatcher.creditAdded(key);
  }

  setSilent(key: ConsumerKey, isSilent: boolean): void {
    if (isSilent) this.silent.add(key);
    else this.silent.delete(key);
    this.dispatcher.setSilent(key, isSilent);
  }

  lose(key: ConsumerKey): void {
    this.dispatcher.removeConsumer(key, this.nowMs, this.random);
    this.credits.delete(key);
    this.ids.delete(key);
    this.silent.delete(key);
  }

  /** @returns the number of the settlement, and what the dispatcher said to it */
  settle(
    key: ConsumerKey,
    kind: SettlementKind,
    deliveryNumber: number,
    ranges: readonly OffsetRange[] = [],
    more: Partial<Settlement> = {},
  ): { readonly number: number; readonly outcome: SettleOutcome } {
    this.#settlements += 1;
    const number = this.#settlements;
    const settlement: Settlement = {
      number,
      deliveryNumber,
      kind,
      ranges,
      isCumulative: false,
      retryAtMs: 0,
      error: "",
      ...more,
    };
    this.setSilent(key, false);
    const outcome = this.dispatcher.settle(key, settlement, this.nowMs, this.random);
    return { number, outcome };
  }

  /** Reads and hands out until nothing more happens. Consumers are counted, unless that is what a test is about. */
  pump(): OutgoingDelivery<string>[] {
    if (this.isCounting && this.definition.mode !== "shared") {
      const joined = hashesOf([...this.ids.values()]);
      this.state.update({ id: "s", joined }, this.endOffset);
    }
    const deliveries: OutgoingDelivery<string>[] = [];
    for (let round = 0; round < 10_000; round += 1) {
      const output = this.take();
      deliveries.push(...output.deliveries);
      const request = this.dispatcher.nextRead(this.nowMs);
      if (request === undefined) return deliveries;
      this.reads.push(request);
      this.answer(request);
    }
    throw new Error("the dispatcher reads for ever");
  }

  answer(request: ReadRequest): void {
    this.dispatcher.onRead(this.#read(request), this.nowMs);
  }

  take(): Output<string> {
    const output = this.dispatcher.takeOutput(this.nowMs, this.random);
    this.outputs.push(output);
    for (const { cause, consumer } of output.lost) {
      if (cause === "deadline") this.silent.add(consumer);
    }
    for (const handle of output.released) {
      const at = this.heldBatches.indexOf(handle);
      if (at < 0) throw new Error(`${handle} was released and is not held`);
      this.heldBatches.splice(at, 1);
    }
    return output;
  }

  /** Replicates what the dispatcher wants to be. @returns whether there was something */
  replicate(): boolean {
    const isSome = this.replicateUntold();
    if (isSome) this.dispatcher.updateApplied(this.nowMs);
    return isSome;
  }

  /** The same, and the dispatcher is not told yet, as in production until promises have settled. */
  replicateUntold(): boolean {
    const update = this.dispatcher.takeUpdate(this.nowMs);
    if (update === undefined) return false;
    this.state.update(update, this.endOffset);
    return true;
  }

  /** Looks at deadlines, replicates everything, then hands out. */
  turn(): OutgoingDelivery<string>[] {
    const deliveries = this.pump();
    while (this.replicate()) {}
    return [...deliveries, ...this.pump()];
  }

  pass(ms: number): void {
    this.nowMs += ms;
  }

  /** Numbers of settlements that were confirmed in all outputs so far. */
  confirmed(): number[] {
    return this.outputs.flatMap(({ confirmed }) =>
      confirmed.flatMap(({ numbers }) => [...numbers]),
    );
  }

  lost(): { consumer: number; ranges: readonly OffsetRange[]; cause: string }[] {
    return this.outputs.flatMap(({ lost }) =>
      lost.map(({ consumer, ranges, cause }) => ({ consumer, ranges, cause })),
    );
  }

  configure(changes: Partial<SubscriptionDefinition>): void {
    this.definition = { ...this.definition, ...changes };
    this.dispatcher.configure(this.definition, this.nowMs);
  }

  /** Another leader: only the replicated state is left. */
  changeLeader(): void {
    this.term += 1;
    this.dispatcher = this.#newDispatcher();
    this.credits.clear();
    this.ids.clear();
    this.silent.clear();
    this.heldBatches.length = 0;
  }

  seek(offset: number): void {
    this.seekUntold(offset);
    this.dispatcher.seeked(this.nowMs);
  }

  /** The same, and the dispatcher is not told yet. */
  seekUntold(offset: number): void {
    this.state.seek(offset, this.term);
  }

  dropBelow(offset: number): void {
    this.logStartOffset = offset;
    this.state.dropBelow(offset);
    this.dispatcher.logMoved(offset, this.endOffset);
  }

  keyOf(offset: number): string | undefined {
    const batch = this.batches.find((one) => offset < one.endOffset);
    return batch?.keys[offset - batch.baseOffset];
  }

  #newDispatcher(): Dispatcher<string> {
    const { state, definition, logStartOffset, nowMs } = this;
    return new Dispatcher({
      state,
      definition,
      partitionName: "t/0",
      logStartOffset,
      highWatermark: this.endOffset,
      nowMs,
    });
  }

  #read(request: ReadRequest): LoadedBatch<string>[] {
    const wanted =
      request.kind === "run"
        ? this.batches.filter(({ endOffset }) => endOffset > request.from).slice(0, 2)
        : this.batches.filter(({ baseOffset, endOffset }) =>
            request.offsets.some((offset) => offset >= baseOffset && offset < endOffset),
          );
    const kept = wanted.filter(({ endOffset }) => endOffset > this.logStartOffset);
    return kept.map((batch) => this.#load(batch));
  }

  #load({ baseOffset, endOffset, keys }: StoredBatch): LoadedBatch<string> {
    const handle = `b${baseOffset}`;
    this.heldBatches.push(handle);
    const unwanted: OffsetRange[] = [];
    for (let offset = baseOffset; offset < endOffset; offset += 1) {
      if (this.isUnwanted(offset)) unwanted.push([offset, offset + 1]);
    }
    const buffers = keys.map((key) => (key === undefined ? undefined : Buffer.from(key)));
    return {
      handle,
      baseOffset,
      endOffset,
      bytes: (endOffset - baseOffset) * 100,
      unwanted,
      keys: this.definition.mode === "shared" ? undefined : buffers,
    };
  }
}

/** As a leader notes them. */
export function hashesOf(ids: readonly string[]): number[] {
  return [...new Set(ids.map(consumerHash))].sort((a, b) => a - b);
}

/** "consumer: offsets" of each delivery. */
export function shown(deliveries: readonly OutgoingDelivery<string>[]): string[] {
  return deliveries.map(({ consumer, ranges }) => {
    const runs = ranges.map(([from, to]) => (to === from + 1 ? `${from}` : `${from}-${to - 1}`));
    return `${consumer}: ${runs.join(" ")}`;
  });
}

export function offsetsOf(deliveries: readonly OutgoingDelivery<string>[]): number[] {
  return deliveries.flatMap(({ ranges }) =>
    ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, at) => from + at)),
  );
}
