// Makes the repaired copy of a segment, beside the original: good frames are copied, damaged ones come from a source. Every
// frame has to be the one that the log knows to have been there: index, term, offset and checksums. The copy is synced and
// read back before anybody may rely on it. Called by the segment log, which puts it in the original's place.
import type { LogPlace } from "./log-recovery.ts";
import {
  type DamagedRange,
  type Disk,
  type DiskFile,
  type EntrySource,
  type Pace,
  type RepairOptions,
  StorageError,
} from "./ports.ts";
import type { Segment } from "./segment.ts";
import { fillCopy, SegmentCopy } from "./segment-copy.ts";
import { examineSegment } from "./segment-examine.ts";
import { segmentName } from "./segment-format.ts";
import type { SegmentIndex } from "./segment-index.ts";
import type { ReadableFile } from "./segment-scan.ts";

const PIECE_BYTES = 1024 * 1024;
/** Originals that are kept per log; the oldest goes first. */
const ORIGINALS_MAX = 2;
const ORIGINALS = "damaged";
const ORIGINAL_NAME = /^\d{6}-\d{20}\.seg$/;

/** Removed by the next start when it is left behind. */
export function temporaryOf(segment: Segment): string {
  return `${segment.path}.tmp`;
}

export interface RepairedCopy {
  readonly index: SegmentIndex;
  /** What could not be repaired. */
  readonly damage: readonly DamagedRange[];
  /** Why not. */
  readonly failure: Error | undefined;
}

/** Writes, syncs and verifies the copy. @throws what the source throws, when it gave nothing */
export async function writeRepairedCopy(
  place: LogPlace,
  segment: Segment,
  source: EntrySource,
  { from = 0, pace = noPace }: RepairOptions,
): Promise<RepairedCopy> {
  const { disk } = place;
  const path = temporaryOf(segment);
  if (disk.exists(path)) disk.remove(path);
  const original = disk.open(segment.path, { create: false });
  try {
    const file = disk.open(path, { create: true });
    try {
      const copy = new SegmentCopy(file, segment.index, place.indexBytes);
      const { damage } = segment;
      const failure = await fillCopy({
        copy,
        original: paced(original, pace),
        segment,
        source,
        from,
      });
      const index = copy.finish(damage.at(-1)?.last === segment.index.lastIndex, failure);
      await file.sync();
      const left = await examineSegment(file, index, pace);
      const worse = left.find((range) => copy.isWhole || !isInside(range, damage));
      if (worse !== undefined) throw new StorageError("corrupt", path, worse.detail);
      return { index, damage: left, failure };
    } finally {
      file.close();
    }
  } finally {
    original.close();
  }
}

const noPace: Pace = () => Promise.resolve();

function paced(file: DiskFile, pace: Pace): ReadableFile {
  return {
    path: file.path,
    read: async (position, length) => {
      await pace(length);
      return file.read(position, length);
    },
  };
}

function isInside({ first, last }: DamagedRange, ranges: readonly DamagedRange[]): boolean {
  return ranges.some((range) => range.first <= first && range.last >= last);
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
