// A segment that is damaged, at the start of the node: finds out what it held, so that the log can be opened around the
// damage. The next segment's header says where a sealed one ends; its index file, or whole frames behind the damage, say
// more. Behind the newest segment nothing does, so there every entry must end where its own header says. Nothing is guessed:
// where index or term of an entry can not be told, the log stays closed. Called by log-recovery.ts.
import {
  decodeFrame,
  FRAME_HEADER_BYTES,
  type Frame,
  SECTION_HEADER_BYTES,
  verifyFrame,
} from "../model/entry-frame.ts";
import type { DamagedRange, DiskFile } from "./ports.ts";
import { examineSegment } from "./segment-examine.ts";
import type { SegmentHeader } from "./segment-format.ts";
import type { SegmentIndex } from "./segment-index.ts";
import { Breath, type Breathe, TailSearch } from "./segment-tail.ts";

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
  readonly breathe: Breathe;
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
  const breath = new Breath(sources.breathe);
  const tails = new TailSearch(bytes, next, breath);
  let at = 0;
  while (index.lastIndex + 1 < next.firstIndex) {
    const frame = decodeFrame(bytes, at);
    if (breath.isDue(frame)) await breath.take();
    if (!("problem" in frame) && index.refusal(frame) === undefined) {
      // The header is right, so place and term of what follows are, too.
      if (verifyFrame(frame) !== undefined) note(frame.index);
      index.add(frame);
      at += frame.bytes.length;
      continue;
    }
    const isFrame = !("problem" in frame);
    const tail =
      (isFrame ? undefined : oneLost(bytes, at, index)) ?? (await tails.behind(at, index));
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
  breathe: Breathe,
): Promise<Bridge | undefined> {
  const index = run;
  const damage: DamagedRange[] = [];
  const start = index.end;
  const bytes = await file.read(start, file.size - start);
  const breath = new Breath(breathe);
  let at = 0;
  while (at < bytes.length) {
    const wanted = index.lastIndex + 1;
    const frame = decodeFrame(bytes, at);
    if (breath.isDue(frame)) await breath.take();
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

/**
 * The frame behind a single lost entry: where the damaged header's length leads to, if the lengths of the entry's own
 * sections say the same and the next entry stands there. So a message that contains frames is not taken for its successors,
 * whichever bits of the header are wrong.
 */
function oneLost(
  bytes: Buffer,
  at: number,
  index: SegmentIndex,
): { readonly frame: Frame; readonly at: number } | undefined {
  const next = successorOf(bytes, at);
  if (next === undefined || next.frame.index !== index.lastIndex + 2) return undefined;
  if (next.frame.term < index.lastTerm || next.frame.baseOffset < index.nextOffset)
    return undefined;
  return isFilled(bytes, at + FRAME_HEADER_BYTES, next.at) ? next : undefined;
}

/** Sections, by their own lengths, fill [from, end) exactly. */
function isFilled(bytes: Buffer, from: number, end: number): boolean {
  let at = from;
  while (at + SECTION_HEADER_BYTES <= end) {
    at += SECTION_HEADER_BYTES + bytes.readUInt32BE(at + 4);
  }
  return at === end;
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
