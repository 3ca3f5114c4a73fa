// File names and the header of a segment. Layout (big-endian, 64 bytes), then entry frames without gaps:
//    0 u32 magic "FLSG"     4 u16 version (1)   6 u16 header bytes (64)
//    8 u64 group id        16 u64 index of the first frame
//   24 u64 term of the entry before it          32 u64 offset of the first record
//   40 u64 appendTime of the entry before it    48 u32 generation: grows with every reset of the log
//   52 u64 reserved (0)    60 u32 CRC-32C over [0, 60)
// Called by the segment log and its recovery.
import { crc32c } from "../base/crc32c.ts";
import type { GroupId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import { readU64, writeU64 } from "./binary.ts";

export const SEGMENT_HEADER_BYTES = 64;
export const SEGMENT_VERSION = 1;
const SEGMENT_MAGIC = 0x464c5347;
const CRC_POSITION = 60;
const NAME_DIGITS = 20;

export interface SegmentHeader {
  readonly groupId: GroupId;
  readonly firstIndex: LogIndex;
  readonly prevTerm: Term;
  readonly baseOffset: Offset;
  readonly prevAppendTimeMs: number;
  readonly generation: number;
}

/** torn: fewer bytes than a header. corrupt: magic or checksum. version: a newer program wrote it. */
export interface HeaderProblem {
  readonly problem: "torn" | "corrupt" | "version";
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.writeUInt32BE(SEGMENT_MAGIC, 0);
  bytes.writeUInt16BE(SEGMENT_VERSION, 4);
  bytes.writeUInt16BE(SEGMENT_HEADER_BYTES, 6);
  writeU64(bytes, header.groupId, 8);
  writeU64(bytes, header.firstIndex, 16);
  writeU64(bytes, header.prevTerm, 24);
  writeU64(bytes, header.baseOffset, 32);
  writeU64(bytes, header.prevAppendTimeMs, 40);
  bytes.writeUInt32BE(header.generation, 48);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, CRC_POSITION)), CRC_POSITION);
  return bytes;
}

export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | HeaderProblem {
  if (bytes.length < SEGMENT_HEADER_BYTES) return { problem: "torn" };
  const checksum = crc32c(bytes.subarray(0, CRC_POSITION));
  if (bytes.readUInt32BE(0) !== SEGMENT_MAGIC || checksum !== bytes.readUInt32BE(CRC_POSITION)) {
    return { problem: "corrupt" };
  }
  if (bytes.readUInt16BE(4) !== SEGMENT_VERSION) return { problem: "version" };
  return {
    groupId: readU64(bytes, 8) as GroupId,
    firstIndex: readU64(bytes, 16),
    prevTerm: readU64(bytes, 24),
    baseOffset: readU64(bytes, 32),
    prevAppendTimeMs: readU64(bytes, 40),
    generation: bytes.readUInt32BE(48),
  };
}

/** 20 digits, so that names sort as numbers do. */
export function segmentName(firstIndex: LogIndex): string {
  return `${String(firstIndex).padStart(NAME_DIGITS, "0")}.seg`;
}

export function indexFileName(firstIndex: LogIndex): string {
  return `${String(firstIndex).padStart(NAME_DIGITS, "0")}.idx`;
}

/** An empty file that says: entries of this segment are damaged. */
export function damageMarkName(firstIndex: LogIndex): string {
  return `${String(firstIndex).padStart(NAME_DIGITS, "0")}.damaged`;
}

/** The first index in a segment's or index file's name; undefined for any other name. */
export function indexOfName(name: string, extension: "seg" | "idx"): LogIndex | undefined {
  const match = /^(\d{20})\.(seg|idx)$/.exec(name);
  return match?.[2] === extension ? Number(match[1]) : undefined;
}
