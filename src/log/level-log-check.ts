// Is a log file of LevelDB whole? LevelDB passes over damaged records of it when it opens a database, and goes on with those
// that come after: the store would lack rows in between. Pure; level-store.ts asks before it opens one.
//
// Format (LevelDB's doc/log_format.md): blocks of 32 KiB with records, none across two blocks; fewer than 7 bytes at the end of a
// block are zero. A record: u32 checksum (masked CRC-32C over type and data), u16 bytes of data, u8 type, data; little-endian.
import { crc32c } from "../base/crc32c.ts";

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const TYPE_POSITION = 6;
const TYPE = { full: 1, first: 2, middle: 3, last: 4 } as const;
const MASK_DELTA = 0xa282ead8;

/**
 * False also for a file that ends inside a record. A process that was killed while it wrote may leave one, but a length that
 * is wrong looks the same.
 */
export function isWholeLevelLog(bytes: Buffer): boolean {
  let isInside = false;
  let at = 0;
  while (at < bytes.length) {
    const left = Math.min(BLOCK_BYTES - (at % BLOCK_BYTES), bytes.length - at);
    if (left < HEADER_BYTES) {
      if (at % BLOCK_BYTES < BLOCK_BYTES - HEADER_BYTES || !isZero(bytes, at, left)) return false;
      at += left;
      continue;
    }
    const length = HEADER_BYTES + bytes.readUInt16LE(at + 4);
    if (length > left) return false;
    const type = bytes.readUInt8(at + TYPE_POSITION);
    const isContinued = type === TYPE.middle || type === TYPE.last;
    if (type < TYPE.full || type > TYPE.last || isContinued !== isInside) return false;
    const checksum = crc32c(bytes.subarray(at + TYPE_POSITION, at + length));
    if (bytes.readUInt32LE(at) !== masked(checksum)) return false;
    isInside = type === TYPE.first || type === TYPE.middle;
    at += length;
  }
  return !isInside;
}

function masked(checksum: number): number {
  return (((checksum >>> 15) | (checksum << 17)) + MASK_DELTA) >>> 0;
}

function isZero(bytes: Buffer, from: number, length: number): boolean {
  return bytes.subarray(from, from + length).every((byte) => byte === 0);
}
