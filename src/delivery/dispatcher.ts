// Who gets which message of one subscription in one partition, on the partition's leader (docs/adr/0015). Pure: told of
// consumers, records, settlements, applied updates and time, it says what to hand out, what to read and what to replicate.
// The runner makes one when its partition is ready to lead, and drops it when the leadership ends: leases, credit and
// counters are gone then, what is settled or failed stands in the replicated state.
//
// A turn of the runner: pass on what came in; call takeUpdate() and propose what it gives; call takeOutput() and send
// it; call nextRead() and read; call again at wakeAtMs(). Any method may be called at any time, in any order, but not from
// inside another one.
import { assert } from "../base/assert.ts";
import type { Offset } from "../model/positions.ts";
import type { SubscriptionDefinition } from "../model/subscription.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange, ReleaseUpdate, SubscriptionUpdate } from "./delivery-commands.ts";
import { DispatchCore } from "./dispatch-core.ts";
import { explainMessage } from "./dispatch-explain.ts";
import { modeOf } from "./dispatch-modes.ts";
import type {
  ConsumerInfo,
  ConsumerKey,
  DispatcherOptions,
  DispatchProgress,
  Explanation,
  HeldDelivery,
  LoadedBatch,
  Output,
  ReadRequest,
  Resumed,
  Settlement,
  SettleOutcome,
} from "./dispatch-types.ts";
import { ExclusiveMode } from "./exclusive-mode.ts";
import { FailureDesk } from "./failure-desk.ts";
import type { KnownKey, ModeRules } from "./mode-rules.ts";
import { PresenceDesk } from "./presence-desk.ts";
import { ReadDesk } from "./read-desk.ts";
import { SettleDesk } from "./settle-desk.ts";
import { UpdateDesk } from "./update-desk.ts";

const NOTHING: Resumed = { number: 0, ranges: [] };

/** @typeParam B what the runner knows a loaded batch by */
export class Dispatcher<B> {
  readonly #core: DispatchCore<B>;
  readonly #mode: ModeRules<B>;
  readonly #failures: FailureDesk<B>;
  readonly #desk: SettleDesk<B>;
  readonly #updates: UpdateDesk<B>;
  readonly #presence: PresenceDesk<B>;
  readonly #reads: ReadDesk<B>;

  constructor(options: DispatcherOptions) {
    const core = new DispatchCore<B>(options);
    this.#core = core;
    this.#mode = modeOf(core, options.partitionName);
    this.#failures = new FailureDesk(core, this.#mode);
    this.#reads = new ReadDesk(core, this.#mode, this.#failures);
    this.#desk = new SettleDesk(core, this.#mode, this.#failures);
    this.#updates = new UpdateDesk(core, this.#mode, this.#failures);
    this.#presence = new PresenceDesk(core);
  }

  // Consumers

  /** A push session is there. Nothing goes to it before it has credit; in ordered modes not before `resume` either. */
  addConsumer(consumer: ConsumerKey, info: ConsumerInfo, nowMs: number): void {
    this.#clock(nowMs);
    assert(this.#core.consumers.get(consumer) === undefined, "a consumer is added once");
    this.#presence.joined(this.#core.consumers.add(consumer, info));
  }

  /**
   * What the consumer still works on, given to it by leaders that are gone; [] when nothing. Called once for each consumer. In
   * ordered modes a new leader waits for these calls.
   * @returns for each held delivery what became of it
   */
  resume(consumer: ConsumerKey, held: readonly HeldDelivery[], nowMs: number): readonly Resumed[] {
    this.#clock(nowMs);
    const known = this.#core.consumers.get(consumer);
    if (known === undefined) return held.map(() => NOTHING);
    const resumed = held.map((one) => this.#adopt(known, one));
    this.#core.consumers.markResumed(known);
    this.#presence.resumed(known);
    return resumed;
  }

  /** Others wait for its `resume`, because it may have messages of the last leader. */
  isAwaited(consumer: ConsumerKey): boolean {
    const known = this.#core.consumers.get(consumer);
    return known !== undefined && this.#presence.isAwaited(known);
  }

  /** Its credit (which the session raised itself) is above zero again. */
  creditAdded(consumer: ConsumerKey): void {
    const known = this.#core.consumers.get(consumer);
    if (known !== undefined) this.#core.consumers.wake(known);
  }

  /**
   * Of its whole stream, whatever partition it is about: something was lost by its deadline (what is lost here counts without
   * this call), or it said something.
   */
  setSilent(consumer: ConsumerKey, isSilent: boolean): void {
    const known = this.#core.consumers.get(consumer);
    if (known !== undefined) this.#core.consumers.setSilent(known, isSilent);
  }

  /** Nothing more goes to it; what it holds may be settled. */
  drain(consumer: ConsumerKey): void {
    const known = this.#core.consumers.get(consumer);
    if (known !== undefined) this.#core.consumers.drain(known);
  }

  /**
   * The push session is over: what it began fails once, the rest goes out again.
   * @param random uniform in [0, 1), for the jitter of delays
   */
  removeConsumer(consumer: ConsumerKey, nowMs: number, random: number): void {
    this.#clock(nowMs);
    const known = this.#core.consumers.get(consumer);
    if (known === undefined) return;
    this.#core.consumers.remove(known);
    this.#presence.left(known);
    this.#desk.loseConsumer(known, random);
  }

  // Settlements

  /** @param random uniform in [0, 1), for the jitter of delays */
  settle(
    consumer: ConsumerKey,
    settlement: Settlement,
    nowMs: number,
    random: number,
  ): SettleOutcome {
    this.#clock(nowMs);
    const known = this.#core.consumers.get(consumer);
    return known === undefined ? "stale" : this.#desk.settle(known, settlement, random);
  }

  /** Of the newest delivery: another dispatcher of the same leadership begins above it. */
  get lastNumber(): number {
    return this.#core.leases.lastNumber;
  }

  /** Offsets whose settlement waits for its update to be applied: the runner stops reading streams at a limit. */
  get settlingOffsets(): number {
    return this.#core.update.offsets + this.#failures.waiting;
  }

  // What is replicated

  /**
   * What to propose now; undefined: nothing, or an update is under way. The runner proposes exactly this, again after a
   * refusal (e.g. OVERLOADED), until it was applied or the leadership ended.
   */
  takeUpdate(nowMs: number): SubscriptionUpdate | undefined {
    this.#clock(nowMs);
    const { update, state } = this.#core;
    if (update.underWay !== undefined) return undefined;
    return update.take(state, this.#core.nowMs, this.#presence.takeNote());
  }

  /** The update that takeUpdate gave last was applied to the state. */
  updateApplied(nowMs: number): void {
    this.#clock(nowMs);
    this.#updates.applied();
  }

  /** A `seek` was applied: everything that is out is lost. An update under way is still told by updateApplied. */
  seeked(nowMs: number): void {
    this.#clock(nowMs);
  }

  /** Lets a parked key or stopped partition go on, with the next update. @returns false: that offset parks nothing */
  releaseParked(offset: Offset, action: ReleaseUpdate["action"]): boolean {
    if (this.#core.state.parked.byOffset(offset) === undefined) return false;
    this.#core.update.release({ offset, action });
    return true;
  }

  /** The dead letter topic has this message (one of `state.failures.dead()`): settles it with the next update. */
  deadMoved(offset: Offset): void {
    // A seek may have brought it back meanwhile.
    if (this.#core.state.failures.get(offset)?.isDead === true) this.#core.update.move(offset);
  }

  // The world

  /** Both only grow. */
  logMoved(logStartOffset: Offset, highWatermark: Offset): void {
    const core = this.#core;
    const dropped: OffsetRange = [core.logStartOffset, logStartOffset];
    core.logStartOffset = logStartOffset;
    core.highWatermark = highWatermark;
    this.#reads.logMoved();
    if (dropped[0] < dropped[1]) this.#updates.dropped(dropped);
  }

  /** Another version of the definition. The mode must be the same: for another one the runner makes a new dispatcher. */
  configure(definition: SubscriptionDefinition, nowMs: number): void {
    this.#clock(nowMs);
    const core = this.#core;
    assert(definition.mode === core.definition.mode, "a dispatcher keeps its mode");
    const isOtherFilter = definition.filter !== core.definition.filter;
    core.definition = definition;
    if (!isOtherFilter) return;
    const filtered = core.update.takeFiltered();
    for (const [from, to] of filtered) this.#mode.returned(from, to);
    this.dropReadAhead();
  }

  // Reading

  /** What to read now; undefined: nothing. At most one read is under way: undefined until onRead or onReadFailed. */
  nextRead(nowMs: number): ReadRequest | undefined {
    this.#clock(nowMs);
    return this.#reads.next(() => !this.#isHeldBack() && this.#mode.turn() !== undefined);
  }

  /**
   * The batches of the read, ascending. They belong to the dispatcher until they stand in `Output.released`. None: the same is
   * asked for again when the log moves or a second has passed.
   */
  onRead(batches: readonly LoadedBatch<B>[], nowMs: number): void {
    this.#clock(nowMs);
    this.#reads.done(batches);
  }

  /** The same may be asked for again at once. */
  onReadFailed(): void {
    this.#reads.failed();
  }

  /** Gives back what was read and is not out: nobody is there to take it, or it was read by another filter. */
  dropReadAhead(): void {
    this.#mode.dropReadAhead();
    this.#mode.retries?.drop();
  }

  // Results

  /**
   * Looks at deadlines, hands out what can go out, and gives what happened since the last call.
   * @param random uniform in [0, 1), for the jitter of delays
   */
  takeOutput(nowMs: number, random: number): Output<B> {
    this.#clock(nowMs);
    this.#desk.expire(random);
    this.#handOut();
    const core = this.#core;
    const { lost, deliveries, released } = core;
    core.lost = [];
    core.deliveries = [];
    core.released = [];
    return { lost, confirmed: this.#updates.takeConfirmed(), deliveries, released };
  }

  /**
   * When takeUpdate, takeOutput and nextRead should be called although nothing came in; past: now; Infinity: never. What is to be
   * replicated now is taken as soon as fewer updates are under way, and needs no waking.
   */
  wakeAtMs(): number {
    const { leases, overdue, retries, update, definition, nowMs, offeredMs } = this.#core;
    const replicateMs = Math.min(update.dueMs(), this.#presence.noteDueMs());
    const { emptyUntilMs } = this.#reads;
    const later = [emptyUntilMs, replicateMs].filter((at) => at > nowMs);
    const heldBackUntil = [this.#presence.awaitUntilMs, definition.pausedUntilMs];
    return Math.min(
      leases.nextDeadlineMs(),
      overdue.nextMs(),
      retries.nextDueMs(),
      this.#mode.wakeAtMs(),
      ...later,
      ...heldBackUntil.filter((at) => at > offeredMs),
    );
  }

  // Questions

  /**
   * @param key of the record, when the caller has read it: tells whether it waits or is parked although it was not read ahead
   */
  explain(offset: Offset, nowMs: number, key?: KnownKey): Explanation {
    this.#clock(nowMs);
    return explainMessage(this.#core, this.#mode, offset, key);
  }

  progress(): DispatchProgress {
    const { state, leases, consumers, highWatermark } = this.#core;
    const { settled, failures, parked } = state;
    const active = this.#mode instanceof ExclusiveMode ? this.#mode.active : undefined;
    return {
      cursor: settled.cursor,
      unsettledMessages: Math.max(0, highWatermark - settled.cursor - settled.settledAbove),
      outstandingMessages: leases.outstanding,
      retryingMessages: Math.max(0, failures.size - failures.deadCount - parked.size),
      parkedKeys: parked.size,
      stoppedAt: parked.stoppedAt,
      consumers: consumers.count,
      activeConsumer: active === undefined || active.isGone ? "" : active.id,
      acknowledgedMessages: this.#updates.counts.acknowledged,
      filteredMessages: this.#updates.counts.filtered,
      deadMessages: this.#updates.counts.dead,
    };
  }

  #clock(nowMs: number): void {
    this.#core.nowMs = Math.max(this.#core.nowMs, nowMs);
    this.#updates.followSeek();
  }

  #handOut(): void {
    this.#core.offeredMs = this.#core.nowMs;
    // Looked at even when nobody is there, so that time does not wake the runner for them again.
    this.#core.retries.firstDue(this.#core.nowMs);
    if (this.#isHeldBack() || this.#presence.isUncounted()) return;
    for (;;) {
      const consumer = this.#mode.turn();
      const grant = consumer === undefined ? undefined : this.#mode.offer(consumer);
      if (consumer === undefined || grant === undefined) return;
      this.#core.deliver(consumer, grant);
      this.#core.consumers.rotate();
    }
  }

  /** Nothing at all may go out now. */
  #isHeldBack(): boolean {
    const { definition, parked, nowMs } = this.#core;
    if (this.#updates.isSeekOpen || definition.pausedUntilMs > nowMs || parked.isStopped)
      return true;
    if (this.#core.outstandingLeft <= 0 || this.#presence.isAwaiting()) return true;
    // What failed may have to go first.
    return definition.mode === "exclusive" && this.#failures.pending > 0;
  }

  #adopt(consumer: Consumer, { leaderEpoch, ranges }: HeldDelivery): Resumed {
    const { state, highWatermark, leases, definition, nowMs } = this.#core;
    // A seek voids what was given before it, also where its leader died before the consumer was told.
    if (leaderEpoch <= state.seekEpoch) return NOTHING;
    const kept: OffsetRange[] = [];
    for (const [from, to] of ranges) {
      const start = Math.max(from, state.cursor);
      const end = Math.min(to, highWatermark);
      if (start < end) kept.push([start, end]);
    }
    const span = (kept.at(-1)?.[1] ?? 0) - (kept[0]?.[0] ?? 0);
    // A delivery is of one batch: a larger one is none of ours.
    if (span > this.#core.outstandingLeft) return NOTHING;
    const isFailing = definition.mode === "exclusive" && this.#failures.pending > 0;
    const isBlocked = this.#updates.isSeekOpen || isFailing;
    const adopted = isBlocked ? [] : this.#mode.adopt(consumer, kept);
    if (adopted.length === 0) return NOTHING;
    const lease = leases.grant(consumer.key, adopted, nowMs, definition.ackDeadlineMs);
    consumer.lastNumber = lease.number;
    for (const [from, to] of adopted) this.#core.countHandedOut(from, to);
    return { number: lease.number, ranges: adopted };
  }
}
