// One delivery in the consumer's hands: a run of records of one batch, and what became of each of them so far. Nothing here
// knows streams; the place where the delivery was received is told when there is something to send.
//
//   waiting → begun → working → decided → sent → confirmed        any but the last: → lost
//             (told)             ▲          └──► unknown ──► decided again (resumed by another leader), or lost
import { type Deferred, deferred } from "../base/deferred.ts";
import { RecordWalker } from "../model/record-batch-decoder.ts";
import { DeliveryToken } from "./delivery-token.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { ACK, type Decision } from "./handler-outcome.ts";
import type { ReceivedBatch } from "./received-batch.ts";

/** Not of this delivery. */
const ABSENT = 0;
/** Received, and nobody has it yet. */
const WAITING = 1;
/** A handler has it; the broker is not told yet. */
const BEGUN = 2;
const WORKING = 3;
/** Its settlement is to be sent. */
const DECIDED = 4;
const SENT = 5;
/** Its settlement was sent, and the stream broke before an answer. */
const UNKNOWN = 6;
const CONFIRMED = 7;
const LOST = 8;
const REFUSED = 9;

/** Where a delivery came from and where its settlements go: a partition on a stream. */
export interface DeliveryPlace {
  readonly topicId: string;
  readonly leaderEpoch: number;
  readonly layoutEpoch: number;
  readonly ackDeadlineMs: number;
  /** Something of the delivery is to be sent. */
  touch(delivery: HeldDelivery): void;
  /** So many messages do not wait any more: they were taken, or lost. */
  left(delivery: HeldDelivery, count: number): void;
  /** A message that somebody had was decided, or is lost: then without decision. */
  freed(delivery: HeldDelivery, offset: number, decision?: Decision): void;
  /** Nothing of it is left to be done. */
  over(delivery: HeldDelivery): void;
}

/** A settlement to be sent: offsets as pairs (first, count). */
export interface PlannedSettle {
  readonly kind: Decision["kind"] | "begun" | "extend";
  readonly retryAtMs: number;
  readonly error: string;
  readonly ranges: number[];
  /** EXTEND: who waits for it. */
  readonly done?: Deferred<void> | undefined;
}

export interface Attempts {
  readonly handedOut: number;
  readonly failed: number;
}

const FIRST: Attempts = Object.freeze({ handedOut: 1, failed: 0 });
/** Numbers in the ranges of one settlement: the protocol bounds the elements of a message. */
const RANGE_NUMBERS_MAX = 4096;

export class HeldDelivery {
  readonly batch: ReceivedBatch;
  readonly topicId: string;
  /** Undefined: received from a leader that is gone, and no other one has resumed it. */
  place: DeliveryPlace | undefined;
  number: number;
  leaderEpoch: number;
  layoutEpoch: number;
  ackDeadlineMs: number;
  /** Since when the lease runs, as far as is known here, monotonic ms; without a place: since when it has none. */
  leaseFromMs: number;
  /** Waits to be looked at by its settlement queue. */
  isTouched = false;
  waiting = 0;
  /** Begun or working. */
  running = 0;
  /** Decided, sent or unknown. */
  unconfirmed = 0;
  readonly #states: Uint8Array;
  readonly #attempts: ReadonlyMap<number, Attempts> | undefined;
  /** Of records that are decided, and not just acknowledged. */
  #decisions: Map<number, Decision> | undefined;
  #refusals: Map<number, FlotillaError> | undefined;
  #waiters: Map<number, Deferred<void>> | undefined;
  #aborts: Map<number, AbortController> | undefined;
  #extensions: PlannedSettle[] = [];
  #walker: RecordWalker | undefined;
  /** What changed since the last takeSettles: [from, to). */
  #changedFrom = 0;
  #changedTo = 0;

  /** @param ranges pairs: first offset, count; within the batch */
  constructor(
    batch: ReceivedBatch,
    ranges: readonly number[],
    place: DeliveryPlace,
    number: number,
    attempts: ReadonlyMap<number, Attempts> | undefined,
    nowMs: number,
  ) {
    this.batch = batch;
    this.topicId = place.topicId;
    this.place = place;
    this.number = number;
    this.leaderEpoch = place.leaderEpoch;
    this.layoutEpoch = place.layoutEpoch;
    this.ackDeadlineMs = place.ackDeadlineMs;
    this.leaseFromMs = nowMs;
    this.#attempts = attempts;
    this.#states = new Uint8Array(batch.endOffset - batch.firstOffset);
    for (const [from, to] of this.#within(ranges)) this.#states.fill(WAITING, from, to);
    for (const state of this.#states) if (state === WAITING) this.waiting += 1;
  }

  get isOver(): boolean {
    return this.waiting === 0 && this.running === 0 && this.unconfirmed === 0;
  }

  get token(): DeliveryToken {
    return new DeliveryToken(this.layoutEpoch, this.leaderEpoch, this.number);
  }

  attempts(offset: number): Attempts {
    return this.#attempts?.get(offset) ?? FIRST;
  }

  /**
   * Begins the next message that waits. The walker stands on it.
   * @throws BrokerError MALFORMED_BATCH
   */
  next(): RecordWalker | undefined {
    if (this.waiting === 0) return undefined;
    this.#walker ??= new RecordWalker(this.batch.bytes);
    const walker = this.#walker;
    const { firstOffset } = this.batch;
    while (walker.next()) {
      const at = walker.offset - firstOffset;
      if (this.#states[at] !== WAITING) continue;
      this.#states[at] = BEGUN;
      this.waiting -= 1;
      this.running += 1;
      this.#touch(at);
      this.place?.left(this, 1);
      return walker;
    }
    return undefined;
  }

  /** The first decision counts; later ones, and those about what is lost, change nothing. */
  decide(offset: number, decision: Decision): void {
    const at = offset - this.batch.firstOffset;
    const state = this.#states[at];
    if (state !== BEGUN && state !== WORKING) return;
    this.#states[at] = DECIDED;
    this.running -= 1;
    this.unconfirmed += 1;
    if (decision !== ACK) {
      this.#decisions ??= new Map();
      this.#decisions.set(at, decision);
    }
    this.#touch(at);
    this.place?.freed(this, offset, decision);
  }

  /** All that waits is decided without having begun. */
  decideWaiting(decision: Decision): void {
    const count = this.waiting;
    if (count === 0) return;
    for (const [at, state] of this.#states.entries()) {
      if (state !== WAITING) continue;
      this.#states[at] = DECIDED;
      this.#decisions ??= new Map();
      this.#decisions.set(at, decision);
      this.#touch(at);
    }
    this.waiting = 0;
    this.unconfirmed += count;
    this.place?.left(this, count);
  }

  isDecided(offset: number): boolean {
    const state = this.#states[offset - this.batch.firstOffset];
    return state !== BEGUN && state !== WORKING;
  }

  /** Resolves when the settlement of a message is confirmed. */
  confirmation(offset: number): Promise<void> {
    const at = offset - this.batch.firstOffset;
    const state = this.#states[at] ?? ABSENT;
    if (state === CONFIRMED) return Promise.resolve();
    if (state === LOST || state === ABSENT || state === REFUSED) {
      return Promise.reject(this.#refusals?.get(at) ?? stale(offset));
    }
    this.#waiters ??= new Map();
    const known = this.#waiters.get(at);
    if (known !== undefined) return known.promise;
    const waiter = deferred<void>();
    this.#waiters.set(at, waiter);
    return waiter.promise;
  }

  /** Aborted when the message is lost. */
  signal(offset: number): AbortSignal {
    const at = offset - this.batch.firstOffset;
    this.#aborts ??= new Map();
    let controller = this.#aborts.get(at);
    if (controller === undefined) {
      controller = new AbortController();
      this.#aborts.set(at, controller);
      if (this.#states[at] === LOST) controller.abort(this.#refusals?.get(at) ?? stale(offset));
    }
    return controller.signal;
  }

  waitingRanges(): number[] {
    return this.#ranges((state) => state === WAITING);
  }

  /** Messages that somebody works on, as pairs (first offset, count). */
  runningRanges(): number[] {
    return this.#ranges((state) => state === BEGUN || state === WORKING);
  }

  /** What another leader should know that is still held here. */
  heldRanges(): number[] {
    return this.#ranges((state) => state >= BEGUN && state <= UNKNOWN);
  }

  /** The lease of these begins anew. @param ranges pairs: first offset, count @param done told what became of it */
  extend(ranges: number[], done?: Deferred<void>): void {
    const { place } = this;
    if (place === undefined) {
      done?.reject(stale(ranges[0] ?? this.batch.firstOffset));
      return;
    }
    this.#extensions.push({ kind: "extend", retryAtMs: 0, error: "", ranges, done });
    if (!this.isTouched) place.touch(this);
  }

  // --- settling

  /** What is to be sent; it counts as sent from now on. */
  takeSettles(into: PlannedSettle[]): void {
    const from = this.#changedFrom;
    const to = this.#changedTo;
    this.#changedFrom = 0;
    this.#changedTo = 0;
    this.isTouched = false;
    into.push(...this.#extensions.splice(0));
    let open: PlannedSettle | undefined;
    let openDecision: Decision | undefined;
    let openEnd = -1;
    const { firstOffset } = this.batch;
    // Before what was decided: a message is begun before it is settled.
    const begunAt = into.length;
    let begun: PlannedSettle | undefined;
    let begunEnd = -1;
    for (let at = from; at < to; at += 1) {
      const state = this.#states[at];
      if (state === BEGUN) {
        this.#states[at] = WORKING;
        if (begun === undefined || isLong(begun.ranges, begunEnd, at)) {
          begun = { kind: "begun", retryAtMs: 0, error: "", ranges: [] };
          into.splice(begunAt, 0, begun);
        }
        extendRanges(begun.ranges, firstOffset + at);
        begunEnd = at + 1;
      }
      if (state !== DECIDED) continue;
      this.#states[at] = SENT;
      const decision = this.#decisions?.get(at) ?? ACK;
      if (open === undefined || decision !== openDecision || isLong(open.ranges, openEnd, at)) {
        const { kind, retryAtMs, error } = decision;
        open = { kind, retryAtMs, error, ranges: [] };
        openDecision = decision;
        into.push(open);
      }
      extendRanges(open.ranges, firstOffset + at);
      openEnd = at + 1;
    }
  }

  /** @param ranges pairs: first offset, count */
  confirm(ranges: readonly number[]): void {
    for (const [from, to] of this.#within(ranges)) {
      for (let at = from; at < to; at += 1) {
        if (this.#states[at] !== SENT) continue;
        this.#states[at] = CONFIRMED;
        this.unconfirmed -= 1;
        if (this.#waiters === undefined) continue;
        this.#waiters.get(at)?.resolve();
        this.#waiters.delete(at);
      }
    }
    if (this.isOver) this.place?.over(this);
  }

  /** The broker refused for good what was sent. */
  refuse(ranges: readonly number[], error: FlotillaError): void {
    const isLost = error.reason === "STALE_DELIVERY";
    for (const [from, to] of this.#within(ranges)) {
      for (let at = from; at < to; at += 1) {
        if (this.#states[at] === SENT) this.#end(at, isLost ? LOST : REFUSED, error);
      }
    }
  }

  /** What was sent has to be sent again. */
  repeat(ranges: readonly number[]): void {
    for (const [from, to] of this.#within(ranges)) {
      for (let at = from; at < to; at += 1) {
        if (this.#states[at] !== SENT) continue;
        this.#states[at] = DECIDED;
        this.#touch(at);
      }
    }
  }

  /** The consumer does not hold these any more. What was sent is still answered. @param ranges undefined: all */
  lose(ranges: readonly number[] | undefined, error?: FlotillaError): void {
    for (const [from, to] of this.#within(ranges ?? this.#everything())) {
      for (let at = from; at < to; at += 1) if (this.#states[at] !== SENT) this.#lose(at, error);
    }
  }

  /** Nobody can tell any more what becomes of these. */
  giveUp(ranges: readonly number[] | undefined, error?: FlotillaError): void {
    for (const [from, to] of this.#within(ranges ?? this.#everything())) {
      for (let at = from; at < to; at += 1) this.#lose(at, error);
    }
  }

  /** The broker has answered its settlement, or it is lost. */
  isAnswered(offset: number): boolean {
    return (this.#states[offset - this.batch.firstOffset] ?? LOST) >= CONFIRMED;
  }

  /** First message that was decided otherwise than done, without an answer so far. */
  firstFailure(): number | undefined {
    for (const at of this.#decisions?.keys() ?? []) {
      const state = this.#states[at] ?? ABSENT;
      if (state >= DECIDED && state <= UNKNOWN) return this.batch.firstOffset + at;
    }
    return undefined;
  }

  // --- changing leaders

  /** Its stream or channel is over: what waited is dropped, and what failed and is not confirmed; the rest may be resumed. */
  orphan(nowMs: number): void {
    for (const [at, state] of this.#states.entries()) {
      if (state === WAITING) this.#lose(at, undefined);
      else if (state !== SENT) continue;
      // Said again to another leader it would be counted twice, if the former one had replicated it.
      else if (this.#decisions?.get(at)?.kind === "nack") this.#lose(at, undefined);
      else this.#states[at] = UNKNOWN;
    }
    for (const { done, ranges } of this.#extensions.splice(0)) done?.reject(stale(ranges[0] ?? 0));
    this.place = undefined;
    this.isTouched = false;
    this.leaseFromMs = nowMs;
  }

  /** A leader goes on with these under a new number; what it does not name is lost. */
  resume(place: DeliveryPlace, number: number, ranges: readonly number[], nowMs: number): void {
    const named = new Uint8Array(this.#states.length);
    for (const [from, to] of this.#within(ranges)) named.fill(1, from, to);
    for (const [at, isNamed] of named.entries()) if (isNamed === 0) this.#lose(at, undefined);
    this.place = place;
    this.number = number;
    this.leaderEpoch = place.leaderEpoch;
    this.layoutEpoch = place.layoutEpoch;
    this.ackDeadlineMs = place.ackDeadlineMs;
    this.leaseFromMs = nowMs;
    for (const [at, state] of this.#states.entries()) {
      if (state === WORKING) this.#states[at] = BEGUN;
      else if (state === UNKNOWN) this.#states[at] = DECIDED;
      if (state >= BEGUN && state <= UNKNOWN) this.#touch(at);
    }
  }

  // --- within

  #touch(at: number): void {
    if (this.#changedFrom === this.#changedTo) {
      this.#changedFrom = at;
      this.#changedTo = at + 1;
    } else {
      if (at < this.#changedFrom) this.#changedFrom = at;
      if (at >= this.#changedTo) this.#changedTo = at + 1;
    }
    if (!this.isTouched) this.place?.touch(this);
  }

  #lose(at: number, error: FlotillaError | undefined): void {
    const state = this.#states[at] ?? ABSENT;
    if (state === ABSENT || state >= CONFIRMED) return;
    const offset = this.batch.firstOffset + at;
    if (state === SENT || state === UNKNOWN) this.#end(at, LOST, error ?? unknown(offset));
    else this.#end(at, LOST, error ?? stale(offset));
  }

  #end(at: number, state: typeof LOST | typeof REFUSED, error: FlotillaError): void {
    const before = this.#states[at] ?? ABSENT;
    this.#states[at] = state;
    if (before === WAITING) {
      this.waiting -= 1;
      this.place?.left(this, 1);
      if (this.isOver) this.place?.over(this);
      return;
    }
    this.#refusals ??= new Map();
    this.#refusals.set(at, error);
    this.#waiters?.get(at)?.reject(error);
    this.#waiters?.delete(at);
    const isRunning = before === BEGUN || before === WORKING;
    if (isRunning) this.running -= 1;
    else this.unconfirmed -= 1;
    if (state === LOST) this.#aborts?.get(at)?.abort(error);
    if (isRunning) this.place?.freed(this, this.batch.firstOffset + at);
    if (this.isOver) this.place?.over(this);
  }

  /** Pairs of the delivery's positions [from, to) for pairs (first offset, count). */
  *#within(ranges: readonly number[]): Generator<readonly [number, number]> {
    const { firstOffset } = this.batch;
    for (let i = 0; i + 1 < ranges.length; i += 2) {
      const from = (ranges[i] ?? 0) - firstOffset;
      const to = from + (ranges[i + 1] ?? 0);
      const end = Math.min(to, this.#states.length);
      if (end > 0 && from < end) yield [Math.max(0, from), end];
    }
  }

  #everything(): number[] {
    return [this.batch.firstOffset, this.#states.length];
  }

  #ranges(isWanted: (state: number) => boolean): number[] {
    const ranges: number[] = [];
    for (const [at, state] of this.#states.entries()) {
      if (isWanted(state)) extendRanges(ranges, this.batch.firstOffset + at);
    }
    return ranges;
  }
}

/** Ranges grow in offset order. */
function extendRanges(ranges: number[], offset: number): void {
  const last = ranges.length - 2;
  const count = ranges[last + 1] ?? 0;
  if (last >= 0 && (ranges[last] ?? 0) + count === offset) ranges[last + 1] = count + 1;
  else ranges.push(offset, 1);
}

function isLong(ranges: readonly number[], end: number, at: number): boolean {
  return ranges.length >= RANGE_NUMBERS_MAX && at !== end;
}

function stale(offset: number): FlotillaError {
  const text = `the consumer does not hold the message at offset ${offset} any more`;
  return new FlotillaError("STALE_DELIVERY", text, { offset });
}

function unknown(offset: number): FlotillaError {
  const text = `the connection broke before the settlement of offset ${offset} was confirmed`;
  return new FlotillaError("UNREACHABLE", text, { offset }, "unknown");
}
