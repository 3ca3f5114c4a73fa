// Looks for the end of a damaged segment: the frames behind the damage that lead, one after the other, exactly to the next
// segment. In linear time, and in pieces: other groups are served while one is opened. Called by segment-bridge.ts.
import { decodeFrame, type Frame, type FrameProblem } from "../model/entry-frame.ts";
import type { SegmentHeader } from "./segment-format.ts";
import type { SegmentIndex } from "./segment-index.ts";

/** Lets the event loop turn. */
export type Breathe = () => Promise<void>;

/** Bytes that are looked at between two turns of the event loop. */
const PIECE_BYTES = 256 * 1024;
/** What a look at bytes that are no frame costs, in bytes of frames. */
const LOOK_BYTES = 128;

/** Says when it is time to let others do something. */
export class Breath {
  readonly #breathe: Breathe;
  #bytes = 0;

  constructor(breathe: Breathe) {
    this.#breathe = breathe;
  }

  /** To be called for each look at bytes, with what was found there. */
  isDue(found: Frame | FrameProblem): boolean {
    this.#bytes += "problem" in found ? LOOK_BYTES : found.bytes.length + LOOK_BYTES;
    return this.#bytes >= PIECE_BYTES;
  }

  async take(): Promise<void> {
    this.#bytes = 0;
    await this.#breathe();
  }
}

export interface Tail {
  readonly frame: Frame;
  /** In the bytes that were searched. */
  readonly at: number;
}

export class TailSearch {
  readonly #bytes: Buffer;
  readonly #next: SegmentHeader;
  readonly #breath: Breath;
  /** Frames from which none of the ways leads to the next segment: a way that comes to one of them is not walked again. */
  readonly #dead = new Set<number>();

  /** @param bytes up to the end of the segment */
  constructor(bytes: Buffer, next: SegmentHeader, breath: Breath) {
    this.#bytes = bytes;
    this.#next = next;
    this.#breath = breath;
  }

  /**
   * The first frame behind `from` from which whole frames lead exactly to the next segment. At least one entry must be
   * missing before it: so the bytes of a message that looks like frames are not taken for its successors.
   */
  async behind(from: number, index: SegmentIndex): Promise<Tail | undefined> {
    const bytes = this.#bytes;
    for (let at = bytes.indexOf("FL", from + 1); at !== -1; at = bytes.indexOf("FL", at + 1)) {
      if (this.#dead.has(at)) continue;
      const frame = decodeFrame(bytes, at);
      if (this.#breath.isDue(frame)) await this.#breath.take();
      if ("problem" in frame || frame.index < index.lastIndex + 2) continue;
      if (frame.term < index.lastTerm || frame.baseOffset < index.nextOffset) continue;
      if (await this.#isLeading(at)) return { frame, at };
    }
    return undefined;
  }

  async #isLeading(from: number): Promise<boolean> {
    const bytes = this.#bytes;
    const way: number[] = [];
    let previous: Frame | undefined;
    let at = from;
    while (at < bytes.length && !this.#dead.has(at)) {
      const frame = decodeFrame(bytes, at);
      if (this.#breath.isDue(frame)) await this.#breath.take();
      if ("problem" in frame || (previous !== undefined && !follows(previous, frame))) break;
      way.push(at);
      previous = frame;
      at += frame.bytes.length;
    }
    if (at === bytes.length && previous !== undefined && isLast(previous, this.#next)) return true;
    for (const position of way) this.#dead.add(position);
    return false;
  }
}

function follows(previous: Frame, frame: Frame): boolean {
  const { index, term, baseOffset, recordCount } = previous;
  return (
    frame.index === index + 1 && frame.term >= term && frame.baseOffset === baseOffset + recordCount
  );
}

function isLast({ index, term, baseOffset, recordCount }: Frame, next: SegmentHeader): boolean {
  return (
    index + 1 === next.firstIndex &&
    term === next.prevTerm &&
    baseOffset + recordCount === next.baseOffset
  );
}
