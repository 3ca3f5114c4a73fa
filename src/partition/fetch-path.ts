// Reading by position, on the leader and below the high watermark only. A cursor finds its first entry by offset once and
// goes on by index; frames in memory are read without waiting, older ones from the disk, off the append path.
import { assert } from "../base/assert.ts";
import { batchOf, type Frame, SECTION, sectionOf } from "../model/entry-frame.ts";
import { BrokerError } from "../model/errors.ts";
import { PARKED_FETCHES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { Partition } from "./partition.ts";

/** Places for readers that may wait for records: open cursors of streams and long polls, per broker. */
export class FetchSlots {
  readonly #max: number;
  #taken = 0;

  constructor(max: number = PARKED_FETCHES_MAX) {
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  /** @throws BrokerError OVERLOADED. Every take() is paired with one give(). */
  take(): void {
    if (this.#taken >= this.#max) {
      throw new BrokerError("OVERLOADED", "too many readers wait on this broker", {
        limit: "parkedFetches",
      });
    }
    this.#taken += 1;
  }

  give(): void {
    this.#taken -= 1;
  }
}

/** Committed batches in offset order; views of stored frames, never written to. */
export interface BatchRun {
  readonly batches: readonly Buffer[];
  /** When each was appended, ms since 1970. */
  readonly appendTimesMs: readonly number[];
  /** Of each (model/batch-hints.ts), where it has some; empty unless the cursor was asked for them. */
  readonly hints: readonly (Buffer | undefined)[];
  readonly bytes: number;
  readonly recordCount: number;
}

const EMPTY_RUN: BatchRun = { batches: [], appendTimesMs: [], hints: [], bytes: 0, recordCount: 0 };

/** @throws BrokerError OFFSET_OUT_OF_RANGE unless `offset` is in [logStartOffset, highWatermark] */
export function checkOffset(partition: Partition, offset: Offset): void {
  const { logStartOffset, highWatermark } = partition;
  if (offset >= logStartOffset && offset <= highWatermark) return;
  throw new BrokerError(
    "OFFSET_OUT_OF_RANGE",
    `offset ${offset} is outside ${logStartOffset} to ${highWatermark}`,
    { logStartOffset, highWatermark },
  );
}

/**
 * Refuses a reader whose last record, at `offset` − 1 and appended in term `lastEpoch`, is not in this log: it read a
 * history that was given up (KIP-320).
 * @throws BrokerError DIVERGED with `endOffset`, where this log's records of terms ≤ lastEpoch end
 */
export async function checkNotDiverged(
  partition: Partition,
  offset: Offset,
  lastEpoch: Term,
): Promise<void> {
  const { replica } = partition;
  if (lastEpoch === 0 || offset === 0 || offset <= partition.logStartOffset) return;
  const index =
    offset <= replica.highWatermark ? await replica.indexOfOffset(offset - 1) : undefined;
  partition.requireLeader();
  if (index !== undefined && replica.termAt(index) === lastEpoch) return;
  // Retention may have taken the record while we looked; what is gone can not be compared.
  if (offset <= partition.logStartOffset) return;
  const endOffset = Math.min(await endOfEpoch(partition, lastEpoch), offset);
  partition.requireLeader();
  throw new BrokerError(
    "DIVERGED",
    `the log holds no record at offset ${offset - 1} of leader epoch ${lastEpoch}`,
    { endOffset },
  );
}

/** Offset after the last committed record whose term is ≤ `epoch`. */
async function endOfEpoch(partition: Partition, epoch: Term): Promise<Offset> {
  const { replica } = partition;
  const next = replica.termRuns().find((run) => run.term > epoch);
  if (next === undefined) return replica.highWatermark;
  const [frame] = await replica.read(next.from, 1);
  return frame === undefined ? replica.highWatermark : frame.baseOffset;
}

/** A reading position in one partition. One read at a time. */
export class PartitionCursor {
  readonly partition: Partition;
  #offset: Offset;
  /** Entry that holds #offset or comes before it with records below it; undefined: to be looked up. */
  #index: LogIndex | undefined;

  readonly #hasHints: boolean;

  /** @param offset first one wanted; checked by the first read */
  constructor(partition: Partition, offset: Offset, options = { hasHints: false }) {
    this.partition = partition;
    this.#offset = offset;
    this.#hasHints = options.hasHints;
  }

  /** First offset that was not read yet. */
  get offset(): Offset {
    return this.#offset;
  }

  /** Nothing to read until the high watermark moves. */
  get isAtEnd(): boolean {
    return this.#offset >= this.partition.highWatermark;
  }

  /**
   * Reads without waiting.
   * @returns undefined when it takes I/O: then use read()
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OFFSET_OUT_OF_RANGE | SHUTTING_DOWN | STORAGE_FAILED
   */
  readTail(bytesMax: number): BatchRun | undefined {
    this.#check();
    if (this.isAtEnd) return EMPTY_RUN;
    if (this.#index === undefined) return undefined;
    const frames = this.partition.replica.readTail(this.#index, bytesMax);
    return frames === undefined ? undefined : this.#take(frames);
  }

  /**
   * Batches from the position on, about `bytesMax` bytes but at least one; empty at the high watermark. The first may
   * begin below the wanted offset.
   * @throws BrokerError as readTail, and LOG_CORRUPT
   */
  async read(bytesMax: number): Promise<BatchRun> {
    this.#check();
    if (this.isAtEnd) return EMPTY_RUN;
    const { replica } = this.partition;
    try {
      const index = this.#index ?? (await replica.indexOfOffset(this.#offset));
      this.#check();
      if (index === undefined) throw notFound(this.#offset);
      this.#index = index;
      const frames = await replica.read(index, bytesMax);
      this.#check();
      return this.#take(frames);
    } catch (error) {
      // Retention may have dropped the segment under the read: then that is the reason, not a missing file.
      this.#check();
      throw error;
    }
  }

  #check(): void {
    this.partition.requireLeader();
    checkOffset(this.partition, this.#offset);
  }

  #take(frames: readonly Frame[]): BatchRun {
    const { highWatermark } = this.partition;
    const batches: Buffer[] = [];
    const appendTimesMs: number[] = [];
    const hints: (Buffer | undefined)[] = [];
    let bytes = 0;
    let recordCount = 0;
    const from = this.#index;
    for (const frame of frames) {
      assert(frame.index === this.#index, "frames are read without gaps", { index: frame.index });
      const end = frame.baseOffset + frame.recordCount;
      if (end > highWatermark) break;
      this.#index = frame.index + 1;
      if (end <= this.#offset) continue;
      const batch = batchOf(frame);
      assert(batch !== undefined, "a frame with records has a batch", { index: frame.index });
      batches.push(batch);
      appendTimesMs.push(frame.appendTimeMs);
      if (this.#hasHints) hints.push(sectionOf(frame, SECTION.HINTS));
      bytes += batch.length;
      recordCount += frame.recordCount;
      this.#offset = end;
    }
    // A reader that asks again at once would spin for ever.
    if (this.#index === from) throw notFound(this.#offset);
    return { batches, appendTimesMs, hints, bytes, recordCount };
  }
}

function notFound(offset: Offset): BrokerError {
  return new BrokerError("INTERNAL", `the log does not give the committed record ${offset}`);
}
