// Reads frames out of a log's segments and looks things up by offset and time. Checks every checksum of what it returns.
// Reading does not block appends: when the log was cut while a read was under way, the read starts again.
import { decodeFrame, FRAME_HEADER_BYTES, type Frame, verifyFrame } from "../model/entry-frame.ts";
import type { LogIndex, Offset } from "../model/positions.ts";
import { DamageError, isUnreadable, StorageError } from "./ports.ts";
import type { Segment } from "./segment.ts";
import { lastAtMost } from "./segment-index.ts";
import { findFrame } from "./segment-scan.ts";

/** Files of sealed segments that stay open for readers. */
const OPEN_FILES_MAX = 8;
/** Ends of recent reads: where the next read of a follower or consumer will begin. */
const PLACES_MAX = 16;
/** Read beyond what was asked, so that the last frame is mostly complete. */
const SLACK_BYTES = 16 * 1024;

interface Place {
  readonly segment: Segment;
  readonly index: LogIndex;
  readonly position: number;
}

export class LogReader {
  readonly #segments: () => readonly Segment[];
  #places: Place[] = [];
  #opened: Segment[] = [];
  /** Grows with every cut. */
  #cuts = 0;

  /** @param segments the log's segments as they are now, oldest first */
  constructor(segments: () => readonly Segment[]) {
    this.#segments = segments;
  }

  /** Differs after a cut. */
  get cuts(): number {
    return this.#cuts;
  }

  /** To be called before the log is cut: what was read across a cut is not to be trusted. */
  forgetPlaces(): void {
    this.#places = [];
    this.#cuts += 1;
  }

  /** Empty when `from` is not (or no longer) in the log. */
  async read(from: LogIndex, last: LogIndex, bytesMax: number): Promise<Frame[]> {
    const frames: Frame[] = [];
    let bytes = 0;
    let next = from;
    while (next <= last && (frames.length === 0 || bytes < bytesMax)) {
      const segment = this.#segmentOf(next);
      if (segment === undefined) break;
      const bad = segment.damage.find((range) => range.last >= next);
      if (bad !== undefined && bad.first <= next) {
        if (frames.length > 0) break;
        throw damageOf(segment, `entry ${next} is damaged: ${bad.detail}`, { isKnown: true });
      }
      const until = Math.min(last, (bad?.first ?? last + 1) - 1);
      const read = await this.#readSome(segment, next, until, Math.max(0, bytesMax - bytes));
      if (read === undefined) return this.read(from, last, bytesMax);
      for (const frame of read) {
        if (frames.length > 0 && bytes + frame.bytes.length > bytesMax) return frames;
        frames.push(frame);
        bytes += frame.bytes.length;
      }
      next += read.length;
    }
    return frames;
  }

  async indexOfOffset(offset: Offset): Promise<LogIndex | undefined> {
    const segments = this.#segments();
    const cuts = this.#cuts;
    const segment = segments.find(({ index }) => index.nextOffset > offset);
    if (segment === undefined) return undefined;
    const { index } = segment;
    try {
      const found = await findFrame(
        this.#fileOf(segment),
        index.positionBeforeOffset(offset),
        index.end,
        (frame) => frame.recordCount > 0 && frame.baseOffset + frame.recordCount > offset,
      );
      if (found !== undefined || !this.#isStale(segment, cuts)) return found?.frame.index;
      return await this.indexOfOffset(offset);
    } catch (error) {
      if (this.#isStale(segment, cuts)) return this.indexOfOffset(offset);
      throw this.#asDamage(segment, error);
    }
  }

  async offsetOfTime(timeMs: number): Promise<Offset | undefined> {
    for (const segment of this.#segments()) {
      const { index } = segment;
      const cuts = this.#cuts;
      if (index.isEmpty || index.lastAppendTimeMs < timeMs) continue;
      try {
        const found = await findFrame(
          this.#fileOf(segment),
          index.positionBeforeTime(timeMs),
          index.end,
          (frame) => frame.recordCount > 0 && frame.appendTimeMs >= timeMs,
        );
        if (found !== undefined) return found.frame.baseOffset;
        if (this.#isStale(segment, cuts)) return await this.offsetOfTime(timeMs);
      } catch (error) {
        if (this.#isStale(segment, cuts)) return this.offsetOfTime(timeMs);
        throw this.#asDamage(segment, error);
      }
    }
    return undefined;
  }

  /** At least one frame from `from` on, all of one segment; undefined when the log was cut meanwhile. */
  async #readSome(
    segment: Segment,
    from: LogIndex,
    last: LogIndex,
    bytesMax: number,
  ): Promise<Frame[] | undefined> {
    const cuts = this.#cuts;
    const { end, lastIndex } = segment.index;
    const until = Math.min(last, lastIndex);
    const start = this.#placeOf(segment, from);
    const rest = end - start.position;
    let length = bytesMax + SLACK_BYTES + (start.isExact ? 0 : this.#skipOf(segment, from, start));
    for (;;) {
      const chunk = await this.#readChunk(segment, start.position, Math.min(length, rest), cuts);
      if (chunk === undefined) return undefined;
      const { frames, position, missing } = parse(segment, chunk, start.position, from, until);
      if (frames.length > 0) {
        this.#remember(segment, from + frames.length, position);
        return frames;
      }
      // A frame larger than the chunk: once more, with its length.
      const isAll = chunk.length < Math.min(length, rest) || chunk.length === rest;
      length = chunk.length + missing;
      if (missing === 0 || isAll) {
        throw damageOf(segment, `entry ${from} is not where it was`);
      }
    }
  }

  /** Undefined when the log was cut meanwhile: bytes and errors then mean nothing. */
  async #readChunk(
    segment: Segment,
    position: number,
    length: number,
    cuts: number,
  ): Promise<Buffer | undefined> {
    try {
      const chunk = await this.#fileOf(segment).read(position, length);
      return this.#isStale(segment, cuts) ? undefined : chunk;
    } catch (error) {
      if (this.#isStale(segment, cuts)) return undefined;
      throw this.#asDamage(segment, error);
    }
  }

  /** A sealed segment that can not be read is damaged; whether the newest one's disk works, appends and syncs depend on. */
  #asDamage(segment: Segment, error: unknown): unknown {
    if (!(error instanceof StorageError) || error instanceof DamageError) return error;
    const isSealed = segment !== this.#segments().at(-1);
    const isDamage = error.kind === "corrupt" || (isSealed && isUnreadable(error));
    return isDamage ? damageOf(segment, error.message, { cause: error }) : error;
  }

  #segmentOf(index: LogIndex): Segment | undefined {
    const segments = this.#segments();
    const segment = segments[lastAtMost(segments, index, (one) => one.index.firstIndex)];
    return segment !== undefined && index <= segment.index.lastIndex ? segment : undefined;
  }

  #placeOf(
    segment: Segment,
    from: LogIndex,
  ): { readonly position: number; readonly isExact: boolean } {
    const place = this.#places.find((one) => one.segment === segment && one.index === from);
    if (place !== undefined) return { position: place.position, isExact: true };
    return { position: segment.index.positionBefore(from), isExact: false };
  }

  /** How far behind the sparse entry the frame can be. */
  #skipOf(segment: Segment, from: LogIndex, start: { readonly position: number }): number {
    const { sparse, end } = segment.index;
    const number = lastAtMost(sparse, from, (entry) => entry.index);
    if (sparse[number]?.index === from) return 0;
    return (sparse[number + 1]?.position ?? end) - start.position;
  }

  #remember(segment: Segment, index: LogIndex, position: number): void {
    this.#places.push({ segment, index, position });
    if (this.#places.length > PLACES_MAX) this.#places.shift();
  }

  #isStale(segment: Segment, cuts: number): boolean {
    return segment.isRemoved || cuts !== this.#cuts;
  }

  #fileOf(segment: Segment): ReturnType<Segment["file"]> {
    if (!segment.isOpen) {
      this.#opened = this.#opened.filter((one) => one.isOpen);
      this.#opened.push(segment);
      if (this.#opened.length > OPEN_FILES_MAX) this.#closeOldest();
    }
    return segment.file();
  }

  #closeOldest(): void {
    const oldest = this.#opened.shift();
    // The newest segment is written to and stays open.
    if (oldest !== undefined && oldest !== this.#segments().at(-1)) oldest.closeFile();
  }
}

interface Parsed {
  readonly frames: Frame[];
  /** Behind the last frame. */
  readonly position: number;
  /** Bytes that the chunk lacks for its first incomplete frame. */
  readonly missing: number;
}

function parse(
  segment: Segment,
  chunk: Buffer,
  start: number,
  from: LogIndex,
  last: LogIndex,
): Parsed {
  const frames: Frame[] = [];
  let at = 0;
  while (from + frames.length <= last) {
    const frame = decodeFrame(chunk, at);
    if ("problem" in frame && frame.problem === "torn") {
      const rest = chunk.length - at;
      const wanted = rest < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : chunk.readUInt32BE(at + 4);
      return { frames, position: start + at, missing: wanted - rest };
    }
    const problem = "problem" in frame ? frame : verifyIfWanted(frame, from);
    if (problem !== undefined) {
      const detail = `byte ${start + at}: ${problem.detail}`;
      if (problem.problem === "version") throw new StorageError("version", segment.path, detail);
      throw damageOf(segment, detail);
    }
    if ("problem" in frame) break;
    if (frame.index >= from) {
      if (frame.index !== from + frames.length) break;
      frames.push(frame);
    }
    at += frame.bytes.length;
  }
  return { frames, position: start + at, missing: 0 };
}

function damageOf(
  { index, path }: Segment,
  detail: string,
  { isKnown = false, cause }: { readonly isKnown?: boolean; readonly cause?: unknown } = {},
): DamageError {
  return new DamageError({ segment: index.firstIndex, path, isKnown }, detail, { cause });
}

function verifyIfWanted(frame: Frame, from: LogIndex): ReturnType<typeof verifyFrame> {
  return frame.index < from ? undefined : verifyFrame(frame);
}
