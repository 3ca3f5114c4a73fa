// Which offsets of a partition a subscription is done with (acknowledged, filtered out, dead): everything below the cursor,
// and single ones above it as pages of bits. Millions of offsets settled out of order cost some hundred kilobytes. Pure;
// part of the partition's replicated state, so equal calls give equal pages on every replica.
import { assert } from "../base/assert.ts";
import type { KeyedWrite } from "../log/ports.ts";
import type { Offset } from "../model/positions.ts";

/** Offsets of one page; the first offset of page p is p × PAGE_OFFSETS. Part of the format. */
export const PAGE_OFFSETS = 4096;
const WORDS = PAGE_OFFSETS / 32;
const PAGE_BYTES = WORDS * 4;
const ALL = 0xffff_ffff;

/** A page in which everything is settled needs no bits. */
const FULL = "full";
type Page = Uint32Array | typeof FULL;

export class SettledTable {
  #cursor: Offset;
  readonly #pages = new Map<number, Page>();
  /** Settled offsets at or above the cursor. */
  #settledAbove = 0;
  readonly #changed = new Set<number>();

  /** @param cursor where the subscription begins: everything below counts as settled */
  constructor(cursor: Offset) {
    this.#cursor = cursor;
  }

  /** The lowest offset that is not settled. */
  get cursor(): Offset {
    return this.#cursor;
  }

  /** How many offsets above the cursor are settled. */
  get settledAbove(): number {
    return this.#settledAbove;
  }

  isSettled(offset: Offset): boolean {
    if (offset < this.#cursor) return true;
    const page = this.#pages.get(pageOf(offset));
    if (page === undefined || page === FULL) return page === FULL;
    const bit = offset % PAGE_OFFSETS;
    return ((page[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  /** The lowest offset ≥ `from` that is not settled; it may not exist yet. */
  nextUnsettled(from: Offset): Offset {
    let offset = Math.max(from, this.#cursor);
    for (;;) {
      const page = this.#pages.get(pageOf(offset));
      if (page === undefined) return offset;
      const start = pageOf(offset) * PAGE_OFFSETS;
      const bit = page === FULL ? PAGE_OFFSETS : firstZero(page, offset - start);
      if (bit < PAGE_OFFSETS) return start + bit;
      offset = start + PAGE_OFFSETS;
    }
  }

  /**
   * Settles offsets in [from, to), whatever was settled before.
   * @returns how many of them were not settled yet
   */
  settle(from: Offset, to: Offset): number {
    let offset = Math.max(from, this.#cursor);
    let added = 0;
    while (offset < to) {
      const page = pageOf(offset);
      const start = page * PAGE_OFFSETS;
      const end = Math.min(to, start + PAGE_OFFSETS);
      added += this.#settleIn(page, offset - start, end - start);
      offset = end;
    }
    this.#settledAbove += added;
    if (added > 0) this.#advance();
    return added;
  }

  /** The subscription goes to another place: below `cursor` everything is settled, above it nothing. */
  seek(cursor: Offset): void {
    for (const page of this.#pages.keys()) this.#changed.add(page);
    this.#pages.clear();
    this.#settledAbove = 0;
    this.#cursor = cursor;
  }

  /** What changed since the last call, as writes of pages; the cursor is stored by the caller. */
  takeWrites(prefix: string): KeyedWrite[] {
    const writes: KeyedWrite[] = [];
    for (const page of [...this.#changed].sort((a, b) => a - b)) {
      const bits = this.#pages.get(page);
      const key = pageKey(prefix, page);
      writes.push(
        bits === undefined
          ? { type: "delete", key }
          : { type: "put", key, value: encodePage(bits) },
      );
    }
    this.#changed.clear();
    return writes;
  }

  /** All pages, ascending. */
  *pairs(prefix: string): Generator<readonly [string, Uint8Array]> {
    for (const page of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const bits = this.#pages.get(page);
      if (bits !== undefined) yield [pageKey(prefix, page), encodePage(bits)];
    }
  }

  /** From a stored cursor and the stored pages. @throws TypeError for what pairs() never gives */
  static restore(
    cursor: Offset,
    prefix: string,
    pairs: Iterable<readonly [string, Uint8Array]>,
  ): SettledTable {
    const table = new SettledTable(cursor);
    for (const [key, value] of pairs) {
      const page = Number.parseInt(key.slice(prefix.length), 16);
      if (pageKey(prefix, page) !== key || page < pageOf(cursor)) {
        throw new TypeError(`no page of a subscription: ${key}`);
      }
      const bits = decodePage(value);
      table.#pages.set(page, bits);
      table.#settledAbove += countFrom(bits, Math.max(0, cursor - page * PAGE_OFFSETS));
    }
    return table;
  }

  #settleIn(page: number, from: number, to: number): number {
    const known = this.#pages.get(page);
    if (known === FULL) return 0;
    const bits = known ?? this.#newPage(page);
    let added = 0;
    for (let bit = from; bit < to; ) {
      const word = bit >>> 5;
      const end = Math.min(to, (word + 1) << 5);
      const mask = bitsBetween(bit & 31, end - (word << 5));
      const before = bits[word] ?? 0;
      added += countBits(mask & ~before);
      bits[word] = before | mask;
      bit = end;
    }
    if (added === 0) return 0;
    this.#pages.set(page, bits.every((word) => word === ALL) ? FULL : bits);
    this.#changed.add(page);
    return added;
  }

  /** In the page of the cursor everything below it is settled, so that a page becomes full when its last gap closes. */
  #newPage(page: number): Uint32Array {
    const bits = new Uint32Array(WORDS);
    const below = Math.min(PAGE_OFFSETS, Math.max(0, this.#cursor - page * PAGE_OFFSETS));
    for (let bit = 0; bit < below; bit += 32) {
      bits[bit >>> 5] = bitsBetween(0, Math.min(32, below - bit));
    }
    return bits;
  }

  #advance(): void {
    const before = this.#cursor;
    this.#cursor = this.nextUnsettled(before);
    this.#settledAbove -= this.#cursor - before;
    assert(this.#settledAbove >= 0, "settled offsets are counted once", { cursor: this.#cursor });
    for (let page = pageOf(before); page < pageOf(this.#cursor); page += 1) {
      if (this.#pages.delete(page)) this.#changed.add(page);
    }
    // A cursor at the end of what is settled needs no page.
    const page = pageOf(this.#cursor);
    if (this.#settledAbove === 0 && this.#pages.delete(page)) this.#changed.add(page);
  }
}

function pageOf(offset: Offset): number {
  return Math.floor(offset / PAGE_OFFSETS);
}

/** Hexadecimal of fixed width, so that keys are ordered like pages: offsets have at most 53 bits. */
function pageKey(prefix: string, page: number): string {
  return `${prefix}${page.toString(16).padStart(11, "0")}`;
}

/** Bits [from, to) of a word; 0 ≤ from < to ≤ 32. */
function bitsBetween(from: number, to: number): number {
  const upTo = to === 32 ? ALL : (1 << to) - 1;
  return (upTo & ~((1 << from) - 1)) >>> 0;
}

function firstZero(bits: Uint32Array, from: number): number {
  for (let word = from >>> 5; word < WORDS; word += 1) {
    const below = word === from >>> 5 ? (1 << (from & 31)) - 1 : 0;
    const free = ~((bits[word] ?? 0) | below) >>> 0;
    if (free !== 0) return (word << 5) + 31 - Math.clz32(free & -free);
  }
  return PAGE_OFFSETS;
}

function countBits(word: number): number {
  let left = word >>> 0;
  let count = 0;
  while (left !== 0) {
    left = (left & (left - 1)) >>> 0;
    count += 1;
  }
  return count;
}

function countFrom(page: Page, from: number): number {
  if (page === FULL) return PAGE_OFFSETS - from;
  let count = 0;
  for (let word = from >>> 5; word < WORDS; word += 1) {
    const mask = word === from >>> 5 ? ~((1 << (from & 31)) - 1) : ALL;
    count += countBits((page[word] ?? 0) & mask);
  }
  return count;
}

/** Words in little endian; a full page is empty. */
function encodePage(page: Page): Uint8Array {
  if (page === FULL) return new Uint8Array(0);
  const bytes = new Uint8Array(PAGE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [word, bits] of page.entries()) view.setUint32(word * 4, bits, true);
  return bytes;
}

function decodePage(bytes: Uint8Array): Page {
  if (bytes.length === 0) return FULL;
  if (bytes.length !== PAGE_BYTES) throw new TypeError(`a page of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: WORDS }, (_, word) => view.getUint32(word * 4, true));
}
