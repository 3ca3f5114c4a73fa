// Who has which messages until when. A lease covers a run of records that went to one consumer under one delivery number; its
// outstanding ones are bits, made when the first of several is taken. Memory of the leader, lost with it. Pure.
import type { Offset } from "../model/positions.ts";
import { clearBits, hasBit, nextClearBit, nextSetBit, setBits } from "./bits.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { ConsumerKey } from "./dispatch-types.ts";
import { LeaseList } from "./lease-list.ts";

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

export class LeaseTable {
  readonly #byNumber = new Map<number, Lease>();
  readonly #byConsumer = new Map<ConsumerKey, LeaseList>();
  /** By how long leases last: within a list, later ones end later. More than one list only after the ack deadline changed. */
  readonly #byDuration = new Map<number, LeaseList>();
  #lastNumber = 0;
  #outstanding = 0;

  /** Messages that are out. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** @param nowMs never less than in the call before */
  grant(
    consumer: ConsumerKey,
    ranges: readonly OffsetRange[],
    nowMs: number,
    durationMs: number,
  ): Lease {
    this.#lastNumber += 1;
    const lease = new Lease(this.#lastNumber, consumer, ranges);
    this.#byNumber.set(lease.number, lease);
    this.#listOfConsumer(consumer).add(lease);
    this.#setDeadline(lease, nowMs, durationMs);
    this.#outstanding += lease.outstanding;
    return lease;
  }

  /** The first part of a delivery; the others are its siblings. */
  byNumber(number: number): Lease | undefined {
    return this.#byNumber.get(number);
  }

  /** By delivery number. What is taken meanwhile may be. */
  ofConsumer(consumer: ConsumerKey): Iterable<Lease> {
    return this.#byConsumer.get(consumer) ?? [];
  }

  /** Somebody else has something. */
  isHeldByOthers(consumer: ConsumerKey): boolean {
    return this.#byConsumer.size > (this.#byConsumer.has(consumer) ? 1 : 0);
  }

  all(): Iterable<Lease> {
    return eachLease(this.#byNumber);
  }

  /** The lease that has this offset; looks through all of them. */
  find(offset: Offset): Lease | undefined {
    for (const lease of this.all()) if (lease.has(offset)) return lease;
    return undefined;
  }

  /** Takes outstanding offsets of [from, to) from a lease, and forgets it when nothing is left. */
  take(lease: Lease, from: Offset, to: Offset, taken: (from: Offset, to: Offset) => void): void {
    const before = lease.outstanding;
    lease.take(from, to, taken);
    this.#outstanding -= before - lease.outstanding;
    if (lease.outstanding === 0 && before > 0) this.#forget(lease);
  }

  /** The deadline of these offsets begins anew: a part of a lease gets its own. */
  extend(
    lease: Lease,
    ranges: readonly OffsetRange[] | undefined,
    nowMs: number,
    durationMs: number,
  ): void {
    const named = ranges === undefined ? undefined : commonRanges(lease, ranges);
    if (named?.length === 0) return;
    if (named === undefined || countOf(named) === lease.outstanding) {
      lease.deadlines?.remove(lease);
      this.#setDeadline(lease, nowMs, durationMs);
      return;
    }
    const part = new Lease(lease.number, lease.consumer, named);
    for (const [from, to] of named) {
      for (let offset = from; offset < to; offset += 1) {
        if (lease.isBegun(offset)) part.begin(offset, offset + 1);
      }
      lease.take(from, to, () => undefined);
    }
    part.isTorn = lease.isTorn;
    part.sibling = lease.sibling;
    lease.sibling = part;
    this.#listOfConsumer(lease.consumer).add(part, lease);
    this.#setDeadline(part, nowMs, durationMs);
  }

  /** Some lease whose deadline has passed. */
  expired(nowMs: number): Lease | undefined {
    for (const list of this.#byDuration.values()) {
      const lease = list.first;
      if (lease !== undefined && lease.deadlineMs <= nowMs) return lease;
    }
    return undefined;
  }

  /** Infinity: nothing is out. */
  nextDeadlineMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const list of this.#byDuration.values()) {
      next = Math.min(next, list.first?.deadlineMs ?? Number.POSITIVE_INFINITY);
    }
    return next;
  }

  #setDeadline(lease: Lease, nowMs: number, durationMs: number): void {
    lease.deadlineMs = nowMs + durationMs;
    lease.deadlines = this.#listOfDuration(durationMs);
    lease.deadlines.add(lease);
  }

  #forget(lease: Lease): void {
    lease.deadlines?.remove(lease);
    const ofConsumer = this.#byConsumer.get(lease.consumer);
    ofConsumer?.remove(lease);
    if (ofConsumer?.first === undefined) this.#byConsumer.delete(lease.consumer);
    if (this.#byDuration.size > 1) this.#dropEmptyDurations();
    const first = this.#byNumber.get(lease.number);
    if (first === lease) {
      if (lease.sibling === undefined) this.#byNumber.delete(lease.number);
      else this.#byNumber.set(lease.number, lease.sibling);
      return;
    }
    let part = first;
    while (part !== undefined && part.sibling !== lease) part = part.sibling;
    if (part !== undefined) part.sibling = lease.sibling;
  }

  #dropEmptyDurations(): void {
    for (const [durationMs, list] of this.#byDuration) {
      if (list.first === undefined) this.#byDuration.delete(durationMs);
    }
  }

  #listOfConsumer(consumer: ConsumerKey): LeaseList {
    const known = this.#byConsumer.get(consumer);
    if (known !== undefined) return known;
    const list = new LeaseList("byConsumer");
    this.#byConsumer.set(consumer, list);
    return list;
  }

  #listOfDuration(durationMs: number): LeaseList {
    const known = this.#byDuration.get(durationMs);
    if (known !== undefined) return known;
    const list = new LeaseList("byDeadline");
    this.#byDuration.set(durationMs, list);
    return list;
  }
}

function* eachLease(byNumber: ReadonlyMap<number, Lease>): Generator<Lease> {
  for (const first of byNumber.values()) {
    for (let part: Lease | undefined = first; part !== undefined; part = part.sibling) yield part;
  }
}

/** What of the ranges is outstanding in the lease. */
function commonRanges(lease: Lease, ranges: readonly OffsetRange[]): OffsetRange[] {
  const common: OffsetRange[] = [];
  for (const [from, to] of ranges) {
    for (let start = lease.nextHeld(from, to); start < to; ) {
      const end = lease.nextFree(start, to);
      common.push([start, end]);
      start = lease.nextHeld(end, to);
    }
  }
  return common;
}

export function countOf(ranges: readonly OffsetRange[]): number {
  let count = 0;
  for (const [from, to] of ranges) count += to - from;
  return count;
}
