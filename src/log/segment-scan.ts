// Walks the frames of a segment file: checking every checksum at recovery, or looking for one frame by a rule.
import {
  decodeFrame,
  FRAME_HEADER_BYTES,
  type Frame,
  type FrameProblem,
  verifyFrame,
} from "../model/entry-frame.ts";
import { type DiskFile, StorageError } from "./ports.ts";
import type { SegmentDamage } from "./recovery-plan.ts";
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from "./segment-format.ts";
import { SegmentIndex } from "./segment-index.ts";

/** What a walk needs of a file. */
export type ReadableFile = Pick<DiskFile, "path" | "read">;

const SCAN_BYTES = 4 * 1024 * 1024;
const LOOKUP_BYTES = 96 * 1024;
const VISIT_BYTES = 1024 * 1024;

export interface ScanResult {
  readonly index: SegmentIndex;
  /** What stands after the good run of frames, when that does not fill the file. */
  readonly damage: SegmentDamage | undefined;
}

/** A frame and where it stands in its segment file. */
export interface PlacedFrame {
  readonly frame: Frame;
  readonly position: number;
}

/** Reads a whole segment and verifies everything. @throws StorageError "version" when a newer program wrote a frame */
export async function scanSegment(
  file: DiskFile,
  header: SegmentHeader,
  spacingBytes: number,
): Promise<ScanResult> {
  const index = new SegmentIndex(header, spacingBytes);
  const problem = await walk(file, SEGMENT_HEADER_BYTES, file.size, SCAN_BYTES, ({ frame }) => {
    const refusal = index.refusal(frame) ?? verifyFrame(frame)?.detail;
    if (refusal !== undefined) return refusal;
    index.add(frame);
    return undefined;
  });
  if (problem === undefined) return { index, damage: undefined };
  if (typeof problem !== "string" && problem.problem === "version")
    throw newerVersion(file, problem);
  const isShort = typeof problem !== "string" && problem.problem === "torn";
  const detail = typeof problem === "string" ? problem : problem.detail;
  const isFollowed = await hasFrameBehind(file, index);
  return { index, damage: { position: index.end, isShort, isFollowed, detail } };
}

/**
 * The first frame in [position, end) that `isWanted`; undefined when there is none. Header checksums are verified, the
 * batches' own are not. @throws StorageError "corrupt" | "version"
 */
export async function findFrame(
  file: ReadableFile,
  position: number,
  end: number,
  isWanted: (frame: Frame) => boolean,
): Promise<PlacedFrame | undefined> {
  let found: PlacedFrame | undefined;
  const problem = await walk(file, position, end, LOOKUP_BYTES, (placed) => {
    if (!isWanted(placed.frame)) return undefined;
    found = placed;
    return "found";
  });
  if (found !== undefined || problem === undefined) return found;
  throw damaged(file, problem);
}

/** Calls `visit` for each frame in [position, end) until it returns a text. @throws StorageError "corrupt" | "version" */
export async function visitFrames(
  file: ReadableFile,
  position: number,
  end: number,
  visit: (frame: Frame) => string | undefined,
): Promise<void> {
  const problem = await walk(file, position, end, VISIT_BYTES, ({ frame }) => visit(frame));
  if (problem !== undefined && typeof problem !== "string") throw damaged(file, problem);
}

/**
 * Calls `visit` for each frame in [position, end) until it returns a text, which is handed back, or bytes are no frame.
 * Frames are views of the chunks that were read.
 */
async function walk(
  file: ReadableFile,
  position: number,
  end: number,
  chunkBytes: number,
  visit: (placed: PlacedFrame) => string | undefined,
): Promise<string | FrameProblem | undefined> {
  let at = position;
  let want = chunkBytes;
  while (at < end) {
    const chunk = await file.read(at, Math.min(want, end - at));
    want = chunkBytes;
    let used = 0;
    while (used < chunk.length) {
      const frame = decodeFrame(chunk, used);
      if ("problem" in frame) {
        const isCutByChunk = frame.problem === "torn" && at + chunk.length < end;
        if (!isCutByChunk) return { ...frame, position: at + used };
        want = Math.max(chunkBytes, frameLength(chunk, used));
        break;
      }
      const stop = visit({ frame, position: at + used });
      if (stop !== undefined) return stop;
      used += frame.bytes.length;
    }
    if (chunk.length === 0) return { problem: "torn", position: at, detail: "end of file" };
    at += used;
  }
  return undefined;
}

/** Length field of the header at `at`, or a header's length when the bytes end before it. */
function frameLength(bytes: Buffer, at: number): number {
  return bytes.length - at < 8 ? FRAME_HEADER_BYTES : bytes.readUInt32BE(at + 4);
}

/** True when a whole, valid frame that belongs later stands anywhere behind the good run. */
async function hasFrameBehind(file: DiskFile, index: SegmentIndex): Promise<boolean> {
  const from = index.end + 1;
  const bytes = await file.read(from, file.size - from);
  const magic = Buffer.from("FL");
  for (let at = bytes.indexOf(magic); at !== -1; at = bytes.indexOf(magic, at + 1)) {
    const frame = decodeFrame(bytes, at);
    if (!("problem" in frame) && frame.index > index.lastIndex) return true;
  }
  return false;
}

function damaged(file: ReadableFile, problem: string | FrameProblem): StorageError {
  if (typeof problem === "string") return new StorageError("corrupt", file.path, problem);
  if (problem.problem === "version") return newerVersion(file, problem);
  return new StorageError("corrupt", file.path, `byte ${problem.position}: ${problem.detail}`);
}

export function newerVersion(file: ReadableFile, { position, detail }: FrameProblem): StorageError {
  const message = `byte ${position}: ${detail} is not known here; a newer program wrote it`;
  return new StorageError("version", file.path, message);
}
