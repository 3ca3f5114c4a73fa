// The bytes of the hard-state journal (docs/STORAGE-FORMAT.md), big-endian:
//   header: u32 magic "FLHJ", u16 version (1), u16 reserved, u32 reserved, u32 CRC-32C over [0, 12)
//   records: u32 payload bytes, u32 CRC-32C over length and payload, payload
// Payload by its first byte: 1 opened { u64 incarnation, boot id UTF-8 } · 2 hard state (46 bytes, topic id) · 3 closed cleanly ·
// 4 synced { u32 bytes of the file }. Called by hard-state-journal.ts only.
import { crc32c } from "../base/crc32c.ts";
import type { GroupId, ReplicaId, TopicId } from "../model/ids.ts";
import { readU64, writeU64 } from "./binary.ts";
import type { HardStateRecord } from "./ports.ts";

export const JOURNAL_MAGIC = 0x464c484a;
export const JOURNAL_VERSION = 1;
export const HEADER_BYTES = 16;
export const RECORD_HEADER_BYTES = 8;
/** Longer ones are damage. */
const PAYLOAD_BYTES_MAX = 1024;
const HARD_STATE_BYTES = 46;
/** With the id of its topic, a UUID's text. */
export const HARD_STATE_BYTES_TYPICAL: number = HARD_STATE_BYTES + 36;
const SYNCED_END_POSITION = 2;
const SYNCED_BYTES = 5;

export const OPENED = 1;
export const HARD_STATE = 2;
export const CLOSED = 3;
/** Written after a sync, for the records before it; synced with the next ones. */
export const SYNCED = 4;
const RECOVERING = 1;
const LAZY = 2;
const REMOVED = 4;
const UNRECOVERED = 8;

/** Whether a record was written when the file was synced beyond `position`. */
export function provesSynced(payload: Buffer, position: number): boolean {
  if (payload[0] === SYNCED && payload.length === SYNCED_BYTES) {
    return payload.readUInt32BE(1) > position;
  }
  if (payload[0] !== HARD_STATE || payload.length < HARD_STATE_BYTES) return true;
  const syncedEnd = payload.readUInt32BE(SYNCED_END_POSITION);
  return syncedEnd === 0 || syncedEnd > position;
}

export function payloadAt(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length - at < RECORD_HEADER_BYTES) return undefined;
  const length = bytes.readUInt32BE(at);
  const from = at + RECORD_HEADER_BYTES;
  if (length === 0 || length > PAYLOAD_BYTES_MAX || from + length > bytes.length) return undefined;
  const payload = bytes.subarray(from, from + length);
  const isIntact = checksum(bytes.subarray(at, at + 4), payload) === bytes.readUInt32BE(at + 4);
  return isIntact ? payload : undefined;
}

function checksum(length: Buffer, payload: Buffer): number {
  return crc32c(payload, crc32c(length));
}

export function encodeHeader(): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32BE(JOURNAL_MAGIC, 0);
  bytes.writeUInt16BE(JOURNAL_VERSION, 4);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, 12)), 12);
  return bytes;
}

export function encodeRecord(payload: Buffer): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  bytes.writeUInt32BE(checksum(bytes.subarray(0, 4), payload), 4);
  payload.copy(bytes, RECORD_HEADER_BYTES);
  return bytes;
}

export function encodeSynced(end: number): Buffer {
  const bytes = Buffer.alloc(SYNCED_BYTES);
  bytes[0] = SYNCED;
  bytes.writeUInt32BE(Math.min(end, 0xffff_ffff), 1);
  return bytes;
}

export function encodeOpened(incarnation: number, bootId: string): Buffer {
  const text = Buffer.from(bootId, "utf8");
  const bytes = Buffer.alloc(9 + text.length);
  bytes[0] = OPENED;
  writeU64(bytes, incarnation, 1);
  text.copy(bytes, 9);
  return bytes;
}

export function decodeOpened(payload: Buffer): { incarnation: number; bootId: string } {
  return { incarnation: readU64(payload, 1), bootId: payload.toString("utf8", 9) };
}

/** u8 type, u8 flags, u32 synced end (0: among the first records of the file), u64 group, u64 replica, u64 term, u64 vote, u64 durable commit index, topic id UTF-8. */
export function encodeHardState(record: HardStateRecord, syncedEnd: number): Buffer {
  const topicId = Buffer.from(record.topicId ?? "", "utf8");
  const bytes = Buffer.alloc(HARD_STATE_BYTES + topicId.length);
  const { recovering, lazy, removed, unrecovered } = record;
  bytes[0] = HARD_STATE;
  bytes[1] =
    (recovering ? RECOVERING : 0) |
    (lazy ? LAZY : 0) |
    (removed ? REMOVED : 0) |
    (unrecovered ? UNRECOVERED : 0);
  bytes.writeUInt32BE(Math.min(syncedEnd, 0xffff_ffff), SYNCED_END_POSITION);
  writeU64(bytes, record.groupId, 6);
  writeU64(bytes, record.replicaId, 14);
  writeU64(bytes, record.term, 22);
  writeU64(bytes, record.vote, 30);
  writeU64(bytes, record.durableCommitIndex, 38);
  topicId.copy(bytes, HARD_STATE_BYTES);
  return bytes;
}

export function decodeHardState(payload: Buffer): HardStateRecord {
  const flags = payload.readUInt8(1);
  const topicId = payload.toString("utf8", HARD_STATE_BYTES);
  return {
    groupId: readU64(payload, 6) as GroupId,
    replicaId: readU64(payload, 14) as ReplicaId,
    term: readU64(payload, 22),
    vote: readU64(payload, 30) as ReplicaId | 0,
    recovering: (flags & RECOVERING) !== 0,
    lazy: (flags & LAZY) !== 0,
    durableCommitIndex: readU64(payload, 38),
    unrecovered: (flags & UNRECOVERED) !== 0,
    removed: (flags & REMOVED) !== 0,
    ...(topicId === "" ? {} : { topicId: topicId as TopicId }),
  };
}
