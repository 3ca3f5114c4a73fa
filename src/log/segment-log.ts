// The log of one raft group on segments (contract: GroupLog in ports.ts). Appends and truncations are synchronous and go
// to the page cache; sync(), truncatePrefix() and reset() run one after another and make things durable.
// Called by the replica room. File formats and what survives which cut: docs/STORAGE-FORMAT.md.
import { assert } from "../base/assert.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Frame } from "../model/entry-frame.ts";
import type { GroupId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import { LogReader } from "./log-reader.ts";
import { type LogPlace, type RecoveryReport, recoverSegments } from "./log-recovery.ts";
import {
  type DamagedRange,
  type Disk,
  type EntrySource,
  type GroupLog,
  type Pace,
  type RepairOptions,
  type SegmentInfo,
  StorageError,
} from "./ports.ts";
import type { Segment } from "./segment.ts";
import { isFull, SegmentChain } from "./segment-chain.ts";
import { examineSegment } from "./segment-examine.ts";
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import { lastAtMost, type SegmentIndex, type TermRun } from "./segment-index.ts";
import {
  keepOriginal,
  type RepairedCopy,
  removeCopy,
  temporaryOf,
  writeRepairedCopy,
} from "./segment-repair.ts";

const MIB = 1024 * 1024;

/** Told what the log does; for metrics and the log that people read. Must not throw. */
export interface LogObserver {
  onSync?(durationMs: number, bytes: number): void;
  onRecovery?(report: RecoveryReport): void;
  /** Something that the log can do without went wrong. */
  onProblem?(problem: string, error: unknown): void;
}

export interface GroupLogOptions {
  readonly disk: Disk;
  /** Of this group's log alone; made, durably, when it does not exist. */
  readonly directory: string;
  /** Stands in every segment: a file of another group is refused. */
  readonly groupId: GroupId;
  /** A segment is sealed before a frame that would make it larger than this. Default 128 MiB. */
  readonly segmentBytes?: number;
  /** Spacing of the sparse index. Default 64 KiB. */
  readonly indexBytes?: number;
  /**
   * Entries up to here were synced: recovery refuses (StorageError "corrupt") rather than cut below. Must not exceed what
   * a sync() or reset() of this log promised; before a reset() to a lower end, a lower value has to be stored. Default 0.
   */
  readonly durableIndexHint?: LogIndex;
  /** The machine ran on since the log was last open, so only the end of the last write may be missing. Default false. */
  readonly pageCacheKept?: boolean;
  readonly observer?: LogObserver;
  /** Needed by an observer of syncs, and to let the event loop turn while a damaged log is opened. */
  readonly clock?: Clock;
}

/**
 * Opens or creates the log. What it holds afterwards is durable.
 * @throws StorageError "corrupt" (damage that is no torn tail; nothing was changed) | "version" | "io" | "full"
 */
export async function openGroupLog(options: GroupLogOptions): Promise<GroupLog> {
  const { clock } = options;
  const place: LogPlace = {
    disk: options.disk,
    directory: options.directory,
    groupId: options.groupId,
    indexBytes: options.indexBytes ?? 64 * 1024,
    durableIndexHint: options.durableIndexHint ?? 0,
    pageCacheKept: options.pageCacheKept ?? false,
    breathe: () => (clock === undefined ? Promise.resolve() : sleep(clock, 0)),
  };
  const { segments, report } = await recoverSegments(place);
  options.observer?.onRecovery?.(report);
  return new SegmentLog(options, place, new SegmentChain(place, segments));
}

class SegmentLog implements GroupLog {
  readonly #place: LogPlace;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #observer: LogObserver | undefined;
  readonly #clock: Clock | undefined;
  readonly #chain: SegmentChain;
  readonly #reader: LogReader;
  #failure: StorageError | undefined;
  #isClosed = false;
  #isResetting = false;
  /** The end of the queue of sync, truncatePrefix and reset. */
  #queue: Promise<unknown> = Promise.resolve();
  /** A sync that has not begun yet: it covers whatever is appended until it does. */
  #waitingSync: Promise<void> | undefined;

  constructor(options: GroupLogOptions, place: LogPlace, chain: SegmentChain) {
    this.#place = place;
    this.#directory = options.directory;
    this.#segmentBytes = options.segmentBytes ?? 128 * MIB;
    this.#observer = options.observer;
    this.#clock = options.clock;
    this.#chain = chain;
    this.#reader = new LogReader(() => chain.segments);
  }

  get firstIndex(): LogIndex {
    return this.#chain.oldest.index.firstIndex;
  }
  get lastIndex(): LogIndex {
    return this.#newest.lastIndex;
  }
  get lastTerm(): Term {
    return this.#newest.lastTerm;
  }
  get firstPrevTerm(): Term {
    return this.#chain.oldest.index.header.prevTerm;
  }
  get startOffset(): Offset {
    return this.#chain.oldest.index.header.baseOffset;
  }
  get nextOffset(): Offset {
    return this.#newest.nextOffset;
  }
  get lastAppendTimeMs(): number {
    return this.#newest.lastAppendTimeMs;
  }
  get bytes(): number {
    return this.#chain.bytes;
  }

  get termRuns(): readonly TermRun[] {
    const runs: TermRun[] = [];
    for (const { index } of this.#chain.segments) {
      for (const run of index.termRuns) if (runs.at(-1)?.term !== run.term) runs.push(run);
    }
    return runs;
  }

  membershipIndexes(from: LogIndex): readonly LogIndex[] {
    const touched = this.#chain.segments.filter(({ index }) => index.lastIndex >= from);
    return touched.flatMap(({ index }) => index.memberships.filter((at) => at >= from));
  }

  append(frames: readonly Frame[]): void {
    this.#check();
    assertNext(this.#newest, frames);
    const before = this.lastIndex;
    try {
      let pending: Frame[] = [];
      let { end } = this.#newest;
      for (const frame of frames) {
        const { length } = frame.bytes;
        if (end > SEGMENT_HEADER_BYTES && end + length > this.#segmentBytes) {
          this.#chain.write(pending);
          pending = [];
          this.#chain.roll();
          end = SEGMENT_HEADER_BYTES;
        }
        pending.push(frame);
        end += length;
      }
      this.#chain.write(pending);
    } catch (error) {
      this.#undoAppend(before, error);
    }
  }

  truncateSuffix(fromIndex: LogIndex): void {
    this.#check();
    assert(fromIndex >= this.firstIndex, "the log does not reach back so far", { fromIndex });
    if (fromIndex > this.lastIndex) return;
    this.#cut(fromIndex);
  }

  sync(): Promise<void> {
    if (this.#waitingSync !== undefined) return this.#waitingSync;
    const run = this.#enqueue(async () => {
      this.#waitingSync = undefined;
      await this.#syncOnce();
    });
    this.#waitingSync = run;
    return run;
  }

  truncatePrefix(index: LogIndex): Promise<LogIndex> {
    return this.#enqueue(async () => {
      assert(index <= this.lastIndex + 1, "the log does not reach so far", { index });
      const { segments } = this.#chain;
      if ((segments[1]?.index.firstIndex ?? this.lastIndex + 1) > index) return this.firstIndex;
      if (index > this.lastIndex && !this.#newest.isEmpty) this.#chain.roll();
      // The first segment that stays must be whole on disk before those that prove it are gone.
      await this.#syncOnce();
      // One by one: after a power cut the log must still be without gaps.
      while (this.#mayDropOldest(index)) await this.#finally(this.#chain.dropOldest());
      return this.firstIndex;
    });
  }

  reset(index: LogIndex, prevTerm: Term, nextOffset: Offset): Promise<void> {
    return this.#enqueue(async () => {
      this.#isResetting = true;
      try {
        await this.#syncOnce();
        await this.#chain.restart(index, prevTerm, nextOffset, () => this.#reader.forgetPlaces());
      } finally {
        this.#isResetting = false;
      }
    });
  }

  termAt(index: LogIndex): Term | undefined {
    if (index < this.firstIndex || index > this.lastIndex) return undefined;
    if (index >= this.#newest.firstIndex) return this.#newest.termAt(index);
    const { segments } = this.#chain;
    return segments[lastAtMost(segments, index, (one) => one.index.firstIndex)]?.index.termAt(
      index,
    );
  }

  async read(from: LogIndex, last: LogIndex, bytesMax: number): Promise<Frame[]> {
    this.#check();
    return this.#reader.read(from, last, bytesMax);
  }

  async indexOfOffset(offset: Offset): Promise<LogIndex | undefined> {
    this.#check();
    return this.#reader.indexOfOffset(offset);
  }

  async offsetOfTime(timeMs: number): Promise<Offset | undefined> {
    this.#check();
    return this.#reader.offsetOfTime(timeMs);
  }

  segments(): readonly SegmentInfo[] {
    const { segments, active } = this.#chain;
    return segments.map((segment) => segment.info(segment !== active));
  }

  get damage(): readonly DamagedRange[] {
    return this.#chain.segments.flatMap((segment) => segment.damage);
  }

  async examine(index: LogIndex, pace?: Pace): Promise<readonly DamagedRange[]> {
    this.#check();
    const segment = this.#chain.holding(index);
    if (segment === undefined) return [];
    const isGone = this.#watch(segment);
    // A handle of its own: readers' stay as few as they are.
    const file = this.#place.disk.open(segment.path, { create: false });
    try {
      const isSealed = segment !== this.#chain.active;
      const damage = await examineSegment(file, segment.index, pace, isSealed);
      if (isGone()) return [];
      this.#chain.noteDamage(segment, damage);
      return damage;
    } catch (error) {
      if (isGone()) return [];
      throw error;
    } finally {
      file.close();
    }
  }

  async repair(index: LogIndex, source: EntrySource, options: RepairOptions = {}): Promise<void> {
    this.#check();
    const segment = this.#chain.holding(index);
    if (segment === undefined || segment.damage.length === 0) return;
    // What is written to can not be replaced: what comes next goes to a segment of its own.
    if (segment === this.#chain.active) this.#roll();
    const isGone = this.#watch(segment);
    try {
      const copy = await this.#copyOf(segment, source, options, isGone);
      if (copy === undefined || isGone()) return;
      // Opens the original before anything is awaited: what is removed from then on can still be read.
      const problem = await keepOriginal(this.#place, segment, options.pace);
      if (problem !== undefined) this.#onProblem("a damaged original is not kept", problem);
      if (isGone()) return;
      await this.#enqueue(async () => {
        if (isGone()) return;
        this.#reader.forgetPlaces();
        await this.#chain.replace(segment, temporaryOf(segment), copy.index, copy.damage);
      });
      if (copy.failure !== undefined) throw copy.failure;
    } finally {
      const problem = removeCopy(this.#place, segment);
      if (problem !== undefined) this.#onProblem("the copy of a segment is left over", problem);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#chain.close();
  }

  /** @returns undefined when the segment left the log meanwhile: an error then means nothing */
  async #copyOf(
    segment: Segment,
    source: EntrySource,
    options: RepairOptions,
    isGone: () => boolean,
  ): Promise<RepairedCopy | undefined> {
    try {
      return await writeRepairedCopy(this.#place, segment, source, options);
    } catch (error) {
      if (isGone()) return undefined;
      throw error;
    }
  }

  /** Tells from now on whether what a segment's file holds may be no part of the log any more. */
  #watch(segment: Segment): () => boolean {
    const { cuts } = this.#reader;
    return () => this.#isClosed || segment.isRemoved || cuts !== this.#reader.cuts;
  }

  #onProblem(problem: string, error: unknown): void {
    this.#observer?.onProblem?.(problem, error);
  }

  get #newest(): SegmentIndex {
    return this.#chain.active.index;
  }

  #check(): void {
    const directory = this.#directory;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) throw new StorageError("io", directory, "the log is closed");
    assert(!this.#isResetting, "nobody uses a log while it is reset", { directory });
  }

  #roll(): void {
    try {
      this.#chain.roll();
    } catch (error) {
      throw isFull(error) ? error : this.#fail(error);
    }
  }

  /** @throws StorageError "corrupt" when damage hides where the cut is; the log is as it was then */
  #cut(fromIndex: LogIndex): void {
    const found = this.#chain.findCut(fromIndex);
    this.#reader.forgetPlaces();
    try {
      this.#chain.cut(found);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** A full disk leaves the log as it was before the call; anything else ends its use. */
  #undoAppend(lastIndex: LogIndex, error: unknown): never {
    if (!isFull(error)) throw this.#fail(error);
    try {
      if (this.lastIndex > lastIndex) this.#cut(lastIndex + 1);
    } catch (cause) {
      throw this.#fail(cause);
    }
    throw error;
  }

  #mayDropOldest(index: LogIndex): boolean {
    const { oldest, active } = this.#chain;
    return oldest !== active && oldest.index.lastIndex < index;
  }

  async #syncOnce(): Promise<void> {
    const startedMs = this.#clock?.monotonicMs() ?? 0;
    const bytes = await this.#finally(this.#chain.sync());
    if (bytes === undefined || this.#clock === undefined) return;
    this.#observer?.onSync?.(this.#clock.monotonicMs() - startedMs, bytes);
  }

  /** Any failure of this work is final, a full disk too: marks of what is unsynced are lost with it. */
  async #finally<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Runs `work` after all queued before it; a failure other than a full disk is final for the log. */
  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(async () => {
      this.#check();
      try {
        return await work();
      } catch (error) {
        throw isFull(error) ? error : this.#fail(error);
      }
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  #fail(error: unknown): unknown {
    if (error instanceof StorageError) this.#failure ??= error;
    return error;
  }
}

/** Checked before anything is written, so that a refused call has no effect. */
function assertNext(newest: SegmentIndex, frames: readonly Frame[]): void {
  let { lastIndex, lastTerm, nextOffset } = newest;
  for (const { index, term, baseOffset, recordCount } of frames) {
    const isNext = index === lastIndex + 1 && term >= lastTerm && baseOffset === nextOffset;
    const fields = { index, term, baseOffset, lastIndex, nextOffset };
    assert(isNext, "a frame continues the log", fields);
    lastIndex = index;
    lastTerm = term;
    nextOffset = baseOffset + recordCount;
  }
}
