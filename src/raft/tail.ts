// The newest entries of the log, in memory: [first, first + length). Part of log-view.ts. Followers that keep up are
// served from here; older entries are read from disk by the host.
import { assert, defined } from "../base/assert.ts";
import type { LogIndex } from "../model/positions.ts";
import type { Entry } from "./messages.ts";

export class Tail<H> {
  #entries: Entry<H>[] = [];
  /** Entries before this position were released and wait for the array to be compacted. */
  #head = 0;
  #first: LogIndex;
  #bytes = 0;

  /** `next`: index of the first entry that will be pushed. */
  constructor(next: LogIndex) {
    this.#first = next;
  }

  /** Index of the oldest entry held; the log's last index + 1 when none is. */
  get first(): LogIndex {
    return this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(entry: Entry<H>): void {
    assert(entry.index === this.#first + this.#entries.length - this.#head, "tail has no gap");
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
  }

  at(index: LogIndex): Entry<H> | undefined {
    return index < this.#first ? undefined : this.#entries[this.#head + index - this.#first];
  }

  /** Entries [from, to). */
  slice(from: LogIndex, to: LogIndex): Entry<H>[] {
    assert(from >= this.#first, "entries left memory", { from, first: this.#first });
    const start = this.#head + from - this.#first;
    return this.#entries.slice(start, start + to - from);
  }

  /** Entries from `from` on, at least one, while their bytes are within `bytesMax`. */
  take(from: LogIndex, bytesMax: number): { entries: Entry<H>[]; bytes: number } {
    assert(from >= this.#first, "entries left memory", { from, first: this.#first });
    const start = this.#head + from - this.#first;
    let end = start;
    let bytes = 0;
    while (end < this.#entries.length) {
      const size = defined(this.#entries[end], "entry in range").bytes;
      if (end > start && bytes + size > bytesMax) break;
      bytes += size;
      end += 1;
    }
    return { entries: this.#entries.slice(start, end), bytes };
  }

  /** Drops entries ≥ from. */
  truncate(from: LogIndex): void {
    if (from <= this.#first) {
      this.reset(from);
      return;
    }
    const end = this.#head + from - this.#first;
    for (let at = end; at < this.#entries.length; at += 1) {
      this.#bytes -= this.#entries[at]?.bytes ?? 0;
    }
    if (end < this.#entries.length) this.#entries.length = end;
  }

  /** Drops entries ≤ upTo, oldest first, while more than `bytesMax` bytes are held. */
  release(upTo: LogIndex, bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#first <= upTo && this.#head < this.#entries.length) {
      this.#bytes -= this.#entries[this.#head]?.bytes ?? 0;
      this.#head += 1;
      this.#first += 1;
    }
    // Compacting at a quarter keeps both the cost per entry and the memory held in excess constant.
    if (this.#head * 4 >= this.#entries.length && this.#head > 0) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }

  reset(next: LogIndex): void {
    this.#entries = [];
    this.#head = 0;
    this.#first = next;
    this.#bytes = 0;
  }
}
