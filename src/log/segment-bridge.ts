// A segment that is damaged, at the start of the node: finds out what it held, so that the log can be opened around the
// damage. The next segment's header says where a sealed one ends; its index file, or whole frames behind the damage, say
// more. Behind the newest segment nothing does, so there every entry must end where its own header says. Nothing is guessed:
// where index or term of an entry can not be told, the log stays closed. Called by log-recovery.ts.
import { decodeFrame, FRAME_HEADER_BYTES, type Frame, verifyFrame } from "../model/entry-frame.ts";
import type { DamagedRange, DiskFile } from "./ports.ts";
import { examineSegment } from "./segment-examine.ts";
import type { SegmentHeader } from "./segment-format.ts";
import type { SegmentIndex } from "./segment-index.ts";

export interface Bridge {
  /** Of the whole segment, damaged entries included. */
  readonly index: SegmentIndex;
  readonly damage: readonly DamagedRange[];
}

/** What is known of a damaged segment. */
export interface BridgeSources {
  readonly file: DiskFile;
  /** The good run of frames before the damage; taken over. */
  readonly run: SegmentIndex;
  readonly next: SegmentHeader;
  /** From the index file, which was not checked against the segment's end. */
  readonly stored: SegmentIndex | undefined;
  readonly detail: string;
}

export async function bridgeSegment(sources: BridgeSources): Promise<Bridge | undefined> {
  const { file, next, stored } = sources;
  if (stored !== undefined && isBefore(stored, next)) {
    return { index: stored, damage: await examineSegment(file, stored) };
  }
  const { run: index, detail } = sources;
  const damage: DamagedRange[] = [];
  const note = (last: number): void => {
    damage.push({ first: index.lastIndex + 1, last, detail });
  };
  const start = index.end;
  const bytes = await file.read(start, file.size - start);
  let at = 0;
  while (index.lastIndex + 1 < next.firstIndex) {
    const frame = decodeFrame(bytes, at);
    if (!("problem" in frame) && index.refusal(frame) === undefined) {
      // The header is right, so place and term of what follows are, too.
      if (verifyFrame(frame) !== undefined) note(frame.index);
      index.add(frame);
      at += frame.bytes.length;
      continue;
    }
    const tail = tailBehind(bytes, at, index, next);
    const reached = tail ?? {
      frame: { index: next.firstIndex, term: next.prevTerm, baseOffset: next.baseOffset },
      at: bytes.length,
    };
    // A term may have begun inside the gap: nobody can say where.
    if (reached.frame.term !== index.lastTerm) return undefined;
    note(reached.frame.index - 1);
    const timeMs = tail === undefined ? next.prevAppendTimeMs : index.lastAppendTimeMs;
    const { index: resume, baseOffset: offset } = reached.frame;
    index.skipTo({ index: resume, offset, timeMs }, start + reached.at);
    at = reached.at;
  }
  const isWhole = damage.length > 0 && isBefore(index, next);
  return isWhole ? { index, damage } : undefined;
}

/**
 * For the newest segment, which ends with the file. A damaged header is believed about its length, and only if the next
 * entry stands exactly there: what a message contains never does.
 */
export async function bridgeNewest(
  file: DiskFile,
  run: SegmentIndex,
  detail: string,
): Promise<Bridge | undefined> {
  const index = run;
  const damage: DamagedRange[] = [];
  const start = index.end;
  const bytes = await file.read(start, file.size - start);
  let at = 0;
  while (at < bytes.length) {
    const wanted = index.lastIndex + 1;
    const frame = decodeFrame(bytes, at);
    if (!("problem" in frame) && index.refusal(frame) === undefined) {
      if (verifyFrame(frame) !== undefined) damage.push({ first: wanted, last: wanted, detail });
      index.add(frame);
      at += frame.bytes.length;
      continue;
    }
    const next = successorOf(bytes, at);
    const isNext = next !== undefined && next.frame.index === wanted + 1;
    if (!isNext || next.frame.term !== index.lastTerm) return undefined;
    if (next.frame.baseOffset < index.nextOffset) return undefined;
    damage.push({ first: wanted, last: wanted, detail });
    const { baseOffset: offset } = next.frame;
    const { lastAppendTimeMs: timeMs } = index;
    index.skipTo({ index: wanted + 1, offset, timeMs }, start + next.at);
    at = next.at;
  }
  return damage.length > 0 ? { index, damage } : undefined;
}

function successorOf(
  bytes: Buffer,
  at: number,
): { readonly frame: Frame; readonly at: number } | undefined {
  if (bytes.length - at < FRAME_HEADER_BYTES) return undefined;
  const next = at + bytes.readUInt32BE(at + 4);
  if (next <= at || next >= bytes.length) return undefined;
  const frame = decodeFrame(bytes, next);
  return "problem" in frame ? undefined : { frame, at: next };
}

export function isBefore(index: SegmentIndex, next: SegmentHeader): boolean {
  return (
    index.lastIndex + 1 === next.firstIndex &&
    index.lastTerm === next.prevTerm &&
    index.nextOffset === next.baseOffset
  );
}

/**
 * The first frame behind the damage from which whole frames lead exactly to the next segment. At least one entry must be
 * missing before it: so the bytes of a message that looks like frames are not taken for its successors.
 */
function tailBehind(
  bytes: Buffer,
  from: number,
  index: SegmentIndex,
  next: SegmentHeader,
): { readonly frame: Frame; readonly at: number } | undefined {
  for (let at = bytes.indexOf("FL", from + 1); at !== -1; at = bytes.indexOf("FL", at + 1)) {
    const frame = decodeFrame(bytes, at);
    if ("problem" in frame || frame.index < index.lastIndex + 2) continue;
    if (frame.term < index.lastTerm || frame.baseOffset < index.nextOffset) continue;
    if (leadsTo(bytes, at, next)) return { frame, at };
  }
  return undefined;
}

function leadsTo(bytes: Buffer, from: number, next: SegmentHeader): boolean {
  let at = from;
  let previous: Frame | undefined;
  while (at < bytes.length) {
    const frame = decodeFrame(bytes, at);
    if ("problem" in frame) return false;
    if (previous !== undefined && !follows(previous, frame)) return false;
    previous = frame;
    at += frame.bytes.length;
  }
  const end = previous && { ...previous, baseOffset: previous.baseOffset + previous.recordCount };
  return (
    end !== undefined &&
    end.index + 1 === next.firstIndex &&
    end.term === next.prevTerm &&
    end.baseOffset === next.baseOffset
  );
}

function follows(previous: Frame, frame: Frame): boolean {
  const { index, term, baseOffset, recordCount } = previous;
  return (
    frame.index === index + 1 && frame.term >= term && frame.baseOffset === baseOffset + recordCount
  );
}

/** A header for a segment whose own one is damaged: everything in it follows from the segment before. */
export function headerAfter(previous: SegmentIndex): SegmentHeader {
  const { header, lastIndex, lastTerm, nextOffset, lastAppendTimeMs } = previous;
  return {
    groupId: header.groupId,
    firstIndex: lastIndex + 1,
    prevTerm: lastTerm,
    baseOffset: nextOffset,
    prevAppendTimeMs: lastAppendTimeMs,
    generation: header.generation,
  };
}
