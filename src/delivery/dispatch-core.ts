// What all modes of handing out share: which offsets are busy, who has what, what is to be replicated, what was read. The
// dispatcher drives it; a mode (mode-rules) decides what goes out next. Pure.
import type { Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS, type SubscriptionDefinition } from "../model/subscription.ts";
import { type Consumer, ConsumerTable } from "./consumer-table.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { Failure } from "./delivery-records.ts";
import type {
  ConsumerKey,
  LoadedBatch,
  LostDelivery,
  OutgoingDelivery,
  RedeliveredMessage,
} from "./dispatch-types.ts";
import { type Grant, HeldBatch } from "./held-batch.ts";
import type { Lease } from "./lease.ts";
import { countOf, LeaseTable } from "./lease-table.ts";
import { OffsetTable } from "./offset-table.ts";
import { OverdueTable } from "./overdue-table.ts";
import { ParkedView } from "./parked-view.ts";
import { dueMsOf } from "./retry-plan.ts";
import { RetryTable } from "./retry-table.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import { UpdatePlan } from "./update-plan.ts";

/** Messages out. Beyond: nothing more goes out. */
export const OUTSTANDING_MAX = 100_000;
const NONE: readonly RedeliveredMessage[] = [];

export class DispatchCore<B> {
  readonly state: SubscriptionState;
  readonly consumers: ConsumerTable;
  readonly leases: LeaseTable;
  readonly retries = new RetryTable();
  readonly update = new UpdatePlan();
  readonly overdue: OverdueTable;
  /** Not settled, and not to be handed out: out, being settled, failed, filtered, or kept by the mode. */
  readonly busy = new OffsetTable();
  /** How often messages went out that came back. */
  readonly handedOut = new Map<Offset, number>();
  /** What holds others up. Modes ask this, and not the replicated state. */
  readonly parked: ParkedView;
  /** Consumers that have confirmations to be told. */
  readonly confirming = new Set<ConsumerKey>();
  definition: SubscriptionDefinition;
  readonly #sinceMs: number;
  nowMs: number;
  /**
   * When it was last looked at what can go out. The clock goes on within a turn: what has become due since nobody has looked at, so
   * times before which nothing goes out are compared with this. (What is to be read or replicated is looked at behind, with `nowMs`.)
   */
  offeredMs: number;
  logStartOffset: Offset;
  highWatermark: Offset;
  lost: LostDelivery[] = [];
  deliveries: OutgoingDelivery<B>[] = [];
  released: B[] = [];
  /** Grows when messages become free again. */
  #comeBacks = 0;

  constructor(options: {
    readonly state: SubscriptionState;
    readonly definition: SubscriptionDefinition;
    readonly partitionName: string;
    readonly logStartOffset: Offset;
    readonly highWatermark: Offset;
    readonly nowMs: number;
    readonly lastNumber?: number;
  }) {
    this.state = options.state;
    this.leases = new LeaseTable(options.lastNumber);
    this.parked = new ParkedView(options.state.parked);
    this.definition = options.definition;
    this.nowMs = options.nowMs;
    this.offeredMs = options.nowMs;
    this.overdue = new OverdueTable(options.nowMs);
    this.#sinceMs = options.nowMs;
    this.logStartOffset = options.logStartOffset;
    this.highWatermark = options.highWatermark;
    this.consumers = new ConsumerTable(
      `${options.state.id}\n${options.partitionName}`,
      options.definition.mode !== "shared",
      (consumer) => this.leases.isHolding(consumer),
    );
  }

  isSettled(offset: Offset): boolean {
    return this.state.settled.isSettled(offset);
  }

  /** When a failed message may go out again. */
  dueMsOf(failure: Failure): number {
    return dueMsOf(failure, this.nowMs, this.#sinceMs);
  }

  isFree(offset: Offset): boolean {
    return !this.state.settled.isSettled(offset) && !this.busy.has(offset);
  }

  /** The lowest offset ≥ `from` that is neither settled nor busy; it may not exist yet. */
  nextFree(from: Offset): Offset {
    for (let offset = from; ; ) {
      const unsettled = this.state.settled.nextUnsettled(offset);
      offset = this.busy.nextAbsent(unsettled);
      if (offset === unsettled) return offset;
    }
  }

  /** Where a run of free offsets that begins at `from` ends, at most at `to`. */
  freeUntil(from: Offset, to: Offset): Offset {
    return this.busy.nextPresent(from, this.state.settled.nextSettled(from, to));
  }

  /** A batch that was read: what the filter does not want is on its way to be settled. */
  hold(batch: LoadedBatch<B>): HeldBatch<B> {
    const held = new HeldBatch(batch);
    this.filterAgain(held);
    return held;
  }

  /** What was out when the batch was read may have come back, and be unwanted by now. */
  filterAgain(held: HeldBatch<B>): void {
    if (held.filteredAt === this.#comeBacks || held.batch.unwanted.length === 0) return;
    held.filteredAt = this.#comeBacks;
    for (const [from, to] of held.batch.unwanted) {
      for (let offset = this.nextFree(from); offset < to; ) {
        const end = this.freeUntil(offset, to);
        this.filter(offset, end);
        offset = this.nextFree(end);
      }
    }
  }

  /** Not busy any more, and to be handed out again. */
  setFree(from: Offset, to: Offset): void {
    this.busy.delete(from, to);
    this.#comeBacks += 1;
  }

  filter(from: Offset, to: Offset): void {
    this.busy.add(from, to);
    this.update.filter(from, to, this.nowMs);
  }

  release(held: HeldBatch<B>): void {
    this.released.push(held.batch.handle);
  }

  /** Too many failures are kept: only messages that failed before may go out. */
  get isFailureLimitReached(): boolean {
    const unapplied = this.overdue.size + this.update.failing;
    return this.state.failures.size + unapplied >= SUBSCRIPTION_LIMITS.failures;
  }

  /** How many messages may go out besides those that are. What is overdue counts as out: it would be without its deadline. */
  get outstandingLeft(): number {
    return OUTSTANDING_MAX - this.leases.outstanding - this.overdue.size;
  }

  /**
   * How many records of a batch the consumer may get now. A silent one is asked with one message whether it is there: what it
   * leaves lying fails, is replicated and is sent again, for as long as it likes.
   */
  room(consumer: Consumer, held: HeldBatch<B>): number {
    const { credit } = consumer;
    const most = consumer.isSilent ? 1 : credit.messages;
    const records = held.batch.endOffset - held.batch.baseOffset;
    const byBytes = Math.max(1, Math.floor((credit.bytes * records) / held.batch.bytes));
    return Math.min(most, byBytes, this.outstandingLeft);
  }

  deliver(consumer: Consumer, { held, ranges, count, mayHaveFailed }: Grant<B>): void {
    const { batch } = held;
    const { ackDeadlineMs } = this.definition;
    const lease = this.leases.grant(consumer.key, ranges, this.nowMs, ackDeadlineMs);
    for (const [from, to] of ranges) this.busy.add(from, to);
    consumer.lastNumber = lease.number;
    const cost = { messages: count, bytes: held.bytesOf(count) };
    consumer.credit.messages -= cost.messages;
    consumer.credit.bytes -= cost.bytes;
    this.deliveries.push({
      consumer: consumer.key,
      number: lease.number,
      batch,
      ranges,
      isWhole: count === batch.endOffset - batch.baseOffset,
      cost,
      redeliveries: this.#redeliveries(ranges, mayHaveFailed),
    });
  }

  /** Takes everything that a lease has, and tells its consumer. */
  revoke(lease: Lease, from: Offset, cause: LostDelivery["cause"]): OffsetRange[] {
    const ranges = this.takeAll(lease, from);
    if (ranges.length === 0) return ranges;
    const { number } = lease;
    this.lost.push({ consumer: lease.consumer, number, ranges, cause });
    this.consumers.get(lease.consumer)?.noteLoss(number);
    for (let part = this.leases.byNumber(number); part !== undefined; part = part.sibling) {
      part.isTorn = true;
    }
    return ranges;
  }

  /** Takes what a lease has from an offset on. */
  takeAll(lease: Lease, from: Offset = lease.from): OffsetRange[] {
    const ranges: OffsetRange[] = [];
    this.leases.take(lease, from, lease.to, (start, end) => ranges.push([start, end]));
    return ranges;
  }

  /** Messages came back from a consumer. What retention dropped meanwhile goes out no more. */
  countHandedOut(from: Offset, to: Offset): void {
    for (let offset = from; offset < to; offset += 1) {
      const isNew = !this.handedOut.has(offset) && !this.isSettled(offset);
      if (isNew) this.handedOut.set(offset, 1);
    }
  }

  /** What is settled is not handed out again. */
  forgetHandedOut(ranges: readonly OffsetRange[]): void {
    const { handedOut } = this;
    if (handedOut.size === 0) return;
    if (countOf(ranges) > handedOut.size) {
      for (const offset of handedOut.keys()) if (this.isSettled(offset)) handedOut.delete(offset);
      return;
    }
    for (const [from, to] of ranges) {
      for (let offset = from; offset < to; offset += 1) handedOut.delete(offset);
    }
  }

  /** Whether and how often messages of these ranges were out before; counts this time. */
  #redeliveries(
    ranges: readonly OffsetRange[],
    mayHaveFailed: boolean,
  ): readonly RedeliveredMessage[] {
    if (this.handedOut.size === 0 && !mayHaveFailed) return NONE;
    const redeliveries: RedeliveredMessage[] = [];
    for (const [from, to] of ranges) {
      for (let offset = from; offset < to; offset += 1) {
        const before = this.handedOut.get(offset);
        const failed = mayHaveFailed ? (this.state.failures.get(offset)?.failed ?? 0) : 0;
        if (before === undefined && failed === 0) continue;
        const handedOut = (before ?? 0) + 1;
        if (before !== undefined) this.handedOut.set(offset, handedOut);
        redeliveries.push({ offset, handedOut, failed });
      }
    }
    return redeliveries;
  }
}
