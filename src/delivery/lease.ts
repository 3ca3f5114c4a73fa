// One lease: a run of records that went to one consumer under one delivery number. Its outstanding messages are bits, made when
// the first of several is taken. And the lists that leases stand in. Pure; lease-table holds them all.
import type { Offset } from "../model/positions.ts";
import { clearBits, hasBit, nextClearBit, nextSetBit, setBits } from "./bits.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { ConsumerKey } from "./dispatch-types.ts";

export class Lease {
  readonly number: number;
  readonly consumer: ConsumerKey;
  readonly from: Offset;
  readonly to: Offset;
  deadlineMs = 0;
  /** Something of this delivery was taken away from the consumer. */
  isTorn = false;
  /** Another part of the same delivery, with another deadline. */
  sibling: Lease | undefined;
  /** Links of LeaseList. */
  previousOfConsumer: Lease | undefined;
  nextOfConsumer: Lease | undefined;
  previousDeadline: Lease | undefined;
  nextDeadline: Lease | undefined;
  /** The list that its deadline stands in. */
  deadlines: LeaseList | undefined;
  #outstanding: number;
  /** undefined: all of it. */
  #held: Uint32Array | undefined;
  #begun: Uint32Array | undefined;

  constructor(number: number, consumer: ConsumerKey, ranges: readonly OffsetRange[]) {
    this.number = number;
    this.consumer = consumer;
    this.from = ranges[0]?.[0] ?? 0;
    this.to = ranges.at(-1)?.[1] ?? 0;
    this.#outstanding = this.to - this.from;
    if (ranges.length === 1) return;
    const held = this.#newBits();
    this.#outstanding = 0;
    for (const [from, to] of ranges) {
      this.#outstanding += setBits(held, from - this.from, to - this.from);
    }
    this.#held = held;
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  has(offset: Offset): boolean {
    if (offset < this.from || offset >= this.to || this.#outstanding === 0) return false;
    return this.#held === undefined || hasBit(this.#held, offset - this.from);
  }

  /** The lowest outstanding offset ≥ `from`; `to` when there is none below it. */
  nextHeld(from: Offset, to: Offset): Offset {
    const start = Math.max(from, this.from);
    const end = Math.min(to, this.to);
    if (start >= end || this.#outstanding === 0) return to;
    if (this.#held === undefined) return start;
    const bit = nextSetBit(this.#held, start - this.from, end - this.from);
    return bit < end - this.from ? this.from + bit : to;
  }

  /** The lowest offset ≥ `from` that is not outstanding here; `to` when there is none below it. */
  nextFree(from: Offset, to: Offset): Offset {
    if (from < this.from || from >= this.to || this.#outstanding === 0) return from;
    const end = Math.min(to, this.to);
    if (this.#held === undefined) return end;
    return this.from + nextClearBit(this.#held, from - this.from, end - this.from);
  }

  /** Takes what is outstanding in [from, to), run by run. */
  take(from: Offset, to: Offset, taken: (from: Offset, to: Offset) => void): void {
    let start = this.nextHeld(from, to);
    if (start >= to) return;
    const isWhole = start <= this.from && to >= this.to;
    if (this.#held === undefined && isWhole) {
      this.#outstanding = 0;
      taken(this.from, this.to);
      return;
    }
    while (start < to) {
      const end = this.nextFree(start, to);
      this.#outstanding -= clearBits(this.#bits(), start - this.from, end - this.from);
      taken(start, end);
      start = this.nextHeld(end, to);
    }
  }

  /** What is outstanding. */
  ranges(): OffsetRange[] {
    const ranges: OffsetRange[] = [];
    for (let from = this.nextHeld(this.from, this.to); from < this.to; ) {
      const to = this.nextFree(from, this.to);
      ranges.push([from, to]);
      from = this.nextHeld(to, this.to);
    }
    return ranges;
  }

  begin(from: Offset, to: Offset): void {
    this.#begun ??= this.#newBits();
    const start = Math.max(from, this.from);
    const end = Math.min(to, this.to);
    if (start < end) setBits(this.#begun, start - this.from, end - this.from);
  }

  isBegun(offset: Offset): boolean {
    return this.#begun !== undefined && hasBit(this.#begun, offset - this.from);
  }

  #bits(): Uint32Array {
    if (this.#held !== undefined) return this.#held;
    const held = this.#newBits();
    setBits(held, 0, this.to - this.from);
    this.#held = held;
    return held;
  }

  #newBits(): Uint32Array {
    return new Uint32Array((this.to - this.from + 31) >>> 5);
  }
}

/** The links of a lease in one kind of list. */
export type LinkKind = "byConsumer" | "byDeadline";

/**
 * A list from which a lease is removed in constant time. It stands in two at once, its consumer's and that of deadlines, and
 * carries the links of both: with small credit there are as many leases as messages.
 */
export class LeaseList {
  readonly #kind: LinkKind;
  #first: Lease | undefined;
  #last: Lease | undefined;

  constructor(kind: LinkKind) {
    this.#kind = kind;
  }

  get first(): Lease | undefined {
    return this.#first;
  }

  /** At the end, or behind a lease of this list. */
  add(lease: Lease, behind: Lease | undefined = this.#last): void {
    const next = behind === undefined ? this.#first : this.#nextOf(behind);
    this.#link(behind, lease);
    this.#link(lease, next);
    if (behind === undefined) this.#first = lease;
    if (next === undefined) this.#last = lease;
  }

  remove(lease: Lease): void {
    const isOfConsumer = this.#kind === "byConsumer";
    const previous = isOfConsumer ? lease.previousOfConsumer : lease.previousDeadline;
    const next = this.#nextOf(lease);
    if (previous === undefined) this.#first = next;
    else this.#setNext(previous, next);
    if (next === undefined) this.#last = previous;
    else this.#setPrevious(next, previous);
  }

  /** The current one may be removed meanwhile. */
  *[Symbol.iterator](): Generator<Lease> {
    for (let lease = this.#first; lease !== undefined; lease = this.#nextOf(lease)) yield lease;
  }

  #nextOf(lease: Lease): Lease | undefined {
    return this.#kind === "byConsumer" ? lease.nextOfConsumer : lease.nextDeadline;
  }

  #setNext(lease: Lease, next: Lease | undefined): void {
    if (this.#kind === "byConsumer") lease.nextOfConsumer = next;
    else lease.nextDeadline = next;
  }

  #setPrevious(lease: Lease, previous: Lease | undefined): void {
    if (this.#kind === "byConsumer") lease.previousOfConsumer = previous;
    else lease.previousDeadline = previous;
  }

  #link(lease: Lease | undefined, next: Lease | undefined): void {
    if (lease !== undefined) this.#setNext(lease, next);
    if (next !== undefined) this.#setPrevious(next, lease);
  }
}
