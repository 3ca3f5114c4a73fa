// What consumers say about messages that they have, and what becomes of messages of which nobody says anything any more.
// Pure; part of the dispatcher.
import type { Offset } from "../model/positions.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { Settlement, SettleOutcome } from "./dispatch-types.ts";
import type { FailureDesk } from "./failure-desk.ts";
import type { Lease } from "./lease.ts";
import type { ModeRules } from "./mode-rules.ts";
import type { Receipt } from "./update-plan.ts";

/** Spreads the jitter of messages that fail together: multiples of the golden ratio. */
const SPREAD = 0.618_033_988_749_895;

export class SettleDesk<B> {
  readonly #core: DispatchCore<B>;
  readonly #mode: ModeRules<B>;
  readonly #failures: FailureDesk<B>;
  readonly #acked: (from: Offset, to: Offset) => void;

  constructor(core: DispatchCore<B>, mode: ModeRules<B>, failures: FailureDesk<B>) {
    this.#core = core;
    this.#mode = mode;
    this.#failures = failures;
    this.#acked = (from, to) => core.update.ack(from, to);
  }

  settle(consumer: Consumer, settlement: Settlement, random: number): SettleOutcome {
    if (settlement.isCumulative) return this.#ackUpTo(consumer, settlement);
    const known = this.#core.leases.byNumber(settlement.deliveryNumber);
    const lease = known?.consumer === consumer.key ? known : undefined;
    if (settlement.kind === "begun") {
      if (lease !== undefined) begin(lease, settlement.ranges);
      return "confirmed";
    }
    const held = this.#check(lease, settlement.ranges);
    if (held === "stale") return "stale";
    if (held === "settled" || lease === undefined) {
      return this.#confirmKnown(consumer, settlement);
    }
    switch (settlement.kind) {
      case "ack":
        this.#take(lease, settlement.ranges, this.#acked);
        this.#core.update.confirmLater(consumer.key, settlement.number, false);
        return "later";
      case "nack":
      case "reject":
        this.#fail(consumer, lease, settlement, random);
        return "later";
      case "release": {
        const ranges: OffsetRange[] = [];
        this.#take(lease, settlement.ranges, (from, to) => ranges.push([from, to]));
        for (const [from, to] of ranges) this.#giveBack(from, to);
        return "confirmed";
      }
      case "extend":
        this.#extend(lease, settlement.ranges);
        return "confirmed";
    }
  }

  /** The push session is over. Of consumers that do not say what they begin, the oldest message may be the cause. */
  loseConsumer(consumer: Consumer, random: number): void {
    const failed: Offset[] = [];
    const returned: OffsetRange[] = [];
    const oldest = consumer.reportsBegun ? undefined : this.#oldest(consumer);
    for (const lease of [...this.#core.leases.ofConsumer(consumer.key)]) {
      for (const range of this.#core.takeAll(lease)) {
        if (consumer.reportsBegun) splitRun(range, (at) => lease.isBegun(at), failed, returned);
        else splitRun(range, (at) => at === oldest, failed, returned);
      }
    }
    this.#lose(failed, returned, "session-lost", random);
  }

  /** The lowest message of the first delivery that is not settled. */
  #oldest(consumer: Consumer): Offset | undefined {
    let oldest: { readonly number: number; readonly offset: Offset } | undefined;
    for (const lease of this.#core.leases.ofConsumer(consumer.key)) {
      const { number } = lease;
      if (oldest !== undefined && number > oldest.number) break;
      const first = lease.nextHeld(lease.from, lease.to);
      oldest = { number, offset: Math.min(first, oldest?.offset ?? first) };
    }
    return oldest?.offset;
  }

  /** Takes back what was not settled in time; whoever had it is silent until it is heard. */
  expire(random: number): void {
    const failed: Offset[] = [];
    const returned: OffsetRange[] = [];
    const { consumers, leases, nowMs } = this.#core;
    for (let lease = leases.expired(nowMs); lease !== undefined; lease = leases.expired(nowMs)) {
      const consumer = consumers.get(lease.consumer);
      if (consumer !== undefined) consumers.setSilent(consumer, true);
      const reportsBegun = consumer?.reportsBegun === true;
      for (const range of this.#core.revoke(lease, lease.from, "deadline")) {
        const isBegun = (at: Offset): boolean => lease.isBegun(at);
        splitRun(range, reportsBegun ? isBegun : () => true, failed, returned);
      }
    }
    this.#lose(failed, returned, "deadline", random);
    this.#failures.decideOverdue();
  }

  #lose(
    failed: readonly Offset[],
    returned: readonly OffsetRange[],
    cause: "deadline" | "session-lost",
    random: number,
  ): void {
    for (const [from, to] of returned) this.#giveBack(from, to);
    for (const [at, offset] of failed.entries()) {
      const spread = (random + at * SPREAD) % 1;
      if (cause === "deadline") this.#failures.overdue(offset, spread);
      else {
        const report = { cause, error: "", retryAtMs: 0, random: spread, receipt: undefined };
        this.#failures.fail(offset, report);
      }
    }
  }

  #giveBack(from: Offset, to: Offset): void {
    this.#core.countHandedOut(from, to);
    this.#mode.returned(from, to);
  }

  #fail(consumer: Consumer, lease: Lease, settlement: Settlement, random: number): void {
    const offsets: Offset[] = [];
    this.#take(lease, settlement.ranges, (from, to) => {
      for (let offset = from; offset < to; offset += 1) offsets.push(offset);
    });
    const { number, error, retryAtMs } = settlement;
    const receipt: Receipt = { consumer: consumer.key, number, left: offsets.length };
    const cause = settlement.kind === "reject" ? "reject" : "nack";
    for (const [at, offset] of offsets.entries()) {
      const spread = (random + at * SPREAD) % 1;
      this.#failures.fail(offset, { cause, error, retryAtMs, random: spread, receipt });
    }
  }

  /**
   * Whether everything named is held, or settled otherwise. Nothing is done when something is neither: a refusal means that
   * nothing happened.
   */
  #check(lease: Lease | undefined, ranges: readonly OffsetRange[]): "held" | "settled" | "stale" {
    if (ranges.length === 0) return lease === undefined || lease.isTorn ? "stale" : "held";
    const { settled } = this.#core.state;
    let outcome: "held" | "settled" = "settled";
    for (const [from, to] of ranges) {
      for (let offset = from; offset < to; ) {
        const part = partWith(lease, offset);
        if (part !== undefined) {
          outcome = "held";
          offset = part.nextFree(offset, to);
        } else if (settled.isSettled(offset)) {
          offset = settled.nextUnsettled(offset);
        } else if (this.#core.update.isAcking(offset)) {
          offset += 1;
        } else {
          return "stale";
        }
      }
    }
    return outcome;
  }

  /** Everything is settled or being settled: confirmed when that is in force. */
  #confirmKnown(consumer: Consumer, { ranges, number }: Settlement): SettleOutcome {
    const { update } = this.#core;
    const isAnyOpen = ranges.some(([from, to]) => {
      return this.#core.state.settled.nextUnsettled(from) < to;
    });
    if (!isAnyOpen) return "confirmed";
    update.confirmLater(consumer.key, number, !update.hasAcks);
    return "later";
  }

  /** Everything that the consumer holds, up to a delivery. What it lost it knows, unless the notice is still under way. */
  #ackUpTo(consumer: Consumer, { deliveryNumber, ranges, number }: Settlement): SettleOutcome {
    const { leases, update } = this.#core;
    if (deliveryNumber > consumer.lastNumber || consumer.mayMeanLost(deliveryNumber))
      return "stale";
    const end = ranges.at(-1)?.[1] ?? Number.POSITIVE_INFINITY;
    for (const lease of leases.ofConsumer(consumer.key)) {
      if (lease.number > deliveryNumber) break;
      const to = lease.number === deliveryNumber ? Math.min(end, lease.to) : lease.to;
      leases.take(lease, lease.from, to, this.#acked);
    }
    const isUnderWay = !update.hasAcks && update.underWay !== undefined;
    if (!update.hasAcks && !isUnderWay) return "confirmed";
    update.confirmLater(consumer.key, number, isUnderWay);
    return "later";
  }

  #extend(lease: Lease, ranges: readonly OffsetRange[]): void {
    const { leases, nowMs, definition } = this.#core;
    const named = ranges.length === 0 ? undefined : ranges;
    for (const part of partsOf(lease)) leases.extend(part, named, nowMs, definition.ackDeadlineMs);
  }

  /** What is named of a delivery, run by run; everything without ranges. */
  #take(
    lease: Lease,
    ranges: readonly OffsetRange[],
    taken: (from: Offset, to: Offset) => void,
  ): void {
    const { leases } = this.#core;
    if (lease.sibling === undefined && ranges.length === 1) {
      const [range] = ranges;
      if (range !== undefined) leases.take(lease, range[0], range[1], taken);
      return;
    }
    for (const part of partsOf(lease)) {
      if (ranges.length === 0) leases.take(part, part.from, part.to, taken);
      for (const [from, to] of ranges) leases.take(part, from, to, taken);
    }
  }
}

function partsOf(first: Lease): Lease[] {
  const parts: Lease[] = [];
  for (let part: Lease | undefined = first; part !== undefined; part = part.sibling) {
    parts.push(part);
  }
  return parts;
}

function partWith(first: Lease | undefined, offset: Offset): Lease | undefined {
  let part = first;
  while (part !== undefined && !part.has(offset)) part = part.sibling;
  return part;
}

function begin(first: Lease, ranges: readonly OffsetRange[]): void {
  for (const part of partsOf(first)) {
    if (ranges.length === 0) part.begin(part.from, part.to);
    for (const [from, to] of ranges) part.begin(from, to);
  }
}

/** Of a run that was taken from a lease: what failed with that, and the rest. */
function splitRun(
  [from, to]: OffsetRange,
  isFailed: (offset: Offset) => boolean,
  failed: Offset[],
  others: OffsetRange[],
): void {
  let start = from;
  for (let offset = from; offset < to; offset += 1) {
    if (!isFailed(offset)) continue;
    failed.push(offset);
    if (start < offset) others.push([start, offset]);
    start = offset + 1;
  }
  if (start < to) others.push([start, to]);
}
