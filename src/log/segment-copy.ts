// Fills the repaired copy of a segment: good frames of the original, frames of a source in the place of damaged ones, and, as
// they are, the bytes of damaged entries that nobody gives or needs. Every frame stands where it stood. Called by
// segment-repair.ts.
import { decodeFrame, type Frame, verifyFrame } from "../model/entry-frame.ts";
import type { LogIndex, Offset } from "../model/positions.ts";
import { type DamagedRange, type DiskFile, type EntrySource, StorageError } from "./ports.ts";
import type { Segment } from "./segment.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import { SegmentIndex, type SparseEntry } from "./segment-index.ts";
import { findFrame, type ReadableFile, visitFrames } from "./segment-scan.ts";

const PIECE_BYTES = 1024 * 1024;
/** Frames that are held in memory to find out where the first of them stood. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;

export interface CopyWork {
  readonly copy: SegmentCopy;
  readonly original: ReadableFile;
  readonly segment: Segment;
  readonly source: EntrySource;
  /** What is below stays as it is. */
  readonly from: LogIndex;
}

interface Place {
  readonly index: LogIndex;
  readonly position: number;
}

/** @returns why entries are missing, if any are. @throws it, when none was given */
export async function fillCopy(work: CopyWork): Promise<Error | undefined> {
  const { copy, segment } = work;
  const { lastIndex } = segment.index;
  let failure: Error | undefined;
  for (const range of segment.damage) {
    // Bytes that were taken over as they are may reach into the next range.
    if (range.last < copy.next) continue;
    await copyGood(work, range.first - 1);
    try {
      await fillRange(work, range);
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error("no entries", { cause: error });
    }
    copy.flush();
    await leaveTo(work, range.last + 1);
  }
  if (failure !== undefined && copy.given === 0) throw failure;
  await copyGood(work, lastIndex);
  return failure;
}

async function fillRange(work: CopyWork, { first, last }: DamagedRange): Promise<void> {
  const { copy, from, source } = work;
  const start = Math.max(first, from, copy.next);
  if (start > last) return;
  if (start > copy.next) await enterAt(work, start, last);
  if (copy.next > last) return;
  for await (const frames of source(copy.next, last)) copy.give(frames, last);
  if (copy.next <= last) throw copy.refused(`entry ${copy.next} is missing`);
}

/** The first entries of a range are not needed: finds out where the first one that is needed stood. */
async function enterAt(work: CopyWork, start: LogIndex, last: LogIndex): Promise<void> {
  const { copy, segment, source } = work;
  const place = await placeOf(work, start);
  if (place !== undefined) {
    await keepTo(work, place);
    return;
  }
  const { sparse } = segment.index;
  const behind =
    sparse.find(({ index }) => index > start && index <= last + 1) ?? endOf(segment, last);
  if (behind === undefined) throw copy.refused(`nobody knows where entry ${start} stood`);
  const held: Frame[] = [];
  let bytes = 0;
  for await (const frames of source(start, behind.index - 1)) {
    held.push(...frames);
    bytes = held.reduce((sum, frame) => sum + frame.bytes.length, 0);
    if (bytes > HELD_BYTES_MAX) throw copy.refused(`too far from entry ${start} to a known place`);
  }
  if (held.length !== behind.index - start) throw copy.refused("entries are missing");
  await keepTo(work, { index: start, position: behind.position - bytes });
  copy.give(held, behind.index - 1);
}

/** Goes on at `index`: what is missing before it stays as it is. */
async function leaveTo(work: CopyWork, index: LogIndex): Promise<void> {
  const { copy, segment } = work;
  if (copy.next >= index) return;
  const { end, lastIndex, sparse } = segment.index;
  const place = (await placeOf(work, index)) ??
    sparse.find((entry) => entry.index >= index) ?? { index: lastIndex + 1, position: end };
  await keepTo(work, place);
}

async function placeOf(
  { original, segment }: CopyWork,
  wanted: LogIndex,
): Promise<Place | undefined> {
  const { end, lastIndex } = segment.index;
  if (wanted > lastIndex) return { index: wanted, position: end };
  const position = segment.index.positionBefore(wanted);
  try {
    const found = await findFrame(original, position, end, ({ index }) => index >= wanted);
    const isIt = found?.frame.index === wanted;
    return isIt ? { index: wanted, position: found.position } : undefined;
  } catch (error) {
    if (error instanceof StorageError && error.kind === "corrupt") return undefined;
    throw error;
  }
}

function endOf({ index }: Segment, last: LogIndex): Place | undefined {
  return last === index.lastIndex ? { index: last + 1, position: index.end } : undefined;
}

async function keepTo({ copy, original }: CopyWork, { index, position }: Place): Promise<void> {
  if (position < copy.end)
    throw copy.refused(`entry ${index} does not fit before byte ${position}`);
  while (copy.end < position) {
    const bytes = await original.read(copy.end, Math.min(PIECE_BYTES, position - copy.end));
    if (bytes.length === 0) throw copy.refused(`the file ends before byte ${position}`);
    copy.keep(bytes);
  }
  copy.skipTo(index);
}

async function copyGood(work: CopyWork, last: LogIndex): Promise<void> {
  const { copy, original, segment } = work;
  const { index } = segment;
  const first = copy.next;
  if (first > last) return;
  await visitFrames(original, index.positionBefore(first), index.end, (frame) => {
    if (frame.index > last) return "done";
    if (frame.index >= first) copy.put([frame]);
    return frame.index === last ? "done" : undefined;
  });
  copy.flush();
}

export class SegmentCopy {
  readonly #file: DiskFile;
  readonly #original: SegmentIndex;
  /** Of the copy, as long as it is whole. */
  readonly #index: SegmentIndex;
  #next: LogIndex;
  #offset: Offset | undefined;
  #end = SEGMENT_HEADER_BYTES;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #isWhole = true;
  /** Frames behind bytes that were taken over: nothing else would tell where they stand. */
  readonly #entrances: SparseEntry[] = [];
  #given = 0;

  constructor(file: DiskFile, original: SegmentIndex, indexBytes: number) {
    this.#file = file;
    this.#original = original;
    this.#index = new SegmentIndex(original.header, indexBytes);
    this.#next = original.firstIndex;
    this.#offset = original.header.baseOffset;
    file.append([encodeSegmentHeader(original.header)]);
  }

  /** The entry that comes next, and where. */
  get next(): LogIndex {
    return this.#next;
  }
  get end(): number {
    return this.#end;
  }
  /** No damaged bytes were taken over. */
  get isWhole(): boolean {
    return this.#isWhole;
  }
  /** Entries of the source. */
  get given(): number {
    return this.#given;
  }

  give(frames: readonly Frame[], last: LogIndex): void {
    const stranger = frames.find(({ index }) => index < this.#next || index > last);
    if (stranger !== undefined) throw this.refused(`nobody asked for entry ${stranger.index}`);
    for (const frame of frames) {
      this.put([frame]);
      this.#given += 1;
    }
  }

  put(frames: readonly Frame[]): void {
    for (const frame of frames) {
      const problem = this.#strangeness(frame);
      if (problem !== undefined) throw this.refused(`entry ${frame.index}: ${problem}`);
      if (this.#isWhole) this.#index.add(frame);
      if (this.#offset === undefined) this.#noteEntrance(frame);
      this.#next = frame.index + 1;
      this.#offset = frame.baseOffset + frame.recordCount;
      this.#write(frame.bytes);
    }
  }

  /** Takes over bytes as they are. */
  keep(bytes: Buffer): void {
    this.#isWhole = false;
    this.#write(bytes);
    this.flush();
  }

  /** Behind bytes that were taken over. */
  skipTo(index: LogIndex): void {
    this.#next = index;
    this.#offset = undefined;
  }

  flush(): void {
    if (this.#pending.length > 0) this.#file.append(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /**
   * @param isEndLost the end of the original was damaged, so its length says nothing
   * @param failure thrown when what is known of the original is no longer right
   */
  finish(isEndLost: boolean, failure: Error | undefined): SegmentIndex {
    const original = this.#original;
    if (!this.#isWhole) {
      const isEnd = this.#next === original.lastIndex + 1 && this.#end === original.end;
      if (isEnd) return original.withSparse(this.#entrances);
      throw failure ?? this.refused(`the copy ends at entry ${this.#next - 1}, byte ${this.#end}`);
    }
    const { lastIndex, lastTerm, nextOffset, end } = this.#index;
    const isSame =
      lastIndex === original.lastIndex &&
      lastTerm === original.lastTerm &&
      nextOffset === original.nextOffset &&
      (isEndLost || end === original.end);
    if (!isSame) throw this.refused(`the copy ends at entry ${lastIndex}, byte ${end}`);
    return this.#index;
  }

  refused(detail: string): StorageError {
    return new StorageError("corrupt", this.#file.path, `repair refused: ${detail}`);
  }

  /** The frame is checked as it is written: its own bytes, not what was read from them. */
  #strangeness(frame: Frame): string | undefined {
    const { lastIndex } = this.#original;
    if (frame.index !== this.#next) return `instead of entry ${this.#next}`;
    if (frame.index > lastIndex) return "is behind the segment";
    const isOffset = this.#offset === undefined || frame.baseOffset === this.#offset;
    if (!isOffset) return `offset ${frame.baseOffset} instead of ${this.#offset}`;
    const term = this.#original.termAt(frame.index);
    if (frame.term !== term) return `has term ${frame.term}, not ${term}`;
    const decoded = decodeFrame(frame.bytes, 0);
    if ("problem" in decoded) return decoded.detail;
    const isSame = decoded.index === frame.index && decoded.bytes.length === frame.bytes.length;
    return isSame ? verifyFrame(frame)?.detail : "is another frame";
  }

  #noteEntrance({ appendTimeMs: timeMs, baseOffset: offset, index }: Frame): void {
    this.#entrances.push({ index, position: this.#end, offset, timeMs });
  }

  #write(bytes: Buffer): void {
    this.#end += bytes.length;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= PIECE_BYTES) this.flush();
  }
}
