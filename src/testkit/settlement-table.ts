// What consumers asked to settle, and what became of it: a row per settlement, and a "part" for each delivery that it is
// about. Filled by delivery-facts.ts, read by the checks.
import { Column } from "./column.ts";
import type { SettlementAnswered, SettlementAsked } from "./delivery-events.ts";
import { OffsetIndex } from "./offset-index.ts";
import { NONE } from "./send-table.ts";

export type Verdict = SettlementAsked["verdict"];

const VERDICTS: readonly Verdict[] = ["ack", "nack", "reject", "release", "extend"];
const OUTCOMES: readonly SettlementAnswered["outcome"][] = ["unknown", "confirmed", "refused"];

export class SettlementTable {
  readonly consumer: Column = Column.small();
  readonly verdict: Column = Column.small();
  readonly askedMs: Column = Column.numbers();
  readonly askedEvent: Column = Column.small();
  /** When the outcome was learned; infinite: never. */
  readonly answeredMs: Column = Column.numbers();
  readonly answeredEvent: Column = Column.small();
  readonly outcome: Column = Column.small();
  /** By part: its settlement, its delivery, and the next part of the same delivery. */
  readonly partSettlement: Column = Column.small();
  readonly partDelivery: Column = Column.small();
  readonly partNext: Column = Column.small();
  /** By consumer: number → row. */
  readonly #index: OffsetIndex[] = [];

  get length(): number {
    return this.consumer.length;
  }

  get parts(): number {
    return this.partSettlement.length;
  }

  /** NONE when this consumer used the number before. */
  ask(consumer: number, event: SettlementAsked, number: number): number {
    const index = this.#indexOf(consumer);
    if (index.at(event.number) !== NONE) return NONE;
    const row = this.length;
    index.set(event.number, row);
    this.consumer.push(consumer);
    this.verdict.push(VERDICTS.indexOf(event.verdict));
    this.askedMs.push(event.atMs);
    this.askedEvent.push(number);
    this.answeredMs.push(Number.POSITIVE_INFINITY);
    this.answeredEvent.push(NONE);
    this.outcome.push(0);
    return row;
  }

  /** False when there is no such settlement, or it was answered before. */
  answer(consumer: number, event: SettlementAnswered, number: number): boolean {
    const row = this.#indexOf(consumer).at(event.number);
    if (row === NONE || this.answeredEvent.at(row) !== NONE) return false;
    this.answeredMs.set(row, event.atMs);
    this.answeredEvent.set(row, number);
    this.outcome.set(row, OUTCOMES.indexOf(event.outcome));
    return true;
  }

  /** Returns the number of the part. */
  addPart(settlement: number, delivery: number, next: number): number {
    this.partSettlement.push(settlement);
    this.partDelivery.push(delivery);
    this.partNext.push(next);
    return this.parts - 1;
  }

  verdictOf(row: number): Verdict {
    return VERDICTS[this.verdict.at(row)] ?? "extend";
  }

  isConfirmed(row: number): boolean {
    return this.outcome.at(row) === 1;
  }

  isRefused(row: number): boolean {
    return this.outcome.at(row) === 2;
  }

  #indexOf(consumer: number): OffsetIndex {
    for (let at = this.#index.length; at <= consumer; at += 1) this.#index.push(new OffsetIndex());
    return this.#index[consumer] ?? new OffsetIndex();
  }
}
