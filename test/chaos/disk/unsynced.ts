// What a power cut must have taken: a mark that was written to the mount just before and never flushed, and whatever the broker
// had written that had not reached the image. Without this a cut would look like one that was none.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MARK = "written-and-never-flushed";
const MARK_BYTES = 64 * 1024;

/** Of one disk, after its power cut. */
export interface CutLoss {
  /** The mark is not what was written: the disk is not the one that the processes saw. */
  readonly isMarkGone: boolean;
  /** By which the files of the broker are shorter than they were. */
  readonly bytesGone: number;
}

/** What a process saw just before the cut. */
export interface Seen {
  readonly mark: Buffer;
  readonly sizes: ReadonlyMap<string, number>;
}

/** To be called with nobody writing there any more. @param text that no other cut has */
export function writeMark(directory: string, text: string): Seen {
  const mark = Buffer.alloc(MARK_BYTES, text);
  writeFileSync(join(directory, MARK), mark);
  return { mark, sizes: sizesUnder(directory) };
}

export function lossSince(directory: string, { mark, sizes }: Seen): CutLoss {
  const now = sizesUnder(directory);
  let bytesGone = 0;
  for (const [path, size] of sizes) {
    if (path !== join(directory, MARK)) bytesGone += Math.max(0, size - (now.get(path) ?? 0));
  }
  return { isMarkGone: !mark.equals(readOrNothing(join(directory, MARK))), bytesGone };
}

function sizesUnder(directory: string): Map<string, number> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [path, statSync(path).size]));
}

function readOrNothing(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
