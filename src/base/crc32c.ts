// CRC-32C (Castagnoli), the checksum of record batches, entry frames and every other file of ours.
import { crc32c as native } from "@node-rs/crc32";

/**
 * Up to here the table is faster than the way into native code; and V8 keeps arrays of this length in its heap, from where
 * each would be moved out for native code to see it.
 */
const SHORT_BYTES = 64;
/** 0x1EDC6F41, bits reversed (RFC 3720, B.4). */
const POLYNOMIAL = 0x82f63b78;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    remainder = (remainder & 1) === 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
  }
  return remainder;
});

/** CRC-32C of `bytes`, continuing from `seed` (0 to begin). Unsigned 32-bit. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return bytes.length > SHORT_BYTES ? native(bytes, seed) : short(bytes, seed);
}

function short(bytes: Uint8Array, seed: number): number {
  let remainder = ~seed;
  for (let at = 0; at < bytes.length; at += 1) {
    const index = (remainder ^ (bytes[at] as number)) & 0xff;
    remainder = (TABLE[index] as number) ^ (remainder >>> 8);
  }
  return ~remainder >>> 0;
}
