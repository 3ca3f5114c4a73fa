// Mode exclusive: everything in the order of the log, to one consumer. What failed or came back is read again from there on,
// and what is out behind it is revoked, so that nothing overtakes it. Pure.
import type { Offset } from "../model/positions.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange, ReleaseUpdate } from "./delivery-commands.ts";
import { type DispatchCore, OUTSTANDING_MAX } from "./dispatch-core.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import type { Grant, HeldBatch } from "./held-batch.ts";
import { type Behind, type ModeRules, READ_BYTES } from "./mode-rules.ts";
import { chooseOwner } from "./rendezvous-plan.ts";

/** Messages out before anything was learned. */
const WINDOW_START = 1000;
const WINDOW_MIN = 16;

export class ExclusiveMode<B> implements ModeRules<B> {
  readonly #core: DispatchCore<B>;
  readonly #partitionName: string;
  /** Behind what is loaded. */
  #next: Offset;
  #loaded: HeldBatch<B>[] = [];
  #loadedBytes = 0;
  #active: Consumer | undefined;
  /** By rendezvous, for this version of the table of consumers. */
  #chosen: Consumer | undefined;
  #chosenVersion = -1;
  #blockedUntilMs = Number.POSITIVE_INFINITY;
  #isRevoking = false;
  /**
   * While so many are out, nothing more goes out. What is out behind a failure is revoked and goes out again, so that with large credit
   * and many failures most of what is sent would be sent in vain: halved when something was revoked, grows by what is acknowledged.
   */
  #window = WINDOW_START;
  /** The lowest message that was passed over because its key is parked. */
  #passedOver: Offset = Number.POSITIVE_INFINITY;
  readEpoch = 0;
  readonly retries = undefined;

  constructor(core: DispatchCore<B>, partitionName: string) {
    this.#core = core;
    this.#partitionName = partitionName;
    this.#next = core.state.cursor;
    this.#noteDead();
  }

  /** Whose the partition is. */
  get active(): Consumer | undefined {
    return this.#active;
  }

  readFrom(): Offset | undefined {
    if (this.#loadedBytes >= READ_BYTES / 2) return undefined;
    this.#next = this.#core.nextFree(this.#next);
    return this.#next;
  }

  accept(_from: Offset, batches: readonly LoadedBatch<B>[]): void {
    for (const batch of batches) {
      const held = this.#core.hold(batch);
      held.position = Math.max(held.position, Math.min(this.#next, batch.endOffset));
      this.#loaded.push(held);
      this.#loadedBytes += batch.bytes;
      this.#next = Math.max(this.#next, batch.endOffset);
    }
  }

  turn(): Consumer | undefined {
    const { consumers, leases } = this.#core;
    if (this.#chosenVersion !== consumers.version) {
      this.#chosenVersion = consumers.version;
      this.#chosen = this.#choose();
    }
    const chosen = this.#chosen;
    if (chosen === undefined || leases.isHeldByOthers(chosen.key)) return undefined;
    // What the former one acknowledged is in force first: otherwise a leader change could hand it out again, after what comes now.
    const isHandOver = this.#active !== undefined && this.#active !== chosen;
    if (isHandOver && this.#core.update.isAckingAny) return undefined;
    this.#active = chosen;
    return consumers.canBeServed(chosen) ? chosen : undefined;
  }

  offer(consumer: Consumer): Grant<B> | undefined {
    this.#blockedUntilMs = Number.POSITIVE_INFINITY;
    if (this.#core.leases.outstanding >= this.#window) return undefined;
    for (let held = this.#loaded[0]; held !== undefined; held = this.#loaded[0]) {
      held.position = this.#nextFor(held);
      if (held.position >= held.batch.endOffset) {
        this.#done(held);
        continue;
      }
      const room = this.#core.room(consumer, held);
      if (room <= 0 || !this.#isDue(held.position)) return undefined;
      return this.#grant(held, room);
    }
    return undefined;
  }

  wakeAtMs(): number {
    // What was due while nothing may go out waits for that, not for the time.
    const isToCome = this.#blockedUntilMs > this.#core.offeredMs;
    return isToCome ? this.#blockedUntilMs : Number.POSITIVE_INFINITY;
  }

  returned(from: Offset, to: Offset): void {
    this.#core.setFree(from, to);
    this.#goBack(from);
    this.#revokeBehind(from);
  }

  failing(offset: Offset): void {
    this.#goBack(offset);
    this.#revokeBehind(offset);
  }

  failed(offset: Offset): void {
    this.#core.setFree(offset, offset + 1);
    this.#goBack(offset);
  }

  settled(): void {}

  acknowledged(messages: number): void {
    this.#window = Math.min(this.#window + messages, OUTSTANDING_MAX);
  }

  dead(): void {}

  parked(offset: Offset): void {
    this.failed(offset);
  }

  released(offset: Offset, action: ReleaseUpdate["action"]): void {
    if (action === "dead") this.#core.busy.add(offset, offset + 1);
    this.#goBack(Math.min(offset, this.#passedOver));
    this.#passedOver = Number.POSITIVE_INFINITY;
  }

  /** Only what nothing stands before, so that the order stays. */
  adopt(consumer: Consumer, ranges: readonly OffsetRange[]): OffsetRange[] {
    const { state, busy, leases, parked } = this.#core;
    const adopted: OffsetRange[] = [];
    if (leases.isHeldByOthers(consumer.key)) return adopted;
    for (const [from, to] of ranges) {
      for (;;) {
        const first = this.#core.nextFree(state.cursor);
        if (first < from || first >= to || !this.#isDue(first)) break;
        if (parked.size > 0) break;
        const isOne = state.failures.size > 0;
        const end = isOne ? first + 1 : this.#core.freeUntil(first, to);
        busy.add(first, end);
        adopted.push([first, end]);
      }
    }
    if (adopted.length > 0) this.#active = consumer;
    return adopted;
  }

  keyOf(): undefined {
    return undefined;
  }

  behind(offset: Offset): Behind | undefined {
    const first = this.#core.nextFree(this.#core.state.cursor);
    const isBlocked = first < offset && !this.#isDue(first);
    return isBlocked ? { offset: first, key: undefined } : undefined;
  }

  /** What comes before a message may be out together with it. */
  unreadBefore(): undefined {
    return undefined;
  }

  dropReadAhead(): void {
    this.#dropLoaded(this.#core.state.cursor);
  }

  reset(): void {
    this.#passedOver = Number.POSITIVE_INFINITY;
    this.#dropLoaded(this.#core.state.cursor);
    this.#noteDead();
  }

  /** A silent one only when all are: its partition would stand still until its stream ends. */
  #choose(): Consumer | undefined {
    const heard = chooseOwner(this.#candidates(false), this.#partitionName);
    return heard ?? chooseOwner(this.#candidates(true), this.#partitionName);
  }

  *#candidates(areSilent: boolean): Generator<Consumer> {
    for (const consumer of this.#core.consumers.all()) {
      const isReady = consumer.hasResumed && !consumer.isDraining;
      if (isReady && consumer.isSilent === areSilent) yield consumer;
    }
  }

  /** The next message of the batch that may be handed out, besides its time. */
  #nextFor(held: HeldBatch<B>): Offset {
    this.#core.filterAgain(held);
    let offset = this.#core.nextFree(held.position);
    while (offset < held.batch.endOffset && this.#isParked(offset, held)) {
      this.#passedOver = Math.min(this.#passedOver, offset);
      offset = this.#core.nextFree(offset + 1);
    }
    return offset;
  }

  #isParked(offset: Offset, held: HeldBatch<B>): boolean {
    const { parked } = this.#core;
    return parked.size > 0 && parked.hasKey(held.keyOf(offset));
  }

  /** It did not fail, or its next attempt is due. */
  #isDue(offset: Offset): boolean {
    const failure = this.#core.state.failures.get(offset);
    if (failure === undefined) return !this.#core.isFailureLimitReached;
    // It was killed a moment ago, and is busy as soon as that is told.
    if (failure.isDead) return false;
    const dueMs = this.#core.dueMsOf(failure);
    if (dueMs <= this.#core.nowMs) return true;
    this.#blockedUntilMs = dueMs;
    return false;
  }

  #grant(held: HeldBatch<B>, room: number): Grant<B> {
    const { failures } = this.#core.state;
    const { parked } = this.#core;
    const end = held.batch.endOffset;
    const isPlain = failures.size === 0 && parked.size === 0;
    const ranges: OffsetRange[] = [];
    let count = 0;
    let offset = held.position;
    while (offset < end && count < room) {
      if (!isPlain && count > 0 && (!this.#isDue(offset) || this.#isParked(offset, held))) break;
      const free = isPlain ? this.#core.freeUntil(offset, end) : offset + 1;
      const stop = Math.min(free, offset + room - count);
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === offset) ranges[ranges.length - 1] = [last[0], stop];
      else ranges.push([offset, stop]);
      count += stop - offset;
      offset = this.#core.nextFree(stop);
    }
    held.position = Math.min(offset, end);
    if (held.position >= end) this.#done(held);
    return { held, ranges, count, mayHaveFailed: failures.size > 0 };
  }

  #done(held: HeldBatch<B>): void {
    this.#loaded.shift();
    this.#loadedBytes -= held.batch.bytes;
    this.#core.release(held);
  }

  /** Everything from this offset on is looked at again. */
  #goBack(offset: Offset): void {
    const [held] = this.#loaded;
    if (offset >= (held?.position ?? this.#next)) return;
    if (held?.holds(offset) === true) held.position = offset;
    else this.#dropLoaded(offset);
  }

  #dropLoaded(next: Offset): void {
    for (const held of this.#loaded) this.#core.release(held);
    this.#loaded = [];
    this.#loadedBytes = 0;
    this.#next = next;
    this.readEpoch += 1;
  }

  #revokeBehind(offset: Offset): void {
    if (this.#isRevoking) return;
    this.#isRevoking = true;
    let revoked = 0;
    for (const lease of [...this.#core.leases.all()]) {
      if (lease.to <= offset + 1) continue;
      for (const [from, to] of this.#core.revoke(lease, offset + 1, "revoked")) {
        this.#core.countHandedOut(from, to);
        this.#core.setFree(from, to);
        revoked += to - from;
      }
    }
    if (revoked > 0) this.#window = Math.max(WINDOW_MIN, Math.floor(this.#window / 2));
    this.#isRevoking = false;
  }

  #noteDead(): void {
    for (const { offset } of this.#core.state.failures.dead())
      this.#core.busy.add(offset, offset + 1);
  }
}
