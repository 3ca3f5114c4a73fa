// How failures and parked keys of a subscription stand in the keyed state (docs/STORAGE-FORMAT.md). Numbers are big-endian;
// doubles hold times and positions exactly, because these are safe integers. Called by the tables only.
//
//   failure  key <prefix><offset, 14 hex digits>
//            0 u8 version (1)   1 u8 flags: 1 dead   2 u16 attempts   4 u32 failed   8 f64 notBefore, ms
//            16 per attempt: f64 time, ms   u8 cause: 1 nack, 2 reject, 3 deadline, 4 session lost   u8 0   u16 length   UTF-8
//   parked   the same key
//            0 u8 version (1)   1 u8 flags: 1 has a key, 2 scope is the partition   2 6 bytes 0   8 f64 since, ms   16 the key
import type { Offset } from "../model/positions.ts";
import type { FailedAttempt, FailureCause, ParkUpdate } from "./delivery-commands.ts";

/** A message that failed and is not settled. */
export interface Failure {
  readonly offset: Offset;
  /** How often it failed, also beyond what `attempts` remembers. */
  readonly failed: number;
  /** Not handed out before, ms since 1970. */
  readonly notBeforeMs: number;
  /** Failed for good: never handed out again, waits for its move to the dead letter topic. */
  readonly isDead: boolean;
  /** Newest last, at most ATTEMPTS_KEPT of the failure table. */
  readonly attempts: readonly FailedAttempt[];
}

const VERSION = 1;
const HEADER_BYTES = 16;
const ATTEMPT_BYTES = 12;
const OFFSET_DIGITS = 14;
const CAUSES: readonly FailureCause[] = ["nack", "reject", "deadline", "session-lost"];

const DEAD = 1;
const HAS_KEY = 1;
const PARTITION = 2;

export function offsetKey(prefix: string, offset: Offset): string {
  return `${prefix}${offset.toString(16).padStart(OFFSET_DIGITS, "0")}`;
}

/** @throws TypeError for a key that offsetKey never gives */
export function offsetOfKey(prefix: string, key: string): Offset {
  const offset = Number.parseInt(key.slice(prefix.length), 16);
  if (offsetKey(prefix, offset) !== key) throw new TypeError(`no offset of a subscription: ${key}`);
  return offset;
}

export function encodeFailure({ failed, notBeforeMs, isDead, attempts }: Failure): Uint8Array {
  const texts = attempts.map(({ error }) => Buffer.from(error, "utf8"));
  const length = texts.reduce((sum, text) => sum + ATTEMPT_BYTES + text.length, HEADER_BYTES);
  const value = Buffer.alloc(length);
  value[0] = VERSION;
  value[1] = isDead ? DEAD : 0;
  value.writeUInt16BE(attempts.length, 2);
  value.writeUInt32BE(failed, 4);
  value.writeDoubleBE(notBeforeMs, 8);
  let position = HEADER_BYTES;
  for (const [number, { timeMs, cause }] of attempts.entries()) {
    const text = texts[number] ?? Buffer.alloc(0);
    value.writeDoubleBE(timeMs, position);
    value[position + 8] = CAUSES.indexOf(cause) + 1;
    value.writeUInt16BE(text.length, position + 10);
    position += ATTEMPT_BYTES + text.copy(value, position + ATTEMPT_BYTES);
  }
  return value;
}

/** @throws TypeError for a value that encodeFailure never gives */
export function decodeFailure(offset: Offset, bytes: Uint8Array): Failure {
  const value = checkedValue(bytes, "failure");
  const attempts: FailedAttempt[] = [];
  let position = HEADER_BYTES;
  for (let left = value.readUInt16BE(2); left > 0; left -= 1) {
    if (position + ATTEMPT_BYTES > value.length) throw new TypeError("a failure is cut off");
    const cause = CAUSES[(value[position + 8] ?? 0) - 1];
    const end = position + ATTEMPT_BYTES + value.readUInt16BE(position + 10);
    if (cause === undefined || end > value.length) throw new TypeError("a failure is malformed");
    const error = value.toString("utf8", position + ATTEMPT_BYTES, end);
    attempts.push({ timeMs: value.readDoubleBE(position), cause, error });
    position = end;
  }
  if (position !== value.length) throw new TypeError("a failure is too long");
  return {
    offset,
    failed: value.readUInt32BE(4),
    notBeforeMs: value.readDoubleBE(8),
    isDead: value[1] === DEAD,
    attempts,
  };
}

export function encodeParked({ key, scope, sinceMs }: ParkUpdate): Uint8Array {
  const value = Buffer.alloc(HEADER_BYTES + (key?.length ?? 0));
  value[0] = VERSION;
  value[1] = (key === undefined ? 0 : HAS_KEY) | (scope === "partition" ? PARTITION : 0);
  value.writeDoubleBE(sinceMs, 8);
  key?.copy(value, HEADER_BYTES);
  return value;
}

/** @throws TypeError for a value that encodeParked never gives */
export function decodeParked(offset: Offset, bytes: Uint8Array): ParkUpdate {
  const value = checkedValue(bytes, "parked key");
  const flags = value[1] ?? 0;
  const hasKey = (flags & HAS_KEY) !== 0;
  if (!hasKey && value.length > HEADER_BYTES) throw new TypeError("a parked key is malformed");
  return {
    offset,
    key: hasKey ? Buffer.from(value.subarray(HEADER_BYTES)) : undefined,
    scope: (flags & PARTITION) === 0 ? "key" : "partition",
    sinceMs: value.readDoubleBE(8),
  };
}

function checkedValue(bytes: Uint8Array, what: string): Buffer {
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (value.length < HEADER_BYTES || value[0] !== VERSION) {
    throw new TypeError(`unknown form of a subscription's ${what}`);
  }
  return value;
}
