// Makes the repaired copy of a segment, beside the original: good frames are copied, damaged ones come from a source. Every
// frame has to be the one that the log knows to have been there: index, term, offset and checksums. The copy is synced and
// read back before anybody may rely on it. Called by the segment log, which puts it in the original's place.
import { decodeFrame, type Frame, verifyFrame } from "../model/entry-frame.ts";
import type { LogIndex } from "../model/positions.ts";
import type { LogPlace } from "./log-recovery.ts";
import { type Disk, type DiskFile, type EntrySource, StorageError } from "./ports.ts";
import type { Segment } from "./segment.ts";
import { examineSegment } from "./segment-examine.ts";
import { encodeSegmentHeader, segmentName } from "./segment-format.ts";
import { SegmentIndex } from "./segment-index.ts";
import { visitFrames } from "./segment-scan.ts";

const PIECE_BYTES = 1024 * 1024;
/** Originals that are kept per log; the oldest goes first. */
const ORIGINALS_MAX = 2;
const ORIGINALS = "damaged";
const ORIGINAL_NAME = /^\d{6}-\d{20}\.seg$/;

/** Removed by the next start when it is left behind. */
export function temporaryOf(segment: Segment): string {
  return `${segment.path}.tmp`;
}

/** Writes, syncs and verifies the copy. @returns what is known of it */
export async function writeRepairedCopy(
  place: LogPlace,
  segment: Segment,
  source: EntrySource,
): Promise<SegmentIndex> {
  const { disk } = place;
  const path = temporaryOf(segment);
  if (disk.exists(path)) disk.remove(path);
  const original = disk.open(segment.path, { create: false });
  try {
    const file = disk.open(path, { create: true });
    try {
      const copy = new Copy(file, segment.index, place.indexBytes);
      await fill(copy, original, segment, source);
      const index = copy.finish(segment.damage.at(-1)?.last === segment.index.lastIndex);
      await file.sync();
      const [problem] = await examineSegment(file, index);
      if (problem !== undefined) throw new StorageError("corrupt", path, problem.detail);
      return index;
    } finally {
      file.close();
    }
  } finally {
    original.close();
  }
}

/** Removes what was written and not put in place. @returns why it could not */
export function removeCopy({ disk }: LogPlace, segment: Segment): unknown {
  const path = temporaryOf(segment);
  try {
    if (disk.exists(path)) disk.remove(path);
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * Keeps the damaged original for people to look at, as long as there is room.
 * @returns why it could not: no reason to leave a log unrepaired
 */
export async function keepOriginal(place: LogPlace, segment: Segment): Promise<unknown> {
  const { directory, disk } = place;
  const folder = `${directory}/${ORIGINALS}`;
  try {
    if (disk.freeBytes() < 2 * segment.index.end) return undefined;
    const original = disk.open(segment.path, { create: false });
    try {
      disk.makeDirectory(folder);
      await copyOriginal(disk, original, `${folder}/${makeRoom(disk, folder, segment)}`);
    } finally {
      original.close();
    }
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Removes the oldest originals, so that one more may be kept. @returns its name; files of other names are left alone */
function makeRoom(disk: Disk, folder: string, segment: Segment): string {
  const kept = disk.list(folder).filter((name) => ORIGINAL_NAME.test(name));
  for (const name of kept.slice(0, Math.max(0, kept.length + 1 - ORIGINALS_MAX))) {
    disk.remove(`${folder}/${name}`);
  }
  const number = 1 + Number(kept.at(-1)?.slice(0, 6) ?? 0);
  return `${String(number).padStart(6, "0")}-${segmentName(segment.index.firstIndex)}`;
}

async function copyOriginal(disk: Disk, original: DiskFile, path: string): Promise<void> {
  const copy = disk.open(path, { create: true });
  try {
    for (let at = 0; at < original.size; at += PIECE_BYTES) {
      copy.append([await original.read(at, PIECE_BYTES)]);
    }
    await copy.sync();
  } catch (error) {
    // Half of it would only mislead.
    disk.remove(path);
    throw error;
  } finally {
    copy.close();
  }
}

async function fill(
  copy: Copy,
  original: DiskFile,
  { damage, index }: Segment,
  source: EntrySource,
): Promise<void> {
  const { lastIndex, firstIndex } = index;
  let next = firstIndex;
  for (const { first, last } of damage) {
    await copyGood(copy, original, index, next, first - 1);
    for await (const frames of source(first, last)) copy.put(frames);
    copy.flush();
    next = last + 1;
  }
  await copyGood(copy, original, index, next, lastIndex);
}

async function copyGood(
  copy: Copy,
  original: DiskFile,
  index: SegmentIndex,
  first: LogIndex,
  last: LogIndex,
): Promise<void> {
  if (first > last) return;
  await visitFrames(original, index.positionBefore(first), index.end, (frame) => {
    if (frame.index > last) return "done";
    if (frame.index >= first) copy.put([frame]);
    return frame.index === last ? "done" : undefined;
  });
  copy.flush();
}

class Copy {
  readonly #file: DiskFile;
  readonly #original: SegmentIndex;
  readonly #index: SegmentIndex;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(file: DiskFile, original: SegmentIndex, indexBytes: number) {
    this.#file = file;
    this.#original = original;
    this.#index = new SegmentIndex(original.header, indexBytes);
    file.append([encodeSegmentHeader(original.header)]);
  }

  put(frames: readonly Frame[]): void {
    for (const frame of frames) {
      const problem = this.#index.refusal(frame) ?? this.#strangeness(frame);
      if (problem !== undefined) throw this.#refused(`entry ${frame.index}: ${problem}`);
      this.#index.add(frame);
      this.#pending.push(frame.bytes);
      this.#pendingBytes += frame.bytes.length;
      if (this.#pendingBytes >= PIECE_BYTES) this.flush();
    }
  }

  flush(): void {
    if (this.#pending.length > 0) this.#file.append(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** @param isEndLost the end of the original was damaged, so its length says nothing */
  finish(isEndLost: boolean): SegmentIndex {
    const { lastIndex, lastTerm, nextOffset, end } = this.#index;
    const original = this.#original;
    const isSame =
      lastIndex === original.lastIndex &&
      lastTerm === original.lastTerm &&
      nextOffset === original.nextOffset &&
      (isEndLost || end === original.end);
    if (!isSame) throw this.#refused(`the copy ends at entry ${lastIndex}, byte ${end}`);
    return this.#index;
  }

  /** The frame is checked as it is written: its own bytes, not what was read from them. */
  #strangeness(frame: Frame): string | undefined {
    const { lastIndex } = this.#original;
    if (frame.index > lastIndex) return "is behind the segment";
    const term = this.#original.termAt(frame.index);
    if (frame.term !== term) return `has term ${frame.term}, not ${term}`;
    const decoded = decodeFrame(frame.bytes, 0);
    if ("problem" in decoded) return decoded.detail;
    const isSame = decoded.index === frame.index && decoded.bytes.length === frame.bytes.length;
    return isSame ? verifyFrame(frame)?.detail : "is another frame";
  }

  #refused(detail: string): StorageError {
    return new StorageError("corrupt", this.#file.path, `repair refused: ${detail}`);
  }
}
