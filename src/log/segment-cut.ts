// Finds where a segment is to be cut, which is synchronous and rare. Mostly behind the entry before the cut, which is walked to
// from the nearest known place. Where a damaged header ends that walk, before the entry that is cut: at its known place, or
// where whole frames lead exactly from it to the next known place. Called by segment-chain.ts; changes nothing.
import {
  decodeFrame,
  FRAME_HEADER_BYTES,
  type Frame,
  type FrameProblem,
} from "../model/entry-frame.ts";
import type { LogIndex } from "../model/positions.ts";
import { type DiskFile, StorageError } from "./ports.ts";
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import { lastAtMost, type SegmentIndex, type SparseEntry } from "./segment-index.ts";
import { newerVersion, type PlacedFrame } from "./segment-scan.ts";

export type SegmentCut =
  /** The last entry that stays; undefined: none does. */
  | { readonly kind: "behind"; readonly last: PlacedFrame | undefined }
  /** The first entry that goes; those from `damaged` on, which stay, can not be read. */
  | { readonly kind: "before"; readonly next: SparseEntry; readonly damaged: LogIndex }
  /** Every entry stays. */
  | { readonly kind: "end" };

/** @throws StorageError "corrupt" when damage hides where the entry begins; "version" | "io" */
export function findCut(file: DiskFile, index: SegmentIndex, fromIndex: LogIndex): SegmentCut {
  if (fromIndex > index.lastIndex) return { kind: "end" };
  if (fromIndex <= index.firstIndex) return { kind: "behind", last: undefined };
  const walked = walkTo(file, index, fromIndex - 1);
  if ("frame" in walked) return { kind: "behind", last: walked };
  const next = startOf(file, index, fromIndex, walked.position);
  if (next === undefined) {
    const message = `damage at byte ${walked.position} hides where entry ${fromIndex} begins`;
    throw new StorageError("corrupt", file.path, message);
  }
  return { kind: "before", next, damaged: walked.index };
}

/** The entry, or the place of the first one on the way to it that can not be read. */
function walkTo(
  file: DiskFile,
  index: SegmentIndex,
  wanted: LogIndex,
): PlacedFrame | Pick<SparseEntry, "index" | "position"> {
  const start = index.sparse[lastAtMost(index.sparse, wanted, (entry) => entry.index)];
  let { index: next, position } = start ?? {
    index: index.firstIndex,
    position: SEGMENT_HEADER_BYTES,
  };
  for (;;) {
    const frame = frameAt(file, position, index.end);
    if ("problem" in frame && frame.problem === "version") throw newerVersion(file, frame);
    if ("problem" in frame || frame.index !== next) return { index: next, position };
    if (next === wanted) return { frame, position };
    position += frame.bytes.length;
    next += 1;
  }
}

function frameAt(file: DiskFile, position: number, end: number): Frame | FrameProblem {
  const header = file.readSync(position, Math.min(FRAME_HEADER_BYTES, end - position));
  const start = decodeFrame(header, 0);
  // All but a frame that goes on behind its header is decided by the header.
  if (!("problem" in start) || start.problem !== "torn" || header.length < 8) return start;
  const length = Math.min(header.readUInt32BE(4), end - position);
  return decodeFrame(file.readSync(position, length), 0);
}

/** Where an entry begins behind damage at `position`. */
function startOf(
  file: DiskFile,
  index: SegmentIndex,
  wanted: LogIndex,
  position: number,
): SparseEntry | undefined {
  const { end, lastIndex, nextOffset, sparse } = index;
  const known = sparse[lastAtMost(sparse, wanted - 1, (entry) => entry.index) + 1];
  if (known?.index === wanted) return known;
  const goal = known ?? { index: lastIndex + 1, position: end, offset: nextOffset };
  const bytes = file.readSync(position, goal.position - position);
  const found = new Way(bytes, index, goal).from(wanted);
  if (found === undefined) return undefined;
  const { appendTimeMs: timeMs, baseOffset: offset } = found.frame;
  return { index: wanted, position: position + found.position, offset, timeMs };
}

/** Looks for whole frames that lead, one after the other, exactly to a known place: the end of the bytes. */
class Way {
  readonly #bytes: Buffer;
  readonly #index: SegmentIndex;
  readonly #goal: Pick<SparseEntry, "index" | "offset">;
  /** Frames that do not lead there: a way that comes to one of them is not walked again. */
  readonly #dead = new Set<number>();

  constructor(bytes: Buffer, index: SegmentIndex, goal: Pick<SparseEntry, "index" | "offset">) {
    this.#bytes = bytes;
    this.#index = index;
    this.#goal = goal;
  }

  from(wanted: LogIndex): PlacedFrame | undefined {
    const bytes = this.#bytes;
    for (let at = bytes.indexOf("FL", 1); at !== -1; at = bytes.indexOf("FL", at + 1)) {
      const frame = decodeFrame(bytes, at);
      if ("problem" in frame || frame.index !== wanted) continue;
      if (this.#isLeading(frame, at)) return { frame, position: at };
    }
    return undefined;
  }

  #isLeading(first: Frame, from: number): boolean {
    const bytes = this.#bytes;
    const way: number[] = [];
    let at = from;
    let next = { index: first.index, offset: first.baseOffset };
    while (at < bytes.length && next.index < this.#goal.index && !this.#dead.has(at)) {
      const frame = decodeFrame(bytes, at);
      if ("problem" in frame || frame.index !== next.index) break;
      if (frame.baseOffset !== next.offset || frame.term !== this.#index.termAt(frame.index)) break;
      way.push(at);
      at += frame.bytes.length;
      next = { index: frame.index + 1, offset: frame.baseOffset + frame.recordCount };
    }
    const { index, offset } = this.#goal;
    if (at === bytes.length && next.index === index && next.offset === offset) return true;
    for (const position of way) this.#dead.add(position);
    return false;
  }
}
