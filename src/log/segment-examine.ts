// Compares all bytes of a segment file with what the log knows of the segment, and says which entries are damaged. An entry
// whose own checksum is wrong is damaged alone: its header says where the next one begins. Where a header is wrong,
// everything up to the next frame whose place is known from the index counts as damaged; what looks like a frame in
// between could be a message that somebody sent. Called by the segment log (scrub, suspicion) and when a log is opened.
import { decodeFrame, type Frame, verifyFrame } from "../model/entry-frame.ts";
import type { LogIndex } from "../model/positions.ts";
import {
  type DamagedRange,
  type DiskFile,
  isUnreadable,
  type Pace,
  StorageError,
} from "./ports.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import { lastAtMost, type SegmentIndex, type SparseEntry } from "./segment-index.ts";

/** Small pieces: whatever else the node does waits for the checksums of one of them. */
const PIECE_BYTES = 256 * 1024;

/**
 * Damaged ranges, ascending.
 * @param isSealed then bytes that can not be read are damaged
 * @throws StorageError "version" | "io"; what `pace` rejects with
 */
export async function examineSegment(
  file: DiskFile,
  index: SegmentIndex,
  pace: Pace = () => Promise.resolve(),
  isSealed = true,
): Promise<DamagedRange[]> {
  const examination = new Examination(file, index);
  const read = isSealed ? readable : readAnyway;
  await pace(SEGMENT_HEADER_BYTES);
  examination.header((await read(file, 0, SEGMENT_HEADER_BYTES)) ?? Buffer.alloc(0));
  while (!examination.isDone) {
    const { position, wanted } = examination;
    await pace(wanted);
    const bytes = await read(file, position, wanted);
    if (bytes === undefined) examination.unreadable();
    else examination.take(bytes);
  }
  return examination.damage;
}

function readAnyway(file: DiskFile, position: number, length: number): Promise<Buffer> {
  return file.read(position, length);
}

async function readable(
  file: DiskFile,
  position: number,
  length: number,
): Promise<Buffer | undefined> {
  try {
    return await file.read(position, length);
  } catch (error) {
    if (isUnreadable(error)) return undefined;
    throw error;
  }
}

class Examination {
  readonly damage: DamagedRange[] = [];
  readonly #file: DiskFile;
  readonly #index: SegmentIndex;
  readonly #end: number;
  readonly #lastIndex: LogIndex;
  /** Where the next frame begins, and which one it must be. */
  position = SEGMENT_HEADER_BYTES;
  #next: LogIndex;
  #pieceBytes = PIECE_BYTES;

  constructor(file: DiskFile, index: SegmentIndex) {
    this.#file = file;
    this.#index = index;
    this.#end = index.end;
    this.#lastIndex = index.lastIndex;
    this.#next = index.firstIndex;
  }

  get isDone(): boolean {
    return this.#next > this.#lastIndex;
  }

  get wanted(): number {
    return Math.min(this.#pieceBytes, this.#end - this.position);
  }

  /** A wrong header is written anew with the segment: its first entry stands for it. */
  header(bytes: Buffer): void {
    const { header } = this.#index;
    const found = decodeSegmentHeader(bytes);
    if ("problem" in found) {
      if (found.problem === "version") throw this.#newerVersion("the segment");
    } else if (
      found.firstIndex === header.firstIndex &&
      found.groupId === header.groupId &&
      found.prevTerm === header.prevTerm &&
      found.baseOffset === header.baseOffset
    ) {
      return;
    }
    if (!this.isDone) this.#note(this.#next, this.#next, "the segment's header");
  }

  /** The bytes from `position` on: first fewer of them are tried, up to the next place that is known. */
  unreadable(): void {
    const next = this.#sparseFrom(this.#next + 1)?.position ?? this.#end;
    const { wanted } = this;
    this.#pieceBytes = Math.min(PIECE_BYTES, next - this.position);
    if (this.wanted >= wanted) {
      this.#pieceBytes = PIECE_BYTES;
      this.#skip("can not be read");
    }
  }

  /** Looks at the frames in bytes that were read from `position` on. */
  take(bytes: Buffer): void {
    const pieceBytes = this.#pieceBytes;
    this.#pieceBytes = PIECE_BYTES;
    let used = 0;
    while (!this.isDone) {
      const frame = decodeFrame(bytes, used);
      if ("problem" in frame) {
        if (frame.problem === "version") throw this.#newerVersion(`byte ${this.position}`);
        const isCut = frame.problem === "torn" && this.position + bytes.length - used < this.#end;
        if (isCut && used > 0) return;
        // A frame larger than the piece: once more, with all that its header says.
        if (isCut && bytes.length > 8 && pieceBytes < bytes.readUInt32BE(4)) {
          this.#pieceBytes = bytes.readUInt32BE(4);
          return;
        }
        this.#skip(frame.detail);
        return;
      }
      const stranger = this.#strangeness(frame);
      if (stranger !== undefined) {
        this.#skip(stranger);
        return;
      }
      const problem = verifyFrame(frame)?.detail;
      if (problem !== undefined) this.#note(this.#next, this.#next, problem);
      this.#next += 1;
      used += frame.bytes.length;
      this.position += frame.bytes.length;
    }
  }

  /** A whole frame, but not the one that was written here. */
  #strangeness({ index, term, baseOffset, bytes }: Frame): string | undefined {
    if (index !== this.#next) return `index ${index} instead of ${this.#next}`;
    const written = this.#index.termAt(index);
    if (term !== written) return `term ${term} instead of ${written}`;
    const known = this.#sparseFrom(index);
    if (known?.index === index && known.offset !== baseOffset) return `offset ${baseOffset}`;
    const end = this.position + bytes.length;
    const following = index === this.#lastIndex ? this.#end : this.#sparseFrom(index + 1)?.position;
    return end > (following ?? this.#end) ? "another length" : undefined;
  }

  /** The first sparse entry at or behind an index. */
  #sparseFrom(index: LogIndex): SparseEntry | undefined {
    const { sparse } = this.#index;
    return sparse[lastAtMost(sparse, index - 1, (entry) => entry.index) + 1];
  }

  #skip(detail: string): void {
    const resume = this.#sparseFrom(this.#next + 1);
    // A segment that is written to may have grown since.
    const isInside = resume !== undefined && resume.index <= this.#lastIndex;
    const next = isInside ? resume.index : this.#lastIndex + 1;
    this.#note(this.#next, next - 1, `byte ${this.position}: ${detail}`);
    this.#next = next;
    this.position = isInside ? resume.position : this.#end;
  }

  /** Joins ranges that touch each other. */
  #note(first: LogIndex, last: LogIndex, detail: string): void {
    const previous = this.damage.at(-1);
    if (previous === undefined || previous.last + 1 < first) {
      this.damage.push({ first, last, detail });
      return;
    }
    this.damage.pop();
    this.damage.push({ ...previous, last: Math.max(previous.last, last) });
  }

  #newerVersion(what: string): StorageError {
    return new StorageError("version", this.#file.path, `${what} was written by a newer program`);
  }
}
