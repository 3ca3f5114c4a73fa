// The log of one raft group on segments (contract: GroupLog in ports.ts). Appends and truncations are synchronous and go
// to the page cache; sync(), truncatePrefix() and reset() run one after another and make things durable.
// Called by the replica room. File formats and what survives which cut: docs/STORAGE-FORMAT.md.
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Frame } from "../model/entry-frame.ts";
import type { GroupId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import { encodeIndexFile } from "./index-file.ts";
import { LogReader } from "./log-reader.ts";
import {
  type LogPlace,
  placeFirstSegment,
  type RecoveryReport,
  recoverSegments,
} from "./log-recovery.ts";
import { type Disk, type GroupLog, type SegmentInfo, StorageError } from "./ports.ts";
import { Segment } from "./segment.ts";
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import { lastAtMost, type SegmentIndex, type TermRun } from "./segment-index.ts";
import { findFrameSync } from "./segment-scan.ts";

const MIB = 1024 * 1024;

/** Told what the log does; for metrics and the log that people read. Must not throw. */
export interface LogObserver {
  onSync?(durationMs: number, bytes: number): void;
  onRecovery?(report: RecoveryReport): void;
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
  /** Needed by an observer of syncs. */
  readonly clock?: Clock;
}

/**
 * Opens or creates the log. What it holds afterwards is durable.
 * @throws StorageError "corrupt" (damage that is no torn tail; nothing was changed) | "version" | "io" | "full"
 */
export async function openGroupLog(options: GroupLogOptions): Promise<GroupLog> {
  const place: LogPlace = {
    disk: options.disk,
    directory: options.directory,
    groupId: options.groupId,
    indexBytes: options.indexBytes ?? 64 * 1024,
    durableIndexHint: options.durableIndexHint ?? 0,
    pageCacheKept: options.pageCacheKept ?? false,
  };
  const { segments, report } = await recoverSegments(place);
  options.observer?.onRecovery?.(report);
  return new SegmentLog(place, options, segments);
}

class SegmentLog implements GroupLog {
  readonly #place: LogPlace;
  readonly #segmentBytes: number;
  readonly #observer: LogObserver | undefined;
  readonly #clock: Clock | undefined;
  readonly #reader: LogReader;
  /** Oldest first; the last one takes appends. Never empty. */
  #segments: Segment[];
  #active: Segment;
  /** Names were added or removed that no directory sync covers yet. */
  #isDirectoryDirty = false;
  /** Sealed segments without index file. */
  #unindexed: Segment[];
  #bytes: number;
  #unsyncedBytes = 0;
  #failure: StorageError | undefined;
  #isClosed = false;
  #isResetting = false;
  /** The end of the queue of sync, truncatePrefix and reset. */
  #queue: Promise<unknown> = Promise.resolve();
  /** A sync that has not begun yet: it covers whatever is appended until it does. */
  #waitingSync: Promise<void> | undefined;

  constructor(place: LogPlace, options: GroupLogOptions, segments: Segment[]) {
    this.#place = place;
    this.#segmentBytes = options.segmentBytes ?? 128 * MIB;
    this.#observer = options.observer;
    this.#clock = options.clock;
    this.#segments = segments;
    this.#active = newestOf(segments);
    this.#unindexed = segments.filter((one) => one !== this.#active && !one.hasIndexFile);
    this.#bytes = sumOfBytes(segments);
    this.#reader = new LogReader(() => this.#segments);
  }

  get firstIndex(): LogIndex {
    return this.#first.firstIndex;
  }
  get lastIndex(): LogIndex {
    return this.#active.index.lastIndex;
  }
  get lastTerm(): Term {
    return this.#active.index.lastTerm;
  }
  get firstPrevTerm(): Term {
    return this.#first.header.prevTerm;
  }
  get startOffset(): Offset {
    return this.#first.header.baseOffset;
  }
  get nextOffset(): Offset {
    return this.#active.index.nextOffset;
  }
  get lastAppendTimeMs(): number {
    return this.#active.index.lastAppendTimeMs;
  }
  get bytes(): number {
    return this.#bytes;
  }

  get termRuns(): readonly TermRun[] {
    const runs: TermRun[] = [];
    for (const { index } of this.#segments) {
      for (const run of index.termRuns) if (runs.at(-1)?.term !== run.term) runs.push(run);
    }
    return runs;
  }

  membershipIndexes(from: LogIndex): readonly LogIndex[] {
    const touched = this.#segments.filter(({ index }) => index.lastIndex >= from);
    return touched.flatMap(({ index }) => index.memberships.filter((at) => at >= from));
  }

  append(frames: readonly Frame[]): void {
    this.#check();
    this.#assertNext(frames);
    const before = this.lastIndex;
    try {
      let pending: Frame[] = [];
      let end = this.#active.index.end;
      for (const frame of frames) {
        const { length } = frame.bytes;
        if (end > SEGMENT_HEADER_BYTES && end + length > this.#segmentBytes) {
          this.#write(pending);
          pending = [];
          this.#roll();
          end = SEGMENT_HEADER_BYTES;
        }
        pending.push(frame);
        end += length;
      }
      this.#write(pending);
    } catch (error) {
      this.#undoAppend(before, error);
    }
  }

  truncateSuffix(fromIndex: LogIndex): void {
    this.#check();
    assert(fromIndex >= this.firstIndex, "the log does not reach back so far", { fromIndex });
    if (fromIndex > this.lastIndex) return;
    try {
      this.#cut(fromIndex);
    } catch (error) {
      throw this.#fail(error);
    }
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
      if ((this.#segments[1]?.index.firstIndex ?? this.lastIndex + 1) > index) {
        return this.firstIndex;
      }
      if (index > this.lastIndex && !this.#active.index.isEmpty) this.#roll();
      // The first segment that stays must be whole on disk before those that prove it are gone.
      await this.#syncOnce();
      for (;;) {
        const oldest = this.#segments[0];
        if (oldest === undefined || oldest === this.#active || oldest.index.lastIndex >= index) {
          return this.firstIndex;
        }
        this.#segments = this.#segments.slice(1);
        this.#forget(oldest);
        // One by one: after a power cut the log must still be without gaps.
        await this.#syncDirectory();
      }
    });
  }

  reset(index: LogIndex, prevTerm: Term, nextOffset: Offset): Promise<void> {
    return this.#enqueue(async () => {
      this.#isResetting = true;
      try {
        // Recovery tells old segments from new ones by their headers, so those must be whole on disk.
        await this.#syncOnce();
        await this.#restart(index, prevTerm, nextOffset);
      } finally {
        this.#isResetting = false;
      }
    });
  }

  termAt(index: LogIndex): Term | undefined {
    if (index < this.firstIndex || index > this.lastIndex) return undefined;
    if (index >= this.#active.index.firstIndex) return this.#active.index.termAt(index);
    const number = lastAtMost(this.#segments, index, (segment) => segment.index.firstIndex);
    return this.#segments[number]?.index.termAt(index);
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
    return this.#segments.map((segment) => segment.info(segment !== this.#active));
  }

  close(): void {
    this.#isClosed = true;
    for (const segment of this.#segments) segment.closeFile();
  }

  get #first(): SegmentIndex {
    return (this.#segments[0] ?? this.#active).index;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    const { directory } = this.#place;
    if (this.#isClosed) throw new StorageError("io", directory, "the log is closed");
    assert(!this.#isResetting, "nobody uses a log while it is reset", { directory });
  }

  #assertNext(frames: readonly Frame[]): void {
    let { lastIndex, lastTerm, nextOffset } = this.#active.index;
    for (const { index, term, baseOffset, recordCount } of frames) {
      const isNext = index === lastIndex + 1 && term >= lastTerm && baseOffset === nextOffset;
      assert(isNext, "a frame continues the log", {
        index,
        term,
        baseOffset,
        lastIndex,
        nextOffset,
      });
      lastIndex = index;
      lastTerm = term;
      nextOffset = baseOffset + recordCount;
    }
  }

  #write(frames: readonly Frame[]): void {
    if (frames.length === 0) return;
    const { index } = this.#active;
    const start = index.end;
    this.#active.isDirty = true;
    this.#active.file().append(frames.map((frame) => frame.bytes));
    for (const frame of frames) index.add(frame);
    this.#bytes += index.end - start;
    this.#unsyncedBytes += index.end - start;
  }

  #roll(): void {
    const { disk, directory, indexBytes } = this.#place;
    const { index } = this.#active;
    const header = {
      groupId: index.header.groupId,
      firstIndex: index.lastIndex + 1,
      prevTerm: index.lastTerm,
      baseOffset: index.nextOffset,
      prevAppendTimeMs: index.lastAppendTimeMs,
      generation: index.header.generation,
    };
    const next = Segment.create(disk, directory, header, indexBytes);
    this.#isDirectoryDirty = true;
    this.#unindexed.push(this.#active);
    this.#segments = [...this.#segments, next];
    this.#active = next;
  }

  /** A full disk leaves the log as it was before the call; anything else ends its use. */
  #undoAppend(lastIndex: LogIndex, error: unknown): never {
    if (!isFull(error)) throw this.#fail(error);
    try {
      if (this.lastIndex > lastIndex) this.#cut(lastIndex + 1);
    } catch (second) {
      throw this.#fail(second);
    }
    throw error;
  }

  async #restart(firstIndex: LogIndex, prevTerm: Term, baseOffset: Offset): Promise<void> {
    const { groupId, generation: before } = this.#active.index.header;
    const place = { groupId, firstIndex, prevTerm, baseOffset, prevAppendTimeMs: 0 };
    const first = await placeFirstSegment(this.#place, { ...place, generation: before + 1 });
    // From here on the log is empty, whatever happens: the old segments are void.
    this.#reader.forgetPlaces();
    const old = this.#segments;
    this.#segments = [first];
    this.#active = first;
    this.#unindexed = [];
    this.#bytes = 0;
    this.#unsyncedBytes = 0;
    this.#isDirectoryDirty = false;
    for (const segment of old.toReversed()) {
      // The new first segment may have taken the name of an old one.
      if (segment.path === first.path) segment.release();
      else segment.remove();
    }
    await this.#syncDirectory();
  }

  #cut(fromIndex: LogIndex): void {
    this.#reader.forgetPlaces();
    while (this.#active.index.firstIndex > fromIndex) {
      const newest = this.#active;
      this.#segments = this.#segments.slice(0, -1);
      this.#active = newestOf(this.#segments);
      this.#forget(newest);
    }
    const { index } = this.#active;
    const before = index.end;
    this.#unindexed = this.#unindexed.filter((segment) => segment !== this.#active);
    if (this.#active.hasIndexFile) {
      this.#active.removeIndexFile();
      this.#isDirectoryDirty = true;
    }
    const file = this.#active.file();
    const wanted = fromIndex - 1;
    const last =
      wanted < index.firstIndex
        ? undefined
        : findFrameSync(
            file,
            index.positionBefore(wanted),
            before,
            (frame) => frame.index === wanted,
          );
    assert(wanted < index.firstIndex || last !== undefined, "the entry is there", { wanted });
    this.#active.isDirty = true;
    index.cutAfter(last);
    this.#bytes -= before - index.end;
    file.truncate(index.end);
  }

  #forget(segment: Segment): void {
    this.#bytes -= segment.index.end - SEGMENT_HEADER_BYTES;
    this.#unindexed = this.#unindexed.filter((one) => one !== segment);
    segment.remove();
    this.#isDirectoryDirty = true;
  }

  async #syncOnce(): Promise<void> {
    const startedMs = this.#clock?.monotonicMs() ?? 0;
    const bytes = this.#unsyncedBytes;
    const dirty = this.#segments.filter((segment) => segment.isDirty);
    const isDirectoryDirty = this.#isDirectoryDirty;
    this.#unsyncedBytes = 0;
    this.#isDirectoryDirty = false;
    for (const segment of dirty) segment.isDirty = false;
    if (dirty.length === 0 && !isDirectoryDirty) return;
    for (const segment of dirty) await this.#syncSegment(segment);
    if (isDirectoryDirty) await this.#syncDirectory();
    this.#writeIndexFiles();
    if (this.#clock !== undefined) {
      this.#observer?.onSync?.(this.#clock.monotonicMs() - startedMs, bytes);
    }
  }

  async #syncSegment(segment: Segment): Promise<void> {
    try {
      if (!segment.isRemoved) await segment.file().sync();
    } catch (error) {
      // Removed while its sync was under way: nobody waits for it any more.
      if (!segment.isRemoved) throw this.#fail(error);
    }
  }

  async #syncDirectory(): Promise<void> {
    try {
      await this.#place.disk.syncDirectory(this.#place.directory);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Index files are a cache and never synced. One that does not fit on the disk is left out. */
  #writeIndexFiles(): void {
    for (const segment of this.#unindexed.filter((one) => !one.isDirty)) {
      this.#unindexed = this.#unindexed.filter((one) => one !== segment);
      try {
        segment.removeIndexFile();
        const file = this.#place.disk.open(segment.indexPath, { create: true });
        file.append([encodeIndexFile(segment.index)]);
        file.close();
        segment.hasIndexFile = true;
        segment.closeFile();
      } catch (error) {
        if (!isFull(error)) throw error;
      }
    }
  }

  /** Runs `work` after everything queued before it; a failure other than a full disk is final for the log. */
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

function isFull(error: unknown): boolean {
  return error instanceof StorageError && error.kind === "full";
}

function newestOf(segments: readonly Segment[]): Segment {
  const newest = segments.at(-1);
  assert(newest !== undefined, "a log has a segment");
  return newest;
}

function sumOfBytes(segments: readonly Segment[]): number {
  return segments.reduce((sum, { index }) => sum + index.end - SEGMENT_HEADER_BYTES, 0);
}
