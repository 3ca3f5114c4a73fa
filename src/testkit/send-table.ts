// Every value of a history as a row: its send, how that ended, and when the value was first seen to be committed.
// Filled by facts.ts, read by the checks.
import { Column } from "./column.ts";
import type { DurabilityClass, SendAcknowledged, SendFailed, SendInvoked } from "./events.ts";
import { Names, type Places } from "./names.ts";

/** In columns that hold numbers of events, places, nodes and keys: there is none. */
export const NONE = -1;

const CLASSES: readonly DurabilityClass[] = [
  "all/sync",
  "all/async",
  "leader/sync",
  "leader/async",
  "none",
];

/** A line that contradicts an earlier one about the same value. */
export interface Contradiction {
  readonly row: number;
  readonly event: number;
}

export class SendTable {
  readonly values = new Names();
  readonly producers = new Names();
  readonly topics = new Names();
  readonly keys = new Names();
  readonly reasons = new Names();
  readonly markers = new Names();
  /** Rows in the order of the calls. */
  readonly calls: Column = Column.small();
  /** Number of the send's event; NONE: nobody sent this value. */
  readonly sendEvent: Column = Column.small();
  readonly sentMs: Column = Column.numbers();
  readonly producer: Column = Column.small();
  readonly topic: Column = Column.small();
  readonly key: Column = Column.small();
  readonly durability: Column = Column.small();
  readonly isIdempotent: Column = Column.small();
  readonly marker: Column = Column.small();
  /** Where the sender wanted it. */
  readonly target: Column = Column.small();
  readonly ackEvent: Column = Column.small();
  readonly ackMs: Column = Column.numbers();
  readonly ackPlace: Column = Column.small();
  readonly ackOffset: Column = Column.numbers();
  readonly ackEpoch: Column = Column.numbers();
  readonly ackNode: Column = Column.small();
  readonly failEvent: Column = Column.small();
  readonly failMs: Column = Column.numbers();
  /** 1: not applied. 0: unknown, or did not fail. */
  readonly isNotApplied: Column = Column.small();
  readonly failReason: Column = Column.small();
  /** When a reader or QueryOutcome first showed that it is committed; infinite: never. */
  readonly seenMs: Column = Column.numbers();
  readonly seenEvent: Column = Column.small();
  readonly sentTwice: Contradiction[] = [];
  readonly endedTwice: Contradiction[] = [];
  sent = 0;
  acknowledged = 0;
  failed = 0;
  unknown = 0;

  /** Rows, those of values included that nobody sent. */
  get length(): number {
    return this.sendEvent.length;
  }

  rowOf(value: string): number {
    const row = this.values.numberOf(value);
    if (row === this.sendEvent.length) this.#addRow();
    return row;
  }

  add(event: SendInvoked, number: number, places: Places): void {
    const row = this.rowOf(event.value);
    if (this.sendEvent.at(row) !== NONE) {
      this.sentTwice.push({ row, event: number });
      return;
    }
    const { partition, topic } = event;
    this.sendEvent.set(row, number);
    this.sentMs.set(row, event.atMs);
    this.producer.set(row, this.producers.numberOf(event.producer));
    this.topic.set(row, this.topics.numberOf(topic));
    this.key.set(row, this.keyOf(event.key));
    this.durability.set(row, CLASSES.indexOf(event.durability));
    this.isIdempotent.set(row, event.idempotent === false ? 0 : 1);
    this.target.set(row, partition === undefined ? NONE : places.numberOf(topic, partition));
    const { marker } = event;
    if (marker !== undefined) this.marker.set(row, this.markers.numberOf(marker));
    this.calls.push(row);
    this.sent += 1;
  }

  acknowledge(event: SendAcknowledged, number: number, places: Places): void {
    const row = this.rowOf(event.value);
    if (this.#hasEnded(row)) {
      this.endedTwice.push({ row, event: number });
      return;
    }
    const topic = this.topics.textOf(this.topic.at(row));
    this.ackEvent.set(row, number);
    this.ackMs.set(row, event.atMs);
    this.ackPlace.set(row, places.numberOf(topic, event.partition));
    this.ackOffset.set(row, event.offset);
    this.ackEpoch.set(row, event.leaderEpoch);
    this.ackNode.set(row, event.node ?? NONE);
    this.acknowledged += 1;
  }

  fail(event: SendFailed, number: number): void {
    const row = this.rowOf(event.value);
    if (this.#hasEnded(row)) {
      this.endedTwice.push({ row, event: number });
      return;
    }
    const isNotApplied = event.outcome === "not-applied";
    this.failEvent.set(row, number);
    this.failMs.set(row, event.atMs);
    this.isNotApplied.set(row, isNotApplied ? 1 : 0);
    this.failReason.set(row, this.reasons.numberOf(event.reason));
    if (isNotApplied) this.failed += 1;
    else this.unknown += 1;
  }

  /** It is committed: a reader saw it, or QueryOutcome says so. */
  saw(row: number, atMs: number, event: number): void {
    if (atMs >= this.seenMs.at(row)) return;
    this.seenMs.set(row, atMs);
    this.seenEvent.set(row, event);
  }

  isSent(row: number): boolean {
    return this.sendEvent.at(row) !== NONE;
  }

  isAcknowledged(row: number): boolean {
    return this.ackEvent.at(row) !== NONE;
  }

  hasFailed(row: number): boolean {
    return this.failEvent.at(row) !== NONE;
  }

  classOf(row: number): DurabilityClass {
    return CLASSES[this.durability.at(row)] ?? "none";
  }

  /** Its acknowledgement waits for a majority. */
  isStrong(row: number): boolean {
    return this.durability.at(row) <= 1;
  }

  valueOf(row: number): string {
    return this.values.textOf(row);
  }

  keyOf(key: string | undefined): number {
    return key === undefined ? NONE : this.keys.numberOf(key);
  }

  /** An end without a send: the history is not whole. */
  #hasEnded(row: number): boolean {
    return !this.isSent(row) || this.isAcknowledged(row) || this.hasFailed(row);
  }

  #addRow(): void {
    for (const column of [this.sendEvent, this.ackEvent, this.failEvent, this.seenEvent]) {
      column.push(NONE);
    }
    for (const column of [this.key, this.target, this.ackPlace, this.ackNode, this.failReason]) {
      column.push(NONE);
    }
    this.marker.push(NONE);
    for (const column of [this.producer, this.topic, this.durability, this.isIdempotent]) {
      column.push(0);
    }
    for (const column of [this.sentMs, this.ackMs, this.ackOffset, this.ackEpoch, this.failMs]) {
      column.push(0);
    }
    this.isNotApplied.push(0);
    this.seenMs.push(Number.POSITIVE_INFINITY);
  }
}
