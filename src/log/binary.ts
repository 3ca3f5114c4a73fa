// Unsigned 64-bit numbers that are safe integers, big-endian: how all files of this room write positions.

const TWO_32 = 0x1_0000_0000;

/** Writes an integer in [0, 2^53 − 1] as 8 bytes. @throws RangeError otherwise */
export function writeU64(bytes: Buffer, value: number, at: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`no position: ${value}`);
  bytes.writeUInt32BE(Math.floor(value / TWO_32), at);
  bytes.writeUInt32BE(value % TWO_32, at + 4);
}

/** Reads 8 bytes; the result is not a safe integer when the bytes are damaged, callers check it with a checksum. */
export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
}
