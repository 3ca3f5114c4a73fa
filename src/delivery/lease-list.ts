// A list of leases from which one is removed in constant time. A lease stands in two lists at once: its consumer's, and that of
// deadlines; it carries the links of both, because there are as many leases as messages when credit is small.
import type { Lease } from "./lease-table.ts";

/** The links of a lease in one kind of list. */
export type LinkKind = "byConsumer" | "byDeadline";

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
