// What the log knows of one segment without reading it: sparse positions, runs of terms, membership entries, ends.
// Kept up to date by every append in constant time; rebuilt by a scan, or loaded from the index file of a sealed segment.
import { assert } from "../base/assert.ts";
import type { Frame, FrameFields } from "../model/entry-frame.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from "./segment-format.ts";

/** A frame whose place is known exactly. */
export interface SparseEntry {
  readonly index: LogIndex;
  /** In the segment file. */
  readonly position: number;
  /** The frame's base offset and append time. */
  readonly offset: Offset;
  readonly timeMs: number;
}

export interface TermRun {
  readonly term: Term;
  readonly from: LogIndex;
}

/** The part of the index that goes to the index file. */
export interface SegmentSummary {
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly nextOffset: Offset;
  readonly lastAppendTimeMs: number;
  /** Bytes of the segment file, header included. */
  readonly end: number;
  readonly lastPosition: number;
  readonly sparse: readonly SparseEntry[];
  readonly termRuns: readonly TermRun[];
  readonly memberships: readonly LogIndex[];
}

export class SegmentIndex implements SegmentSummary {
  readonly header: SegmentHeader;
  readonly #spacingBytes: number;
  #lastIndex: LogIndex;
  #lastTerm: Term;
  #nextOffset: Offset;
  #lastAppendTimeMs: number;
  #end = SEGMENT_HEADER_BYTES;
  #lastPosition = 0;
  #sparse: SparseEntry[] = [];
  #termRuns: TermRun[] = [];
  #memberships: LogIndex[] = [];
  /** The next frame stands behind a gap: it needs a sparse entry, or nothing would find it. */
  #isBehindGap = false;

  /** @param spacingBytes at least this many bytes lie between two sparse entries */
  constructor(header: SegmentHeader, spacingBytes: number) {
    this.header = header;
    this.#spacingBytes = spacingBytes;
    this.#lastIndex = header.firstIndex - 1;
    this.#lastTerm = header.prevTerm;
    this.#nextOffset = header.baseOffset;
    this.#lastAppendTimeMs = header.prevAppendTimeMs;
  }

  static from(header: SegmentHeader, spacingBytes: number, summary: SegmentSummary): SegmentIndex {
    const index = new SegmentIndex(header, spacingBytes);
    index.#lastIndex = summary.lastIndex;
    index.#lastTerm = summary.lastTerm;
    index.#nextOffset = summary.nextOffset;
    index.#lastAppendTimeMs = summary.lastAppendTimeMs;
    index.#end = summary.end;
    index.#lastPosition = summary.lastPosition;
    index.#sparse = [...summary.sparse];
    index.#termRuns = [...summary.termRuns];
    index.#memberships = [...summary.memberships];
    return index;
  }

  /** The same with more places that are known. */
  withSparse(more: readonly SparseEntry[]): SegmentIndex {
    const isNew = ({ index }: SparseEntry): boolean =>
      !this.#sparse.some((entry) => entry.index === index);
    const sparse = [...this.#sparse, ...more.filter(isNew)];
    sparse.sort((left, right) => left.index - right.index);
    return SegmentIndex.from(this.header, this.#spacingBytes, { ...summaryOf(this), sparse });
  }

  get firstIndex(): LogIndex {
    return this.header.firstIndex;
  }
  /** firstIndex − 1 when the segment is empty; the other last… values are then those of the entry before. */
  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }
  get lastTerm(): Term {
    return this.#lastTerm;
  }
  get nextOffset(): Offset {
    return this.#nextOffset;
  }
  get lastAppendTimeMs(): number {
    return this.#lastAppendTimeMs;
  }
  get end(): number {
    return this.#end;
  }
  get lastPosition(): number {
    return this.#lastPosition;
  }
  get sparse(): readonly SparseEntry[] {
    return this.#sparse;
  }
  get termRuns(): readonly TermRun[] {
    return this.#termRuns;
  }
  get memberships(): readonly LogIndex[] {
    return this.#memberships;
  }
  get isEmpty(): boolean {
    return this.#lastIndex < this.firstIndex;
  }

  /** Why this frame cannot come next; undefined when it can. */
  refusal(frame: FrameFields): string | undefined {
    if (frame.index !== this.#lastIndex + 1) return `index ${frame.index} after ${this.#lastIndex}`;
    if (frame.term < this.#lastTerm) return `term ${frame.term} after ${this.#lastTerm}`;
    if (frame.baseOffset !== this.#nextOffset) {
      return `offset ${frame.baseOffset} instead of ${this.#nextOffset}`;
    }
    return undefined;
  }

  /** Takes a frame that was written at the end. */
  add(frame: Frame): void {
    const position = this.#end;
    const newest = this.#sparse.at(-1);
    const isFar = newest === undefined || position - newest.position >= this.#spacingBytes;
    if (isFar || this.#isBehindGap) {
      this.#isBehindGap = false;
      const { index, baseOffset: offset, appendTimeMs: timeMs } = frame;
      this.#sparse.push({ index, position, offset, timeMs });
    }
    if (this.#termRuns.at(-1)?.term !== frame.term) {
      this.#termRuns.push({ term: frame.term, from: frame.index });
    }
    if (frame.kind === "membership") this.#memberships.push(frame.index);
    this.#lastIndex = frame.index;
    this.#lastTerm = frame.term;
    this.#nextOffset = frame.baseOffset + frame.recordCount;
    this.#lastAppendTimeMs = frame.appendTimeMs;
    this.#lastPosition = position;
    this.#end = position + frame.bytes.length;
  }

  /** Takes entries of the last term that are known, but not readable, up to the one before `next`, which stands at `position`. */
  skipTo(
    next: { readonly index: LogIndex; readonly offset: Offset; readonly timeMs: number },
    position: number,
  ): void {
    const from = this.#lastIndex + 1;
    assert(next.index > from && position >= this.#end, "a gap holds entries", { from });
    if (this.#termRuns.at(-1)?.term !== this.#lastTerm) {
      this.#termRuns.push({ term: this.#lastTerm, from });
    }
    this.#lastIndex = next.index - 1;
    this.#nextOffset = next.offset;
    this.#lastAppendTimeMs = next.timeMs;
    this.#end = position;
    this.#isBehindGap = true;
  }

  /**
   * Forgets everything from `last`'s successor on.
   * @param last the frame that becomes the last one, with its position; undefined: none is left
   */
  cutAfter(last: { readonly frame: Frame; readonly position: number } | undefined): void {
    const { header } = this;
    const frame = last?.frame;
    const lastIndex = frame?.index ?? header.firstIndex - 1;
    assert(lastIndex <= this.#lastIndex, "a cut shortens", { lastIndex });
    this.#lastIndex = lastIndex;
    this.#lastTerm = frame?.term ?? header.prevTerm;
    this.#nextOffset =
      frame === undefined ? header.baseOffset : frame.baseOffset + frame.recordCount;
    this.#lastAppendTimeMs = frame?.appendTimeMs ?? header.prevAppendTimeMs;
    this.#lastPosition = last?.position ?? 0;
    this.#end = last === undefined ? SEGMENT_HEADER_BYTES : last.position + last.frame.bytes.length;
    this.#forgetBehind();
  }

  /** Forgets an entry whose place is known, and all behind it; the one before it can not be read. */
  cutBefore({ index, offset, position, timeMs }: SparseEntry): void {
    const lastIndex = index - 1;
    assert(lastIndex >= this.firstIndex && index <= this.#lastIndex, "a cut shortens", { index });
    this.#lastTerm = this.termAt(lastIndex);
    this.#lastIndex = lastIndex;
    this.#nextOffset = offset;
    // Of the entry that is cut: not older than the one before it.
    this.#lastAppendTimeMs = timeMs;
    this.#lastPosition = 0;
    this.#end = position;
    this.#isBehindGap = true;
    this.#forgetBehind();
  }

  #forgetBehind(): void {
    const lastIndex = this.#lastIndex;
    this.#sparse = this.#sparse.filter((entry) => entry.index <= lastIndex);
    this.#termRuns = this.#termRuns.filter((run) => run.from <= lastIndex);
    this.#memberships = this.#memberships.filter((index) => index <= lastIndex);
  }

  /** Term of an entry in [firstIndex, lastIndex]. */
  termAt(index: LogIndex): Term {
    const run = this.#termRuns[lastAtMost(this.#termRuns, index, (candidate) => candidate.from)];
    assert(run !== undefined, "every entry is in a term run", { index });
    return run.term;
  }

  /** Position at or before the frame with this index. */
  positionBefore(index: LogIndex): number {
    return this.#place(lastAtMost(this.#sparse, index, (entry) => entry.index));
  }

  /** Position at or before the frame that holds this offset. */
  positionBeforeOffset(offset: Offset): number {
    return this.#place(lastAtMost(this.#sparse, offset, (entry) => entry.offset));
  }

  /** Position at or before the first frame that is not older than this time. */
  positionBeforeTime(timeMs: number): number {
    // Strictly older: several frames may share a time, and the first of them is wanted.
    return this.#place(lastAtMost(this.#sparse, timeMs - 1, (entry) => entry.timeMs));
  }

  #place(number: number): number {
    return this.#sparse[number]?.position ?? SEGMENT_HEADER_BYTES;
  }
}

function summaryOf(index: SegmentSummary): SegmentSummary {
  const { end, lastAppendTimeMs, lastIndex, lastPosition, lastTerm, nextOffset } = index;
  const { memberships, sparse, termRuns } = index;
  const ends = { end, lastAppendTimeMs, lastIndex, lastPosition, lastTerm, nextOffset };
  return { ...ends, memberships, sparse, termRuns };
}

/** Number of the last item whose key is ≤ `wanted`, −1 when there is none. Keys ascend. */
export function lastAtMost<T>(
  items: readonly T[],
  wanted: number,
  keyOf: (item: T) => number,
): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && keyOf(item) <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
