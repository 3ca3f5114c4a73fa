// Which offsets of a partition a subscription is done with (acknowledged, filtered out, dead): everything below the cursor,
// and single ones above it as pages of bits. Millions of offsets settled out of order cost some hundred kilobytes. Pure;
// part of the partition's replicated state, so equal calls give equal pages on every replica.
import { assert } from "../base/assert.ts";
import type { KeyedWrite } from "../log/ports.ts";
import type { Offset } from "../model/positions.ts";
import { ALL_BITS, bitsBetween, countBits, nextClearBit, nextSetBit, setBits } from "./bits.ts";

/** Offsets of one page; the first offset of page p is p × PAGE_OFFSETS. Part of the format. */
export const PAGE_OFFSETS = 4096;
const WORDS = PAGE_OFFSETS / 32;
const PAGE_BYTES = WORDS * 4;

/** A page in which everything is settled needs no bits. */
const FULL = "full";
type Page = Uint32Array | typeof FULL;

export class SettledTable {
  #cursor: Offset;
  readonly #pages = new Map<number, Page>();
  /** No page lies above it: consumers may ask about offsets that are far beyond. */
  #lastPage = -1;
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

  /** How many offsets at or above `from`, which is not below the cursor, are settled. */
  settledFrom(from: Offset): number {
    let count = 0;
    for (const [page, bits] of this.#pages) {
      const start = page * PAGE_OFFSETS;
      if (start + PAGE_OFFSETS <= from) continue;
      count += countFrom(bits, Math.max(0, Math.max(from, this.#cursor) - start));
    }
    return count;
  }

  /** The lowest offset ≥ `from` that is not settled; it may not exist yet. */
  nextUnsettled(from: Offset): Offset {
    let offset = Math.max(from, this.#cursor);
    for (;;) {
      const page = this.#pages.get(pageOf(offset));
      if (page === undefined) return offset;
      const start = pageOf(offset) * PAGE_OFFSETS;
      const bit = page === FULL ? PAGE_OFFSETS : nextClearBit(page, offset - start, PAGE_OFFSETS);
      if (bit < PAGE_OFFSETS) return start + bit;
      offset = start + PAGE_OFFSETS;
    }
  }

  /** The lowest settled offset ≥ `from`; `to` when there is none below it. */
  nextSettled(from: Offset, to: Offset): Offset {
    if (from < this.#cursor) return Math.min(from, to);
    if (this.#settledAbove === 0) return to;
    const last = this.#lastPage;
    for (let offset = from; offset < to && pageOf(offset) <= last; ) {
      const number = pageOf(offset);
      const start = number * PAGE_OFFSETS;
      const page = this.#pages.get(number);
      if (page === FULL) return offset;
      if (page !== undefined) {
        const end = Math.min(to - start, PAGE_OFFSETS);
        const bit = nextSetBit(page, offset - start, end);
        if (bit < end) return start + bit;
      }
      offset = start + PAGE_OFFSETS;
    }
    return to;
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
    this.#lastPage = -1;
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
      table.#put(page, bits);
      table.#settledAbove += countFrom(bits, Math.max(0, cursor - page * PAGE_OFFSETS));
    }
    return table;
  }

  #settleIn(page: number, from: number, to: number): number {
    const known = this.#pages.get(page);
    if (known === FULL) return 0;
    const bits = known ?? this.#newPage(page);
    const added = setBits(bits, from, to);
    if (added === 0) return 0;
    this.#put(page, bits.every((word) => word === ALL_BITS) ? FULL : bits);
    this.#changed.add(page);
    return added;
  }

  #put(page: number, bits: Page): void {
    this.#pages.set(page, bits);
    this.#lastPage = Math.max(this.#lastPage, page);
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

function countFrom(page: Page, from: number): number {
  if (page === FULL) return PAGE_OFFSETS - from;
  let count = 0;
  for (let word = from >>> 5; word < WORDS; word += 1) {
    const mask = word === from >>> 5 ? ~((1 << (from & 31)) - 1) : ALL_BITS;
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
