// Reads what a dispatcher asks for, within the node's memory budget: from memory at once, from the disk one read at a time.
// What was read is counted until the dispatcher gives it back. Part of a delivery runner.
import type { Cancel, Clock } from "../base/clock.ts";
import type { CompiledFilter } from "../filter/compile-filter.ts";
import { isBrokerError } from "../model/errors.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import { loadBatch } from "./batch-loader.ts";
import type { LoadedBatch, ReadRequest } from "./dispatch-types.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { BatchRun, DeliveryPartition } from "./ports.ts";
import { RecordFeed } from "./record-feed.ts";

/** A failed read is tried again after so long; twice as long after each further failure. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5000;

/** Whose reads these are: the delivery runner. */
export interface ReadSource {
  readonly partition: DeliveryPartition;
  readonly dispatcher: Dispatcher<Buffer>;
  readonly row: SubscriptionRow;
  readonly filter: CompiledFilter;
  readonly nowMs: number;
  /** Something was read, or can be read again. */
  markDirty(): void;
}

export interface ReadAheadDeps {
  readonly clock: Clock;
  readonly memory: MemoryBudget | undefined;
  readonly onFailure: (error: unknown) => void;
}

export class ReadAhead {
  readonly #source: ReadSource;
  readonly #deps: ReadAheadDeps;
  readonly #feed: RecordFeed;
  /** Batches that the dispatcher has. */
  #heldBytes = 0;
  #failures = 0;
  #retry: Cancel | undefined;
  #leaveMemory: (() => void) | undefined;
  #isClosed = false;

  constructor(source: ReadSource, deps: ReadAheadDeps) {
    this.#source = source;
    this.#deps = deps;
    this.#feed = new RecordFeed(source.partition);
  }

  /**
   * Starts what the dispatcher wants to read.
   * @returns whether it was read at once: there may be more to hand out
   */
  next(): boolean {
    if (this.#retry !== undefined || this.#isClosed) return false;
    const request = this.#wanted();
    if (request === undefined) return false;
    try {
      const run = this.#read(request);
      if (run instanceof Promise) {
        this.#await(run);
        return false;
      }
      this.#take(run);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** When there is no memory for what comes next in order, it may be the turn of messages that are tried again. */
  #wanted(): ReadRequest | undefined {
    const { dispatcher } = this.#source;
    for (let turn = 0; turn < 2; turn += 1) {
      const request = dispatcher.nextRead(this.#source.nowMs);
      if (request === undefined || this.#mayRead(request)) return request;
      dispatcher.onReadFailed();
    }
    return undefined;
  }

  /** The dispatcher needs these no more. */
  release(batches: readonly Buffer[]): void {
    if (batches.length === 0 || this.#isClosed) return;
    let bytes = 0;
    for (const batch of batches) bytes += batch.length;
    this.#heldBytes -= bytes;
    this.#deps.memory?.give("delivery", bytes);
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.();
    this.#leaveMemory?.();
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    this.#deps.memory?.give("delivery", bytes);
  }

  #read(request: ReadRequest): BatchRun | Promise<BatchRun> {
    if (request.kind === "run") return this.#feed.run(request.from, request.bytesMax);
    return this.#feed.offsets(request.offsets, request.bytesMax);
  }

  #await(run: Promise<BatchRun>): void {
    run.then(
      (batches) => {
        if (this.#isClosed) return;
        this.#take(batches);
        this.#source.markDirty();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  #take({ appendTimesMs, batches, hints }: BatchRun): void {
    const { dispatcher, filter, nowMs, partition, row } = this.#source;
    this.#failures = 0;
    const needsKeys = row.definition.mode !== "shared";
    const { partition: number, topicName: topic } = partition;
    const loaded: LoadedBatch<Buffer>[] = [];
    for (const [at, batch] of batches.entries()) {
      const place = { topic, partition: number, appendTimeMs: appendTimesMs[at] ?? 0 };
      loaded.push(loadBatch(batch, place, { filter, needsKeys, hints: hints[at] }));
      this.#heldBytes += batch.length;
      this.#deps.memory?.take("delivery", batch.length);
    }
    dispatcher.logMoved(partition.logStartOffset, partition.highWatermark);
    dispatcher.onRead(loaded, nowMs);
  }

  /**
   * Whoever holds nothing may always read, and so may those who try messages again: others may wait for these. The rest is
   * ahead of what consumers asked for, and one subscription never gets all of the memory for that.
   */
  #mayRead(request: ReadRequest): boolean {
    const { memory } = this.#deps;
    if (memory === undefined || this.#heldBytes === 0 || request.kind === "offsets") return true;
    const isFree =
      memory.free("delivery") >= Math.min(request.bytesMax, memory.limit("delivery") / 8);
    if (isFree && this.#heldBytes < memory.holderLimit("delivery")) return true;
    this.#leaveMemory ??= memory.whenFree("delivery", () => {
      this.#leaveMemory = undefined;
      this.#source.markDirty();
    });
    return false;
  }

  /** Damaged, dropped by retention meanwhile, or not the leader's business any more: tried again as long as it leads. */
  #failed(error: unknown): void {
    if (this.#isClosed) return;
    if (!isBrokerError(error)) this.#deps.onFailure(error);
    const { dispatcher, partition } = this.#source;
    this.#feed.reset();
    dispatcher.logMoved(partition.logStartOffset, partition.highWatermark);
    dispatcher.onReadFailed();
    const delayMs = Math.min(RETRY_MIN_MS * 2 ** this.#failures, RETRY_MAX_MS);
    this.#failures += 1;
    this.#retry = this.#deps.clock.schedule(delayMs, () => {
      this.#retry = undefined;
      this.#source.markDirty();
    });
  }
}
