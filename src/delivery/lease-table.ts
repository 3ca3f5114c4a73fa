// Who has which messages until when: all leases of one dispatcher. Memory of the leader, lost with it. Pure.
import type { Offset } from "../model/positions.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { ConsumerKey } from "./dispatch-types.ts";
import { Lease, LeaseList } from "./lease.ts";

export class LeaseTable {
  readonly #byNumber = new Map<number, Lease>();
  readonly #byConsumer = new Map<ConsumerKey, LeaseList>();
  /** By how long leases last: within a list, later ones end later. More than one list only after the ack deadline changed. */
  readonly #byDuration = new Map<number, LeaseList>();
  #lastNumber: number;
  #outstanding = 0;

  /** @param lastNumber numbers are above it */
  constructor(lastNumber = 0) {
    this.#lastNumber = lastNumber;
  }

  /** Of the newest delivery. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

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

  isHolding(consumer: ConsumerKey): boolean {
    return this.#byConsumer.has(consumer);
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
