// CRC-32C (Castagnoli), the checksum of record batches, entry frames and every other file of ours.
import { crc32c as native } from "@node-rs/crc32";

/** CRC-32C of `bytes`, continuing from `seed` (0 to begin). Unsigned 32-bit. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return native(bytes, seed);
}
