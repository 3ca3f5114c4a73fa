// From keys to partitions: a key's hash names one of 4096 slots, a layout gives every slot to one partition
// (architecture decision 12). The hash is murmur2 as Kafka's clients use it; test vectors: test/model/slots.test.ts and
// docs/PROTOCOL.md.
import { SLOT_COUNT } from "./limits.ts";

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** murmur2, 32 bits, signed. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  let h = SEED ^ length;
  const blocks = length & ~3;
  for (let i = 0; i < blocks; i += 4) {
    let k =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    k = Math.imul(k, M);
    h = Math.imul(h, M) ^ k;
  }
  const tail = length & 3;
  if (tail === 3) h ^= (bytes[blocks + 2] as number) << 16;
  if (tail >= 2) h ^= (bytes[blocks + 1] as number) << 8;
  if (tail >= 1) h = Math.imul(h ^ (bytes[blocks] as number), M);
  h ^= h >>> 13;
  h = Math.imul(h, M);
  return (h ^ (h >>> 15)) | 0;
}

/** The slot of a key, [0, 4096). */
export function slotOf(key: Uint8Array): number {
  return (murmur2(key) & 0x7fffffff) % SLOT_COUNT;
}

/** Slots [from, to). */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

/** Who owns which slots, from an epoch on. */
export interface SlotLayout {
  /** From 1. */
  readonly epoch: number;
  /** Per partition its ranges; over all partitions every slot occurs exactly once. */
  readonly slots: readonly (readonly SlotRange[])[];
}

/** The first layout of a topic with `partitions` partitions: consecutive ranges whose sizes differ by at most one. */
export function initialLayout(partitions: number): SlotLayout {
  const slots: SlotRange[][] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    const from = Math.floor((partition * SLOT_COUNT) / partitions);
    const to = Math.floor(((partition + 1) * SLOT_COUNT) / partitions);
    slots.push(to > from ? [{ from, to }] : []);
  }
  return { epoch: 1, slots };
}

/** The partition that owns the slot; 0 where nobody does. */
export function partitionOfSlot({ slots }: SlotLayout, slot: number): number {
  const owner = slots.findIndex((ranges) =>
    ranges.some((range) => slot >= range.from && slot < range.to),
  );
  return Math.max(owner, 0);
}

/** Slot → partition, for lookups per message; −1 where nobody owns the slot. */
export function slotTable(slots: readonly (readonly SlotRange[])[]): Int32Array {
  const table = new Int32Array(SLOT_COUNT).fill(-1);
  slots.forEach((ranges, partition) => {
    for (const { from, to } of ranges) table.fill(partition, from, to);
  });
  return table;
}
