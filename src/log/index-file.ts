// The index file beside a sealed segment: saves the scan at the next start. It is a cache: missing, damaged or not
// matching its segment, it is ignored and made again. Layout (big-endian):
//    0 u32 magic "FLIX"   4 u16 version (1)   6 u16 reserved
//    8 u64 group id  16 u64 first index  24 u32 generation  28 u32 reserved
//   32 u64 last index  40 u64 last term  48 u64 next offset  56 u64 newest appendTime
//   64 u64 segment bytes  72 u64 position of the last frame
//   80 u32 sparse entries  84 u32 term runs  88 u32 membership entries  92 u32 reserved
//   96 sparse { u64 index, u64 position, u64 offset, u64 time }, runs { u64 term, u64 from }, memberships { u64 }
//   at the end u32 CRC-32C over all before it
import { crc32c } from "../base/crc32c.ts";
import { readU64, writeU64 } from "./binary.ts";
import type { SegmentHeader } from "./segment-format.ts";
import type { SegmentIndex, SegmentSummary, SparseEntry, TermRun } from "./segment-index.ts";

const INDEX_MAGIC = 0x464c4958;
const INDEX_VERSION = 1;
const FIXED_BYTES = 96;
const CRC_BYTES = 4;

export function encodeIndexFile(index: SegmentIndex): Buffer {
  const { header, sparse, termRuns, memberships } = index;
  const words = sparse.length * 4 + termRuns.length * 2 + memberships.length;
  const bytes = Buffer.alloc(FIXED_BYTES + words * 8 + CRC_BYTES);
  bytes.writeUInt32BE(INDEX_MAGIC, 0);
  bytes.writeUInt16BE(INDEX_VERSION, 4);
  writeU64(bytes, header.groupId, 8);
  writeU64(bytes, header.firstIndex, 16);
  bytes.writeUInt32BE(header.generation, 24);
  writeU64(bytes, index.lastIndex, 32);
  writeU64(bytes, index.lastTerm, 40);
  writeU64(bytes, index.nextOffset, 48);
  writeU64(bytes, index.lastAppendTimeMs, 56);
  writeU64(bytes, index.end, 64);
  writeU64(bytes, index.lastPosition, 72);
  bytes.writeUInt32BE(sparse.length, 80);
  bytes.writeUInt32BE(termRuns.length, 84);
  bytes.writeUInt32BE(memberships.length, 88);
  let at = FIXED_BYTES;
  const put = (value: number): void => {
    writeU64(bytes, value, at);
    at += 8;
  };
  for (const entry of sparse)
    [entry.index, entry.position, entry.offset, entry.timeMs].forEach(put);
  for (const run of termRuns) [run.term, run.from].forEach(put);
  memberships.forEach(put);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, at)), at);
  return bytes;
}

/** Undefined when the bytes are damaged, of another version, or do not belong to this segment. */
export function decodeIndexFile(bytes: Buffer, header: SegmentHeader): SegmentSummary | undefined {
  const end = bytes.length - CRC_BYTES;
  if (end < FIXED_BYTES || bytes.readUInt32BE(0) !== INDEX_MAGIC) return undefined;
  if (crc32c(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) return undefined;
  if (bytes.readUInt16BE(4) !== INDEX_VERSION || bytes.readUInt32BE(24) !== header.generation) {
    return undefined;
  }
  if (readU64(bytes, 8) !== header.groupId || readU64(bytes, 16) !== header.firstIndex) {
    return undefined;
  }
  let at = FIXED_BYTES;
  const next = (): number => {
    at += 8;
    return readU64(bytes, at - 8);
  };
  const sparse = repeat(bytes.readUInt32BE(80), (): SparseEntry => {
    return { index: next(), position: next(), offset: next(), timeMs: next() };
  });
  const termRuns = repeat(bytes.readUInt32BE(84), (): TermRun => {
    return { term: next(), from: next() };
  });
  const memberships = repeat(bytes.readUInt32BE(88), next);
  return {
    lastIndex: readU64(bytes, 32),
    lastTerm: readU64(bytes, 40),
    nextOffset: readU64(bytes, 48),
    lastAppendTimeMs: readU64(bytes, 56),
    end: readU64(bytes, 64),
    lastPosition: readU64(bytes, 72),
    sparse,
    termRuns,
    memberships,
  };
}

function repeat<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
