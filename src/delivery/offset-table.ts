// A set of offsets, kept as pages of bits: adding, removing and walking runs costs words, not messages. The dispatcher keeps
// in such tables what it must not hand out now, and what waits to be settled. Pure.
import type { Offset } from "../model/positions.ts";
import { clearBits, hasBit, nextClearBit, nextSetBit, setBits } from "./bits.ts";
import type { OffsetRange } from "./delivery-commands.ts";

const PAGE_OFFSETS = 4096;

interface Page {
  readonly words: Uint32Array;
  count: number;
}

export class OffsetTable {
  readonly #pages = new Map<number, Page>();
  #size = 0;
  /** The page that was used last: neighbours are asked for one after the other. */
  #lastNumber = -1;
  #last: Page | undefined;

  get size(): number {
    return this.#size;
  }

  has(offset: Offset): boolean {
    if (this.#size === 0) return false;
    const page = this.#page(Math.floor(offset / PAGE_OFFSETS));
    return page !== undefined && hasBit(page.words, offset % PAGE_OFFSETS);
  }

  /** @returns how many of [from, to) were not in it */
  add(from: Offset, to: Offset): number {
    let added = 0;
    for (let offset = from; offset < to; ) {
      const number = Math.floor(offset / PAGE_OFFSETS);
      const start = number * PAGE_OFFSETS;
      const end = Math.min(to, start + PAGE_OFFSETS);
      const page = this.#page(number) ?? this.#newPage(number);
      const count = setBits(page.words, offset - start, end - start);
      page.count += count;
      added += count;
      offset = end;
    }
    this.#size += added;
    return added;
  }

  /** @returns how many of [from, to) were in it */
  delete(from: Offset, to: Offset): number {
    let removed = 0;
    for (let offset = from; offset < to && this.#size > removed; ) {
      const number = Math.floor(offset / PAGE_OFFSETS);
      const start = number * PAGE_OFFSETS;
      const end = Math.min(to, start + PAGE_OFFSETS);
      const page = this.#page(number);
      if (page !== undefined) {
        const count = clearBits(page.words, offset - start, end - start);
        page.count -= count;
        removed += count;
        if (page.count === 0) this.#dropPage(number);
      }
      offset = end;
    }
    this.#size -= removed;
    return removed;
  }

  clear(): void {
    this.#pages.clear();
    this.#size = 0;
    this.#lastNumber = -1;
    this.#last = undefined;
  }

  /** The lowest offset ≥ `from` that is not in it. */
  nextAbsent(from: Offset): Offset {
    for (let offset = from; ; ) {
      const number = Math.floor(offset / PAGE_OFFSETS);
      const page = this.#size === 0 ? undefined : this.#page(number);
      if (page === undefined) return offset;
      const start = number * PAGE_OFFSETS;
      const bit = nextClearBit(page.words, offset - start, PAGE_OFFSETS);
      if (bit < PAGE_OFFSETS) return start + bit;
      offset = start + PAGE_OFFSETS;
    }
  }

  /** The lowest offset ≥ `from` that is in it; `to` when there is none below. */
  nextPresent(from: Offset, to: Offset): Offset {
    if (this.#size === 0) return to;
    for (let offset = from; offset < to; ) {
      const number = Math.floor(offset / PAGE_OFFSETS);
      const start = number * PAGE_OFFSETS;
      const end = Math.min(to - start, PAGE_OFFSETS);
      const page = this.#page(number);
      if (page !== undefined) {
        const bit = nextSetBit(page.words, offset - start, end);
        if (bit < end) return start + bit;
      }
      offset = start + PAGE_OFFSETS;
    }
    return to;
  }

  /** All, ascending; neighbours within and across pages are one range. */
  ranges(): OffsetRange[] {
    const ranges: OffsetRange[] = [];
    let from = -1;
    let to = -1;
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const { words } = this.#pages.get(number) ?? { words: new Uint32Array(0) };
      const start = number * PAGE_OFFSETS;
      let bit = nextSetBit(words, 0, PAGE_OFFSETS);
      while (bit < PAGE_OFFSETS) {
        const end = nextClearBit(words, bit, PAGE_OFFSETS);
        if (start + bit !== to) {
          if (from >= 0) ranges.push([from, to]);
          from = start + bit;
        }
        to = start + end;
        bit = nextSetBit(words, end, PAGE_OFFSETS);
      }
    }
    if (from >= 0) ranges.push([from, to]);
    return ranges;
  }

  #page(number: number): Page | undefined {
    if (number === this.#lastNumber) return this.#last;
    const page = this.#pages.get(number);
    if (page !== undefined) {
      this.#lastNumber = number;
      this.#last = page;
    }
    return page;
  }

  #newPage(number: number): Page {
    const page: Page = { words: new Uint32Array(PAGE_OFFSETS / 32), count: 0 };
    this.#pages.set(number, page);
    this.#lastNumber = number;
    this.#last = page;
    return page;
  }

  #dropPage(number: number): void {
    this.#pages.delete(number);
    if (number !== this.#lastNumber) return;
    this.#lastNumber = -1;
    this.#last = undefined;
  }
}
