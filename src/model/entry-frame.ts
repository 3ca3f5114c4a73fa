// The entry frame: one raft entry on disk and between replicas (architecture §7.1, docs/STORAGE-FORMAT.md).
// CONTRACT: layout and signatures are fixed here; the codec lives in this file.
//
//   0  u16 magic 0x464C ("FL")   2 u8 version (1)   3 u8 kind (0 data, 1 noop, 2 membership)
//   4  u32 length: bytes of the whole frame, header included
//   8  u64 index                16 u64 term
//  24  u64 baseOffset           32 u32 recordCount (0: no records; then baseOffset = next offset)
//  36  u32 layoutEpoch          40 u64 appendTime, ms since 1970, never smaller than the previous frame's
//  48  u32 sectionCount         52 u32 reserved (0)    56 u32 reserved (0)
//  60  u32 headerCrc: CRC-32C over bytes [0, 60) and over all section bytes, except what a batch's own CRC covers
//  64  sections: { u8 type, u8 flags (bit 0: ignorable), u16 reserved, u32 length, bytes }; a batch is the last one
// Numbers are big-endian. Nothing replica-local stands in a frame.
import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogIndex, Offset, Term } from "./positions.ts";

export const FRAME_HEADER_BYTES = 64;
export const SECTION_HEADER_BYTES = 8;
export const FRAME_MAGIC = 0x464c;
export const FRAME_VERSION = 1;

/** A frame travels in one gRPC message, so it is never larger (inclusive). A header that says more is damaged. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

export type FrameKind = "data" | "noop" | "membership";

/** Section types. Unknown ignorable sections are skipped; an unknown required one stops the replica. */
export const SECTION = {
  /** UTF-8 JSON of a replicated command `{ "v": number, "type": string, … }`. Required. */
  COMMAND: 1,
  /** What delivery needs to skip a batch undecoded (slots, tag hashes). Ignorable. */
  HINTS: 2,
  /** One record batch v2 (model/record-batch.ts). Required, last. */
  BATCH: 3,
  /** Message ids of a unary Publish, in record order: repeated { u16 length, bytes }. Required. */
  MESSAGE_IDS: 4,
} as const;
export type SectionType = (typeof SECTION)[keyof typeof SECTION];

export interface FrameSection {
  readonly type: number;
  readonly ignorable: boolean;
  readonly bytes: Uint8Array;
}

export interface FrameFields {
  readonly kind: FrameKind;
  readonly index: LogIndex;
  readonly term: Term;
  readonly baseOffset: Offset;
  readonly recordCount: number;
  readonly layoutEpoch: number;
  readonly appendTimeMs: number;
}

/** A decoded header plus the frame's own bytes. Ownership: `bytes` may be kept by the holder; nobody writes into it. */
export interface Frame extends FrameFields {
  /** The whole frame, contiguous. */
  readonly bytes: Buffer;
}

/** Why bytes are no frame. */
export interface FrameProblem {
  /**
   * torn: the bytes end inside the frame. corrupt: magic, lengths or a checksum are wrong.
   * version: checksums are right, but a newer version wrote it. unknown-section: a required section is not known here.
   */
  readonly problem: "torn" | "corrupt" | "version" | "unknown-section";
  /** Where the frame begins, in the bytes that were given. */
  readonly position: number;
  readonly detail: string;
}

/** Thrown by {@link decodeFrames} and {@link checkSections}; callers map it to their own error (peer, disk, client). */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly problem: FrameProblem["problem"];
  readonly position: number;
  constructor(problem: FrameProblem) {
    super(`frame at byte ${problem.position}: ${problem.problem}: ${problem.detail}`);
    this.problem = problem.problem;
    this.position = problem.position;
  }
}

/** Of a record batch v2: bytes before the part that its own CRC covers, and where that CRC stands. */
const BATCH_CRC_POSITION = 17;
const BATCH_COVERED_FROM = 21;
const BATCH_HEADER_BYTES = 61;
const HEADER_CRC_POSITION = 60;
const IGNORABLE = 1;
const KINDS: readonly FrameKind[] = ["data", "noop", "membership"];
const TWO_32 = 0x1_0000_0000;

/**
 * Makes a frame; section bytes are copied, so the caller may reuse its buffers.
 * Asserts what the layout demands: a batch section comes last and is at least a batch header long.
 */
export function encodeFrame(fields: FrameFields, sections: readonly FrameSection[]): Frame {
  let length = FRAME_HEADER_BYTES;
  for (const section of sections) length += SECTION_HEADER_BYTES + section.bytes.length;
  assert(length <= FRAME_BYTES_MAX, "a frame fits into one message", { length });
  // Not from the pool: frames are kept for long and would pin pool slabs.
  const bytes = Buffer.allocUnsafeSlow(length);
  writeHeader(bytes, fields, length, sections.length);
  let position = FRAME_HEADER_BYTES;
  let covered = length;
  for (const [number, section] of sections.entries()) {
    const { type, ignorable } = section;
    position = writeSectionHeader(bytes, position, type, ignorable, section.bytes.length);
    bytes.set(section.bytes, position);
    if (type === SECTION.BATCH) {
      assert(number === sections.length - 1, "the batch is the last section", { number });
      assert(section.bytes.length >= BATCH_HEADER_BYTES, "a batch has a header");
      covered = position + BATCH_COVERED_FROM;
    }
    position += section.bytes.length;
  }
  bytes.writeUInt32BE(headerCrc(bytes, 0, covered), HEADER_CRC_POSITION);
  return makeFrame(fields, bytes);
}

/**
 * The frame that begins at `position`, as a view of `bytes` (it keeps all of them alive). Checks lengths and headerCrc,
 * not the batch's own CRC (see {@link verifyFrame}) and not whether the sections are known (see {@link checkSections}).
 */
export function decodeFrame(bytes: Buffer, position: number): Frame | FrameProblem {
  const available = bytes.length - position;
  if (available < FRAME_HEADER_BYTES) return problemOf("torn", position, "header incomplete");
  if (bytes.readUInt16BE(position) !== FRAME_MAGIC) {
    return problemOf("corrupt", position, "no magic");
  }
  const length = bytes.readUInt32BE(position + 4);
  if (length < FRAME_HEADER_BYTES || length > FRAME_BYTES_MAX) {
    return problemOf("corrupt", position, `length ${length}`);
  }
  if (length > available) return problemOf("torn", position, `${available} of ${length} bytes`);
  const covered = coveredEnd(bytes, position, length);
  if (covered === undefined) return problemOf("corrupt", position, "section lengths");
  if (headerCrc(bytes, position, covered) !== bytes.readUInt32BE(position + HEADER_CRC_POSITION)) {
    return problemOf("corrupt", position, "header checksum");
  }
  const version = bytes[position + 2];
  if (version !== FRAME_VERSION) return problemOf("version", position, `version ${version}`);
  const kind = KINDS[bytes[position + 3] ?? KINDS.length];
  if (kind === undefined) return problemOf("version", position, "unknown kind");
  return readHeader(bytes, position, length, kind);
}

/** All frames of a contiguous run, as views of `bytes`. @throws FrameError when it is not exactly a run of frames */
export function decodeFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  let position = 0;
  while (position < bytes.length) {
    const frame = decodeFrame(bytes, position);
    if ("problem" in frame) throw new FrameError(frame);
    frames.push(frame);
    position += frame.bytes.length;
  }
  return frames;
}

/** Checks the batch's length and its own CRC-32C, which decodeFrame leaves out; undefined when all is well. */
export function verifyFrame(frame: Frame): FrameProblem | undefined {
  const batch = batchOf(frame);
  if (batch === undefined) return undefined;
  if (batch.length < BATCH_HEADER_BYTES || batch.readInt32BE(8) !== batch.length - 12) {
    return problemOf("corrupt", 0, "batch length");
  }
  if (crc32c(batch.subarray(BATCH_COVERED_FROM)) !== batch.readUInt32BE(BATCH_CRC_POSITION)) {
    return problemOf("corrupt", 0, "batch checksum");
  }
  return undefined;
}

/** All sections in order, unknown ones too, as views of the frame. */
export function frameSections(frame: Frame): FrameSection[] {
  const { bytes } = frame;
  const sections: FrameSection[] = [];
  let position = FRAME_HEADER_BYTES;
  while (position < bytes.length) {
    const from = position + SECTION_HEADER_BYTES;
    const end = from + bytes.readUInt32BE(position + 4);
    sections.push({
      type: bytes.readUInt8(position),
      ignorable: (bytes.readUInt8(position + 1) & IGNORABLE) !== 0,
      bytes: bytes.subarray(from, end),
    });
    position = end;
  }
  return sections;
}

/** Bytes of the first section of this type, as a view; undefined when there is none. */
export function sectionOf(frame: Frame, type: number): Buffer | undefined {
  const { bytes } = frame;
  let position = FRAME_HEADER_BYTES;
  while (position < bytes.length) {
    const from = position + SECTION_HEADER_BYTES;
    const end = from + bytes.readUInt32BE(position + 4);
    if (bytes[position] === type) return bytes.subarray(from, end);
    position = end;
  }
  return undefined;
}

/** The record batch, as a view. */
export function batchOf(frame: Frame): Buffer | undefined {
  return sectionOf(frame, SECTION.BATCH);
}

/** To be called before a frame is applied. @throws FrameError "unknown-section" (architecture §7.12: this replica must stop) */
export function checkSections(frame: Frame): void {
  const { bytes } = frame;
  let position = FRAME_HEADER_BYTES;
  while (position < bytes.length) {
    const type = bytes.readUInt8(position);
    const ignorable = (bytes.readUInt8(position + 1) & IGNORABLE) !== 0;
    if (!ignorable && !KNOWN_SECTIONS.has(type)) {
      throw new FrameError(problemOf("unknown-section", 0, `section type ${type} is required`));
    }
    position += SECTION_HEADER_BYTES + bytes.readUInt32BE(position + 4);
  }
}

const KNOWN_SECTIONS: ReadonlySet<number> = new Set(Object.values(SECTION));

/** End of what headerCrc covers after the header; undefined when the sections do not fill the frame exactly. */
function coveredEnd(bytes: Buffer, position: number, length: number): number | undefined {
  const end = position + length;
  const count = bytes.readUInt32BE(position + 48);
  let at = position + FRAME_HEADER_BYTES;
  for (let number = 0; number < count; number += 1) {
    if (at + SECTION_HEADER_BYTES > end) return undefined;
    const from = at + SECTION_HEADER_BYTES;
    const next = from + bytes.readUInt32BE(at + 4);
    if (next > end) return undefined;
    if (bytes[at] === SECTION.BATCH) {
      const isLast = number === count - 1 && next === end;
      return isLast && next - from >= BATCH_HEADER_BYTES ? from + BATCH_COVERED_FROM : undefined;
    }
    at = next;
  }
  return at === end ? end : undefined;
}

function headerCrc(bytes: Buffer, position: number, coveredEndPosition: number): number {
  const header = crc32c(bytes.subarray(position, position + HEADER_CRC_POSITION));
  const from = position + FRAME_HEADER_BYTES;
  return coveredEndPosition === from
    ? header
    : crc32c(bytes.subarray(from, coveredEndPosition), header);
}

function writeHeader(bytes: Buffer, fields: FrameFields, length: number, sections: number): void {
  bytes.writeUInt16BE(FRAME_MAGIC, 0);
  bytes[2] = FRAME_VERSION;
  bytes[3] = KINDS.indexOf(fields.kind);
  bytes.writeUInt32BE(length, 4);
  writePosition(bytes, fields.index, 8);
  writePosition(bytes, fields.term, 16);
  writePosition(bytes, fields.baseOffset, 24);
  bytes.writeUInt32BE(fields.recordCount, 32);
  bytes.writeUInt32BE(fields.layoutEpoch, 36);
  writePosition(bytes, fields.appendTimeMs, 40);
  bytes.writeUInt32BE(sections, 48);
  bytes.writeUInt32BE(0, 52);
  bytes.writeUInt32BE(0, 56);
}

function writeSectionHeader(
  bytes: Buffer,
  position: number,
  type: number,
  isIgnorable: boolean,
  length: number,
): number {
  bytes[position] = type;
  bytes[position + 1] = isIgnorable ? IGNORABLE : 0;
  bytes.writeUInt16BE(0, position + 2);
  bytes.writeUInt32BE(length, position + 4);
  return position + SECTION_HEADER_BYTES;
}

function readHeader(
  bytes: Buffer,
  position: number,
  length: number,
  kind: FrameKind,
): Frame | FrameProblem {
  const fields: FrameFields = {
    kind,
    index: readPosition(bytes, position + 8),
    term: readPosition(bytes, position + 16),
    baseOffset: readPosition(bytes, position + 24),
    recordCount: bytes.readUInt32BE(position + 32),
    layoutEpoch: bytes.readUInt32BE(position + 36),
    appendTimeMs: readPosition(bytes, position + 40),
  };
  const { index, term, baseOffset, recordCount, appendTimeMs } = fields;
  // Sums of doubles above 2^53 are inexact but never fall back below it, so one check per number is enough.
  for (const value of [index, term, baseOffset + recordCount, appendTimeMs]) {
    if (!Number.isSafeInteger(value)) return problemOf("corrupt", position, "number out of range");
  }
  return makeFrame(fields, bytes.subarray(position, position + length));
}

/** One place makes frames, so that all have the same hidden class. */
function makeFrame(fields: FrameFields, bytes: Buffer): Frame {
  return {
    kind: fields.kind,
    index: fields.index,
    term: fields.term,
    baseOffset: fields.baseOffset,
    recordCount: fields.recordCount,
    layoutEpoch: fields.layoutEpoch,
    appendTimeMs: fields.appendTimeMs,
    bytes,
  };
}

function writePosition(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / TWO_32), at);
  bytes.writeUInt32BE(value % TWO_32, at + 4);
}

function readPosition(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
}

function problemOf(
  problem: FrameProblem["problem"],
  position: number,
  detail: string,
): FrameProblem {
  return { problem, position, detail };
}
