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
import type { LogIndex, Offset, Term } from "./positions.ts";

export const FRAME_HEADER_BYTES = 64;
export const SECTION_HEADER_BYTES = 8;
export const FRAME_MAGIC = 0x464c;
export const FRAME_VERSION = 1;

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
