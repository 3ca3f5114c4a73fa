// The segments of one log as a whole: writes, rolls, cuts and drops them, and makes that durable. Decides nothing about
// order or failure: SegmentLog calls it, one operation at a time.
import { assert } from "../base/assert.ts";
import type { Frame } from "../model/entry-frame.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import { encodeIndexFile } from "./index-file.ts";
import { type LogPlace, placeFirstSegment } from "./log-recovery.ts";
import { type DamagedRange, StorageError } from "./ports.ts";
import { Segment } from "./segment.ts";
import { findCut, type SegmentCut } from "./segment-cut.ts";
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import type { SegmentIndex } from "./segment-index.ts";

/** Where entries ≥ an index are to be removed. */
export interface ChainCut {
  readonly fromIndex: LogIndex;
  /** The newest that stays. */
  readonly segment: Segment;
  readonly within: SegmentCut;
}

export class SegmentChain {
  readonly #place: LogPlace;
  /** Oldest first; the last one takes appends. Never empty; replaced, never changed in place. */
  #segments: readonly Segment[];
  #active: Segment;
  /** Names were added or removed that no directory sync covers yet. */
  #isDirectoryDirty = false;
  /** Sealed segments without index file. */
  #unindexed: readonly Segment[];
  #bytes: number;
  #unsyncedBytes = 0;

  constructor(place: LogPlace, segments: readonly Segment[]) {
    this.#place = place;
    this.#segments = segments;
    this.#active = newestOf(segments);
    this.#unindexed = segments.filter((one) => one !== this.#active && !one.hasIndexFile);
    this.#bytes = segments.reduce((sum, { index }) => sum + index.end - SEGMENT_HEADER_BYTES, 0);
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }
  get oldest(): Segment {
    return this.#segments[0] ?? this.#active;
  }
  get active(): Segment {
    return this.#active;
  }
  /** Bytes of frames. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Writes frames to the active segment, in one call. */
  write(frames: readonly Frame[]): void {
    if (frames.length === 0) return;
    const { index } = this.#active;
    const start = index.end;
    this.#active.isDirty = true;
    this.#active.file().append(frames.map((frame) => frame.bytes));
    for (const frame of frames) index.add(frame);
    this.#bytes += index.end - start;
    this.#unsyncedBytes += index.end - start;
  }

  /** Seals the active segment and begins the next. */
  roll(): void {
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
    this.#unindexed = [...this.#unindexed, this.#active];
    this.#segments = [...this.#segments, next];
    this.#active = next;
  }

  /** Changes nothing. @throws StorageError "corrupt" when damage hides where the cut is */
  findCut(fromIndex: LogIndex): ChainCut {
    const kept = this.#segments.filter(({ index }) => index.firstIndex <= fromIndex);
    const newest = newestOf(kept);
    // Nothing would be left of it, and its header may be wrong: what comes next gets a new one.
    const { damage, index } = newest;
    const isDamagedFrom = index.firstIndex === fromIndex && damage[0]?.first === fromIndex;
    const segment = (isDamagedFrom ? kept.at(-2) : undefined) ?? newest;
    return { fromIndex, segment, within: findCut(segment.file(), segment.index, fromIndex) };
  }

  /** Removes entries, newest segments first. */
  cut({ fromIndex, segment, within }: ChainCut): void {
    while (this.#active !== segment) {
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
    this.#active.isDirty = true;
    if (within.kind === "behind") index.cutAfter(within.last);
    if (within.kind === "before") index.cutBefore(within.next);
    this.#bytes -= before - index.end;
    this.#active.file().truncate(index.end);
    this.noteDamage(this.#active, damageBelow(this.#active.damage, fromIndex, within));
  }

  /** Removes the oldest segment, durably. */
  async dropOldest(): Promise<void> {
    const { oldest } = this;
    assert(oldest !== this.#active, "the active segment stays");
    this.#segments = this.#segments.slice(1);
    this.#forget(oldest);
    await this.#syncDirectory();
  }

  /**
   * Replaces all segments by an empty one, durably. Everything before must have been synced: recovery tells old segments
   * from new ones by their headers. `onVoid` runs when the old ones cease to count.
   */
  async restart(
    firstIndex: LogIndex,
    prevTerm: Term,
    baseOffset: Offset,
    onVoid: () => void,
  ): Promise<void> {
    const { groupId, generation: before } = this.#active.index.header;
    const place = { groupId, firstIndex, prevTerm, baseOffset, prevAppendTimeMs: 0 };
    const first = await placeFirstSegment(this.#place, { ...place, generation: before + 1 });
    // From here on the log is empty, whatever happens: the old segments are void.
    onVoid();
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

  /** Puts the repaired copy of a sealed segment in its place, durably, with what is still damaged in it. Either file is complete, so a crash leaves a whole one. */
  async replace(
    segment: Segment,
    copyPath: string,
    index: SegmentIndex,
    damage: readonly DamagedRange[],
  ): Promise<void> {
    segment.closeFile();
    this.#place.disk.rename(copyPath, segment.path);
    this.#bytes += index.end - segment.index.end;
    segment.index = index;
    // The copy was synced as a whole.
    segment.isDirty = false;
    await this.#syncDirectory();
    // A cut may have come meanwhile.
    if (segment.isRemoved) return;
    const { lastIndex } = segment.index;
    const left = damage.filter(({ first }) => first <= lastIndex);
    segment.setDamage(left.map((range) => ({ ...range, last: Math.min(range.last, lastIndex) })));
    this.#isDirectoryDirty = true;
    const isDue = !segment.hasIndexFile && segment !== this.#active;
    if (isDue && !this.#unindexed.includes(segment)) {
      this.#unindexed = [...this.#unindexed, segment];
    }
  }

  /** The segment that holds an entry. */
  holding(index: LogIndex): Segment | undefined {
    return this.#segments.find(
      ({ index: { firstIndex, lastIndex } }) => index >= firstIndex && index <= lastIndex,
    );
  }

  noteDamage(segment: Segment, damage: readonly DamagedRange[]): void {
    if (damage.length === 0 && segment.damage.length === 0) return;
    segment.setDamage(damage);
    this.#isDirectoryDirty = true;
  }

  /**
   * Makes everything done so far durable: older segments first, then the directory. Returns how many bytes of frames that
   * covered; undefined when there was nothing to do.
   */
  async sync(): Promise<number | undefined> {
    const bytes = this.#unsyncedBytes;
    const dirty = this.#segments.filter((segment) => segment.isDirty);
    const isDirectoryDirty = this.#isDirectoryDirty;
    this.#unsyncedBytes = 0;
    this.#isDirectoryDirty = false;
    for (const segment of dirty) segment.isDirty = false;
    if (dirty.length === 0 && !isDirectoryDirty) return undefined;
    for (const segment of dirty) await syncSegment(segment);
    if (isDirectoryDirty) await this.#syncDirectory();
    this.#writeIndexFiles();
    return bytes;
  }

  close(): void {
    for (const segment of this.#segments) segment.closeFile();
  }

  #forget(segment: Segment): void {
    this.#bytes -= segment.index.end - SEGMENT_HEADER_BYTES;
    this.#unindexed = this.#unindexed.filter((one) => one !== segment);
    segment.remove();
    this.#isDirectoryDirty = true;
  }

  async #syncDirectory(): Promise<void> {
    await this.#place.disk.syncDirectory(this.#place.directory);
  }

  /** Index files are a cache and never synced. One that does not fit on the disk waits for the next sync. */
  #writeIndexFiles(): void {
    const isDue = ({ damage, isDirty }: Segment): boolean => !isDirty && damage.length === 0;
    for (const segment of this.#unindexed.filter(isDue)) {
      try {
        this.#writeIndexFile(segment);
      } catch (error) {
        if (isFull(error)) return;
        throw error;
      }
      this.#unindexed = this.#unindexed.filter((one) => one !== segment);
      segment.closeFile();
    }
  }

  /** Leaves nothing behind when it fails. */
  #writeIndexFile(segment: Segment): void {
    segment.removeIndexFile();
    const file = this.#place.disk.open(segment.indexPath, { create: true });
    try {
      file.append([encodeIndexFile(segment.index)]);
      segment.hasIndexFile = true;
    } finally {
      file.close();
      if (!segment.hasIndexFile) segment.removeIndexFile();
    }
  }
}

/** What is left of a segment's damage, with what the search for the cut has found. */
function damageBelow(
  damage: readonly DamagedRange[],
  fromIndex: LogIndex,
  within: SegmentCut,
): readonly DamagedRange[] {
  const last = fromIndex - 1;
  const left = damage
    .filter(({ first }) => first <= last)
    .map((range) => ({ ...range, last: Math.min(range.last, last) }));
  if (within.kind !== "before") return left;
  const { damaged: first } = within;
  const before = left.filter((range) => range.first < first);
  const previous = before.at(-1);
  const detail = previous?.detail ?? "a header is damaged";
  if (previous === undefined || previous.last + 1 < first)
    return [...before, { first, last, detail }];
  return [...before.slice(0, -1), { ...previous, last }];
}

async function syncSegment(segment: Segment): Promise<void> {
  try {
    if (!segment.isRemoved) await segment.file().sync();
  } catch (error) {
    // Removed while its sync was under way: nobody waits for it any more.
    if (!segment.isRemoved) throw error;
  }
}

/** The one failure that may pass: everything else ends the use of a log. */
export function isFull(error: unknown): boolean {
  return error instanceof StorageError && error.kind === "full";
}

function newestOf(segments: readonly Segment[]): Segment {
  const newest = segments.at(-1);
  assert(newest !== undefined, "a log has a segment");
  return newest;
}
