// One delivery in the consumer's hands: a run of records of one batch, and what became of each of them so far. Nothing here
// knows streams; the place where the delivery was received is told when there is something to send.
import type { Deferred } from "../base/deferred.ts";
import { RecordWalker } from "../model/record-batch-decoder.ts";
import { type Attempts, type DeliveryPlace, FIRST_ATTEMPT } from "./delivery-place.ts";
import { DeliveryToken } from "./delivery-token.ts";
import type { FlotillaError } from "./flotilla-error.ts";
import { ACK, type Decision, RELEASE } from "./handler-outcome.ts";
import { LeaseTimes } from "./lease-times.ts";
import { MessageListeners, stale, unknown } from "./message-listeners.ts";
import type { ReceivedBatch } from "./received-batch.ts";
import {
  ABSENT,
  BEGUN,
  CONFIRMED,
  DECIDED,
  LOST,
  offsetRanges,
  type PlannedSettle,
  PositionSpan,
  planSettles,
  positionsIn,
  RANGE_NUMBERS_MAX,
  REFUSED,
  SENT,
  UNKNOWN,
  WAITING,
  WORKING,
} from "./record-states.ts";

type Place = DeliveryPlace<HeldDelivery>;

export class HeldDelivery {
  readonly batch: ReceivedBatch;
  readonly topicId: string;
  /** Undefined: received from a leader that is gone, and no other one has resumed it. */
  place: Place | undefined;
  number: number;
  leaderEpoch: number;
  layoutEpoch: number;
  ackDeadlineMs: number;
  /** Since when the lease of what waits runs, monotonic ms. */
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
  readonly #leases: LeaseTimes;
  readonly #listeners = new MessageListeners();
  #extensions: PlannedSettle[] = [];
  #walker: RecordWalker | undefined;
  /** What changed since the last takeSettles. */
  readonly #changed = new PositionSpan();

  /** @param ranges pairs: first offset, count; within the batch */
  constructor(
    batch: ReceivedBatch,
    ranges: readonly number[],
    place: Place,
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
    this.#leases = new LeaseTimes(nowMs, place.ackDeadlineMs);
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
    return this.#attempts?.get(offset) ?? FIRST_ATTEMPT;
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
    // The broker named what its batch does not hold: nobody can work on it.
    if (this.waiting > 0) this.lose(this.waitingRanges());
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

  /** As decideWaiting, not asked for by the place: nothing behind it may overtake. */
  giveBack(decision: Decision): void {
    const first = this.waitingRanges()[0];
    if (first === undefined) return;
    this.decideWaiting(decision);
    this.place?.heldBack(this, first);
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
      return Promise.reject(this.#listeners.errorOf(at) ?? stale(offset));
    }
    return this.#listeners.confirmation(at);
  }

  /** Aborted when the message is lost. */
  signal(offset: number): AbortSignal {
    const at = offset - this.batch.firstOffset;
    const isLost = this.#states[at] === LOST;
    const error = isLost ? (this.#listeners.errorOf(at) ?? stale(offset)) : undefined;
    return this.#listeners.signal(at, error);
  }

  waitingRanges(): number[] {
    return this.#ranges((state) => state === WAITING);
  }

  /** Messages that somebody works on, as pairs (first offset, count). */
  runningRanges(): number[] {
    return this.#ranges((state) => state === BEGUN || state === WORKING);
  }

  /**
   * Extends what somebody works on, as far as it is due. What waits is not extended; shortly before it is over it is given
   * back, so that nobody begins what the broker is about to give to another consumer.
   *
   * @returns when the first lease of what is worked on (without a place: or not confirmed) ends, unless a broker gives more
   * time; monotonic ms
   */
  keepLeases(nowMs: number, extendMaxMs: number): number {
    if (this.place === undefined) return this.#firstEndMs(UNKNOWN);
    const { ackDeadlineMs } = this;
    if (nowMs - this.leaseFromMs >= (ackDeadlineMs * 7) / 8) this.giveBack(RELEASE);
    const running = this.running === 0 ? [] : this.runningRanges();
    const isHeld = (offset: number): boolean => this.#isHeld(offset - this.batch.firstOffset);
    const due = this.#leases.look(running, isHeld, { nowMs, ackDeadlineMs, extendMaxMs });
    while (due.length > 0) this.extend(due.splice(0, RANGE_NUMBERS_MAX));
    return this.#firstEndMs(WORKING);
  }

  /** The broker confirmed more time. @param ranges pairs @param askedMs when it was asked for it, monotonic ms */
  extended(ranges: readonly number[], askedMs: number): void {
    this.#leases.extended(ranges, askedMs, this.ackDeadlineMs);
  }

  /** The broker refused more time; what it has taken back it says by itself. @param ranges pairs */
  notExtended(ranges: readonly number[]): void {
    this.#leases.notExtended(ranges);
  }

  /** What another leader should know that is still held here. */
  heldRanges(): number[] {
    return this.#ranges(isHeldState);
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
    const [from, to] = this.#changed.take();
    this.isTouched = false;
    into.push(...this.#extensions.splice(0));
    const plannedAt = into.length;
    planSettles(this.#states, from, to, this.batch.firstOffset, this.#decisions, into);
    this.#leases.extendBegun(into, plannedAt);
  }

  /** @param ranges pairs: first offset, count */
  confirm(ranges: readonly number[]): void {
    for (const [from, to] of this.#within(ranges)) {
      for (let at = from; at < to; at += 1) {
        if (this.#states[at] !== SENT) continue;
        this.#states[at] = CONFIRMED;
        this.unconfirmed -= 1;
        this.#listeners.confirmed(at);
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

  /**
   * Its stream or channel is over: what waited is dropped, the rest may be resumed as long as its lease runs: afterwards
   * somebody else may have it. A failure that was sent is given up: if the leader took it, telling it to the next one would
   * count it twice; if not, the message is handed out again.
   */
  orphan(nowMs: number): void {
    for (const [at, state] of this.#states.entries()) {
      const isFailure = state === SENT && this.#decisions?.has(at) === true;
      if (state === WAITING || isFailure) this.#lose(at, undefined);
      else if (state === SENT) this.#states[at] = UNKNOWN;
    }
    for (const { done, ranges } of this.#extensions.splice(0)) done?.reject(stale(ranges[0] ?? 0));
    this.place = undefined;
    this.isTouched = false;
    this.expire(nowMs);
  }

  /** Without a place: what has no lease any more is lost. */
  expire(nowMs: number): void {
    for (const [at, state] of this.#states.entries()) {
      const offset = this.batch.firstOffset + at;
      if (isHeldState(state) && this.#leases.endMs(offset) <= nowMs) this.#lose(at, undefined);
    }
  }

  /** A leader goes on with these under a new number; what it does not name is lost. */
  resume(place: Place, number: number, ranges: readonly number[], nowMs: number): void {
    const named = new Uint8Array(this.#states.length);
    for (const [from, to] of this.#within(ranges)) named.fill(1, from, to);
    for (const [at, isNamed] of named.entries()) if (isNamed === 0) this.#lose(at, undefined);
    this.place = place;
    this.number = number;
    this.leaderEpoch = place.leaderEpoch;
    this.layoutEpoch = place.layoutEpoch;
    this.ackDeadlineMs = place.ackDeadlineMs;
    this.leaseFromMs = nowMs;
    this.#leases.restart(nowMs, place.ackDeadlineMs);
    for (const [at, state] of this.#states.entries()) {
      if (state === WORKING) this.#states[at] = BEGUN;
      else if (state === UNKNOWN) this.#states[at] = DECIDED;
      if (state >= BEGUN && state <= UNKNOWN) this.#touch(at);
    }
  }

  // --- within

  #touch(at: number): void {
    this.#changed.add(at);
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
    this.#listeners.ended(at, error);
    const isRunning = before === BEGUN || before === WORKING;
    if (isRunning) this.running -= 1;
    else this.unconfirmed -= 1;
    if (state === LOST) this.#listeners.abort(at, error);
    if (isRunning) this.place?.freed(this, this.batch.firstOffset + at);
    if (this.isOver) this.place?.over(this);
  }

  /** Of what has begun, up to a state. */
  #firstEndMs(last: number): number {
    let endMs = Number.POSITIVE_INFINITY;
    for (const [at, state] of this.#states.entries()) {
      if (state < BEGUN || state > last) continue;
      endMs = Math.min(endMs, this.#leases.endMs(this.batch.firstOffset + at));
    }
    return endMs;
  }

  #isHeld(at: number): boolean {
    return isHeldState(this.#states[at] ?? ABSENT);
  }

  #within(ranges: readonly number[]): Iterable<readonly [number, number]> {
    return positionsIn(ranges, this.batch.firstOffset, this.#states.length);
  }

  #everything(): number[] {
    return [this.batch.firstOffset, this.#states.length];
  }

  #ranges(isWanted: (state: number) => boolean): number[] {
    return offsetRanges(this.#states, this.batch.firstOffset, isWanted);
  }
}

/** Somebody works on it, or its settlement is not confirmed. */
function isHeldState(state: number): boolean {
  return state >= BEGUN && state <= UNKNOWN;
}
