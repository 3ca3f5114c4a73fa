// Frames for tests of the storage room: small, deterministic, with a batch whose own checksum is right.
import { crc32c } from "../../src/base/crc32c.ts";
import {
  encodeFrame,
  type Frame,
  type FrameKind,
  type FrameSection,
  SECTION,
} from "../../src/model/entry-frame.ts";

export interface FrameDraft {
  readonly index: number;
  readonly term?: number;
  readonly baseOffset?: number;
  /** 0: no batch. */
  readonly recordCount?: number;
  readonly kind?: FrameKind;
  readonly appendTimeMs?: number;
  /** Bytes of records behind the batch header. */
  readonly bytes?: number;
  /** Fills the records, so that frames of the same index can differ. */
  readonly fill?: number;
}

/** Record batch v2 with `bytes` arbitrary bytes for records. */
export function batchBytes(recordCount: number, bytes: number, fill: number): Buffer {
  const batch = Buffer.alloc(61 + bytes, fill);
  batch.fill(0, 0, 61);
  batch.writeInt32BE(batch.length - 12, 8);
  batch[16] = 2;
  batch.writeInt32BE(recordCount - 1, 23);
  batch.writeInt32BE(recordCount, 57);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

/** By default one record per entry, so that offset = index − 1. */
export function frame(draft: FrameDraft): Frame {
  const { index, term = 1, recordCount = 1, kind = "data", bytes = 40, fill = index } = draft;
  const sections: FrameSection[] = [];
  if (recordCount > 0) {
    const batch = batchBytes(recordCount, bytes, fill % 251);
    sections.push({ type: SECTION.BATCH, ignorable: false, bytes: batch });
  }
  const { baseOffset = index - 1, appendTimeMs = 1_000 + index } = draft;
  const fields = { kind, index, term, baseOffset, recordCount, layoutEpoch: 1, appendTimeMs };
  return encodeFrame(fields, sections);
}

/** Frames `from` … `last`, each with one record. */
export function run(from: number, last: number, more: Omit<FrameDraft, "index"> = {}): Frame[] {
  const frames: Frame[] = [];
  for (let index = from; index <= last; index += 1) frames.push(frame({ ...more, index }));
  return frames;
}
