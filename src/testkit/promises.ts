// Which acknowledged or visible records must still be there, given the class of each send and the faults that happened:
// docs/GUARANTEES.md §1 as a function. Whoever reports a loss asks here first.
import { Column } from "./column.ts";
import { Epochs } from "./epochs.ts";
import type { DurabilityClass } from "./events.ts";
import type { Facts } from "./facts.ts";
import { FaultTimeline } from "./fault-timeline.ts";
import type { Rules } from "./rules.ts";

export class Promises {
  readonly timeline: FaultTimeline;
  readonly epochs: Epochs;
  readonly #facts: Facts;
  readonly #rules: Rules;
  /** Instead of the rule, when the caller knows which classes survive. */
  readonly #survivors: ReadonlySet<DurabilityClass> | undefined;
  /** By row: 0 not asked yet, 1 it holds, 2 it may be broken. */
  readonly #receipts: Column = Column.small();
  readonly #visible: Column = Column.small();

  constructor(facts: Facts, rules: Rules, survivors?: ReadonlySet<DurabilityClass>) {
    this.#facts = facts;
    this.#rules = rules;
    this.#survivors = survivors;
    this.timeline = new FaultTimeline(facts.faults, rules.asyncWindowMs);
    this.epochs = new Epochs(facts);
    for (let row = 0; row < facts.sends.length; row += 1) {
      this.#receipts.push(0);
      this.#visible.push(0);
    }
  }

  /** It was acknowledged, and no fault of this run excuses that the record is not where the receipt says. */
  receiptHolds(row: number): boolean {
    const { sends } = this.#facts;
    if (!sends.isAcknowledged(row)) return false;
    return remembered(this.#receipts, row, () =>
      this.#holds(row, sends.classOf(row), sends.ackMs.at(row)),
    );
  }

  /** It was seen to be committed, and no fault of this run excuses that it is gone. Never for what nobody sent. */
  visibleHolds(row: number): boolean {
    const { sends } = this.#facts;
    const seenMs = sends.seenMs.at(row);
    if (!sends.isSent(row) || !Number.isFinite(seenMs)) return false;
    return remembered(this.#visible, row, () => this.#holds(row, this.#visibleClass(row), seenMs));
  }

  /** What consumers were told about a partition stands, like a record of the class that the topic's flush makes it. */
  statementHolds(topic: string, fromMs: number, toMs: number): boolean {
    const flush = this.#facts.topics.get(topic)?.flush ?? "sync";
    if (this.#survivors !== undefined) return this.#survivors.has(`all/${flush}`);
    if (this.timeline.isVoidAfter(fromMs, this.majorityOf(topic))) return false;
    return flush === "sync" || this.#isRemembered(topic, fromMs, toMs);
  }

  /** What was written from `fromMs` on and committed by `toMs` may be gone at `byMs`: the faults of that time excuse it. */
  mayBeGone(topic: string, fromMs: number, toMs: number, byMs: number): boolean {
    const flush = this.#facts.topics.get(topic)?.flush ?? "sync";
    if (this.#survivors !== undefined) return !this.#survivors.has(`all/${flush}`);
    if (this.timeline.isVoidWithin(fromMs, byMs, this.majorityOf(topic))) return true;
    return flush === "async" && !this.#isRemembered(topic, fromMs, toMs, byMs);
  }

  majorityOf(topic: string): number {
    return Math.floor(this.replicasOf(topic) / 2) + 1;
  }

  replicasOf(topic: string): number {
    return this.#facts.topics.get(topic)?.replicas ?? this.#rules.replicas;
  }

  /** Visible means committed: on a majority, and on its disks where the topic flushes. */
  #visibleClass(row: number): DurabilityClass {
    const { sends, topics } = this.#facts;
    const topic = sends.topics.textOf(sends.topic.at(row));
    const flush = topics.get(topic)?.flush;
    if (flush !== undefined) return `all/${flush}`;
    const durability = sends.classOf(row);
    return durability === "all/sync" || durability === "leader/sync" ? "all/sync" : "all/async";
  }

  #holds(row: number, durability: DurabilityClass, sinceMs: number): boolean {
    if (this.#survivors !== undefined) return this.#survivors.has(durability);
    const { sends } = this.#facts;
    const topic = sends.topics.textOf(sends.topic.at(row));
    const majority = this.majorityOf(topic);
    const sentMs = sends.sentMs.at(row);
    if (this.timeline.isVoidAfter(sentMs, majority)) return false;
    switch (durability) {
      case "all/sync":
        return true;
      case "all/async":
        return this.#isRemembered(topic, sentMs, sinceMs);
      case "leader/sync":
      case "leader/async":
        return this.#holdsWithLeader(row, durability);
      case "none":
        return false;
    }
  }

  /** Fewer replicas than it takes lost what they had not flushed. @param byMs until then; absent: ever */
  #isRemembered(topic: string, fromMs: number, toMs: number, byMs?: number): boolean {
    const enough = this.#rules.lazyVoters ? 1 : this.majorityOf(topic);
    return this.timeline.nodesThatForgot(fromMs, toMs, byMs) < enough;
  }

  /** While the leader stays, its word stands; a leader that was restarted keeps what it had flushed. */
  #holdsWithLeader(row: number, durability: DurabilityClass): boolean {
    const { sends } = this.#facts;
    const place = sends.ackPlace.at(row);
    const epoch = sends.ackEpoch.at(row);
    const hasLater = this.epochs.hasLater(place, epoch);
    const isDisturbed = this.timeline.isDisturbedAfter(sends.sentMs.at(row));
    if (!hasLater && !isDisturbed) return true;
    if (durability !== "leader/sync" || !hasLater) return false;
    const isWiped = this.timeline.isVoidAfter(sends.sentMs.at(row), 1);
    return !isWiped && this.epochs.stayedWithLeader(place, epoch);
  }
}

function remembered(answers: Column, row: number, ask: () => boolean): boolean {
  const known = answers.at(row);
  if (known !== 0) return known === 1;
  const holds = ask();
  answers.set(row, holds ? 1 : 2);
  return holds;
}
