// Kafka's record batch v2: the header's layout, its checks and the two fields that a leader patches. The batch is opaque
// to brokers apart from this header (architecture decision 3). Records are encoded by record-batch-builder.ts and decoded
// by record-batch-decoder.ts. Numbers are big-endian.
//
//   0 i64 baseOffset        8 i32 batchLength (bytes after this field)   12 i32 partitionLeaderEpoch
//  16 i8  magic (2)        17 u32 crc: CRC-32C over [21, end)            21 i16 attributes
//  23 i32 lastOffsetDelta  27 i64 baseTimestamp  35 i64 maxTimestamp     43 i64 producerId (−1: none)
//  51 i16 producerEpoch    53 i32 baseSequence   57 i32 recordCount      61 records
import { crc32c } from "../base/crc32c.ts";

export const BATCH_HEADER_BYTES = 61;
const MAGIC = 2;
const CRC_POSITION = 17;
const CRC_FROM = 21;
const LENGTH_OVERHEAD = 12;
/** Attribute bits 0–2. */
const COMPRESSION_MASK = 0b111;
const CONTROL_BIT = 0b10_0000;
/** Positions of what {@link rewriteProducer} changes. */
const PRODUCER_ID_POSITION = 43;

/** Fields of one batch's header. */
export interface BatchHeader {
  readonly baseOffset: number;
  /** Bytes of the whole batch, header included. */
  readonly bytes: number;
  readonly leaderEpoch: number;
  readonly attributes: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  /** 0: none (−1 on the wire). */
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Sequence of the first record; −1 without producer. */
  readonly baseSequence: number;
  readonly recordCount: number;
  /** Offset of the last record less the base offset: recordCount − 1 wherever no records were left out. */
  readonly lastOffsetDelta: number;
}

export interface BatchProblem {
  readonly reason: "CORRUPT_BATCH" | "MALFORMED_BATCH";
  readonly field: string;
}

/** Reads the header at `position`; undefined when fewer bytes than a header are left. Nothing is checked. */
export function readBatchHeader(bytes: Buffer, position = 0): BatchHeader | undefined {
  if (bytes.length - position < BATCH_HEADER_BYTES) return undefined;
  const producerId = readInt64(bytes, position + 43);
  return {
    baseOffset: readInt64(bytes, position),
    bytes: bytes.readInt32BE(position + 8) + LENGTH_OVERHEAD,
    leaderEpoch: bytes.readInt32BE(position + 12),
    attributes: bytes.readInt16BE(position + 21),
    baseTimestampMs: readInt64(bytes, position + 27),
    maxTimestampMs: readInt64(bytes, position + 35),
    producerId: Math.max(producerId, 0),
    producerEpoch: bytes.readInt16BE(position + 51),
    baseSequence: bytes.readInt32BE(position + 53),
    recordCount: bytes.readInt32BE(position + 57),
    lastOffsetDelta: bytes.readInt32BE(position + 23),
  };
}

/**
 * Checks one whole batch as it came from a producer: exact length, version, counts, checksum. The records inside are
 * not decoded; what they say is between producer and consumer.
 */
export function checkBatch(bytes: Buffer): BatchProblem | undefined {
  const problem = checkSelection(bytes);
  if (problem !== undefined) return problem;
  const hasAll = bytes.readInt32BE(23) === bytes.readInt32BE(57) - 1;
  return hasAll ? undefined : { reason: "MALFORMED_BATCH", field: "lastOffsetDelta" };
}

/** As checkBatch, for what a broker delivers: records may have been left out (record-batch-selection.ts). */
export function checkSelection(bytes: Buffer): BatchProblem | undefined {
  const header = readBatchHeader(bytes);
  if (header === undefined) return { reason: "MALFORMED_BATCH", field: "batchLength" };
  if (header.bytes !== bytes.length) return { reason: "MALFORMED_BATCH", field: "batchLength" };
  if (bytes.readInt8(16) !== MAGIC) return { reason: "MALFORMED_BATCH", field: "magic" };
  if (bytes.readUInt32BE(CRC_POSITION) !== crc32c(bytes.subarray(CRC_FROM))) {
    return { reason: "CORRUPT_BATCH", field: "crc" };
  }
  const field = inconsistentField(bytes, header);
  return field === undefined ? undefined : { reason: "MALFORMED_BATCH", field };
}

function inconsistentField(bytes: Buffer, header: BatchHeader): string | undefined {
  if (header.recordCount < 1) return "recordCount";
  // Seven bytes are the smallest possible record.
  if (header.recordCount > (bytes.length - BATCH_HEADER_BYTES) / 7) return "recordCount";
  if (header.lastOffsetDelta < header.recordCount - 1) return "lastOffsetDelta";
  if ((header.attributes & COMPRESSION_MASK) !== 0) return "attributes.compression";
  if ((header.attributes & CONTROL_BIT) !== 0) return "attributes.control";
  // Log append times and transaction marks of the format are not used; no bit may get a meaning by accident.
  if (header.attributes !== 0) return "attributes";
  if (!Number.isSafeInteger(header.producerId)) return "producerId";
  if (header.producerId !== 0) {
    if (header.baseSequence < 0) return "baseSequence";
    if (header.producerEpoch < 0) return "producerEpoch";
  }
  if (!Number.isSafeInteger(header.baseTimestampMs)) return "baseTimestamp";
  if (!Number.isSafeInteger(header.maxTimestampMs)) return "maxTimestamp";
  return undefined;
}

/** Writes the two fields that the checksum leaves out; the leader does this when it appends. */
export function patchBatch(bytes: Buffer, baseOffset: number, leaderEpoch: number): void {
  writeInt64(bytes, baseOffset, 0);
  bytes.writeInt32BE(leaderEpoch, 12);
}

/**
 * Gives a batch another producer session and sequence and renews its checksum. Only for a batch that is certainly not
 * stored under its former identity: otherwise it could be stored twice.
 */
export function rewriteProducer(
  bytes: Buffer,
  producerId: number,
  producerEpoch: number,
  baseSequence: number,
): void {
  writeProducer(bytes, producerId, producerEpoch, baseSequence);
  bytes.writeUInt32BE(crc32c(bytes.subarray(CRC_FROM)), CRC_POSITION);
}

/**
 * Makes a header right for fewer records: `bytes` begin with the header of the batch that they were taken from. Offsets stay,
 * because records count theirs from the base offset.
 */
export function rewriteRecordCount(bytes: Buffer, recordCount: number): void {
  bytes.writeInt32BE(bytes.length - LENGTH_OVERHEAD, 8);
  bytes.writeInt32BE(recordCount, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(CRC_FROM)), CRC_POSITION);
}

/** Writes a whole header (crc last); used by the builder. `records` already stand behind it. */
export function writeBatchHeader(
  bytes: Buffer,
  fields: {
    readonly recordCount: number;
    readonly baseTimestampMs: number;
    readonly maxTimestampMs: number;
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly baseSequence: number;
  },
): void {
  writeInt64(bytes, 0, 0);
  bytes.writeInt32BE(bytes.length - LENGTH_OVERHEAD, 8);
  bytes.writeInt32BE(-1, 12);
  bytes.writeInt8(MAGIC, 16);
  bytes.writeInt16BE(0, 21);
  bytes.writeInt32BE(fields.recordCount - 1, 23);
  writeInt64(bytes, fields.baseTimestampMs, 27);
  writeInt64(bytes, fields.maxTimestampMs, 35);
  writeProducer(bytes, fields.producerId, fields.producerEpoch, fields.baseSequence);
  bytes.writeInt32BE(fields.recordCount, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(CRC_FROM)), CRC_POSITION);
}

function writeProducer(bytes: Buffer, producerId: number, epoch: number, sequence: number): void {
  const isKnown = producerId !== 0;
  writeInt64(bytes, isKnown ? producerId : -1, PRODUCER_ID_POSITION);
  bytes.writeInt16BE(isKnown ? epoch : -1, PRODUCER_ID_POSITION + 8);
  bytes.writeInt32BE(isKnown ? sequence : -1, PRODUCER_ID_POSITION + 10);
}

function readInt64(bytes: Buffer, position: number): number {
  return bytes.readInt32BE(position) * 0x1_0000_0000 + bytes.readUInt32BE(position + 4);
}

function writeInt64(bytes: Buffer, value: number, position: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  bytes.writeInt32BE(high, position);
  bytes.writeUInt32BE(value - high * 0x1_0000_0000, position + 4);
}
