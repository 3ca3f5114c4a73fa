// Keys and values of the load. A value is recognizable by its running number, and every byte of it can be checked.

export const VALUE_BYTES = 124;
export const KEY_COUNT = 600;

const FILLER = Buffer.alloc(VALUE_BYTES);
for (let i = 0; i < VALUE_BYTES; i += 1) FILLER[i] = 97 + ((i * 7) % 26);

const KEYS: readonly Buffer[] = Array.from({ length: KEY_COUNT }, (_, i) =>
  Buffer.from(`key-${i}`),
);
const SLOTS: ReadonlyMap<string, number> = new Map(KEYS.map((key, slot) => [key.toString(), slot]));

/** @param slot 0 … KEY_COUNT − 1 */
export function keyOf(slot: number): Buffer {
  return KEYS[slot] ?? Buffer.from(`key-${slot}`);
}

/** −1 when it is none of ours. */
export function slotOf(key: Uint8Array | undefined): number {
  return SLOTS.get(Buffer.from(key ?? []).toString()) ?? -1;
}

/** A fresh buffer for send number `n`. */
export function valueFor(n: number): Buffer {
  const value = Buffer.from(FILLER);
  value.writeDoubleBE(n, 0);
  return value;
}

/** The send number in it; undefined when any byte differs from what that send had. */
export function sendNumberOf(value: Uint8Array | undefined): number | undefined {
  if (value === undefined || value.length !== VALUE_BYTES) return undefined;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.compare(FILLER, 8, VALUE_BYTES, 8, VALUE_BYTES) !== 0) return undefined;
  const n = bytes.readDoubleBE(0);
  return Number.isSafeInteger(n) && n >= 0 ? n : undefined;
}
