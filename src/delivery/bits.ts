// Runs of bits in words of 32: what the tables of offsets are made of. Pure.

export const ALL_BITS = 0xffff_ffff;

/** Bits [from, to) of a word; 0 ≤ from < to ≤ 32. */
export function bitsBetween(from: number, to: number): number {
  const upTo = to === 32 ? ALL_BITS : (1 << to) - 1;
  return (upTo & ~((1 << from) - 1)) >>> 0;
}

export function countBits(word: number): number {
  let sum = word - ((word >>> 1) & 0x5555_5555);
  sum = (sum & 0x3333_3333) + ((sum >>> 2) & 0x3333_3333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** Index of the lowest bit; the word is not 0. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

export function hasBit(words: Uint32Array, bit: number): boolean {
  return ((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
}

/** Sets bits [from, to). @returns how many were not set */
export function setBits(words: Uint32Array, from: number, to: number): number {
  let added = 0;
  for (let bit = from; bit < to; ) {
    const word = bit >>> 5;
    const end = Math.min(to, (word + 1) << 5);
    const mask = bitsBetween(bit & 31, end - (word << 5));
    const before = words[word] ?? 0;
    added += countBits(mask & ~before);
    words[word] = before | mask;
    bit = end;
  }
  return added;
}

/** Clears bits [from, to). @returns how many were set */
export function clearBits(words: Uint32Array, from: number, to: number): number {
  let removed = 0;
  for (let bit = from; bit < to; ) {
    const word = bit >>> 5;
    const end = Math.min(to, (word + 1) << 5);
    const mask = bitsBetween(bit & 31, end - (word << 5));
    const before = words[word] ?? 0;
    removed += countBits(mask & before);
    words[word] = before & ~mask;
    bit = end;
  }
  return removed;
}

/** The lowest bit ≥ from that is set; `to` when there is none below it. */
export function nextSetBit(words: Uint32Array, from: number, to: number): number {
  for (let bit = from; bit < to; bit = ((bit >>> 5) + 1) << 5) {
    const word = ((words[bit >>> 5] ?? 0) & (ALL_BITS << (bit & 31))) >>> 0;
    if (word !== 0) return Math.min(to, (bit & ~31) + lowestBit(word));
  }
  return to;
}

/** The lowest bit ≥ from that is not set; `to` when there is none below it. */
export function nextClearBit(words: Uint32Array, from: number, to: number): number {
  for (let bit = from; bit < to; bit = ((bit >>> 5) + 1) << 5) {
    const word = (~(words[bit >>> 5] ?? 0) & (ALL_BITS << (bit & 31))) >>> 0;
    if (word !== 0) return Math.min(to, (bit & ~31) + lowestBit(word));
  }
  return to;
}
