// Every message that was handed to a consumer as a row, in the order of the history; the rows of one message hang together.
// Filled by delivery-facts.ts, read by the checks.
import { Column } from "./column.ts";
import { NONE } from "./send-table.ts";

export interface DeliveryRow {
  readonly message: number;
  /** The one before it of the same message; NONE: it is the first. */
  readonly previous: number;
  readonly consumer: number;
  readonly epoch: number;
  readonly number: number;
  readonly atMs: number;
  readonly event: number;
  /** Row of the value in the table of sends. */
  readonly row: number;
  readonly key: number;
  readonly handedOut: number;
  readonly failed: number;
  readonly isResumed: boolean;
}

/** Why a consumer does not hold a delivery any more. */
export const LOST = { no: 0, deadline: 1, revoked: 2, other: 3 } as const;

export class DeliveryTable {
  readonly message: Column = Column.small();
  readonly previous: Column = Column.small();
  readonly consumer: Column = Column.small();
  readonly epoch: Column = Column.numbers();
  readonly number: Column = Column.numbers();
  readonly atMs: Column = Column.numbers();
  readonly event: Column = Column.small();
  readonly row: Column = Column.small();
  readonly key: Column = Column.small();
  /** As the delivery says; NONE: it says nothing. */
  readonly handedOut: Column = Column.small();
  readonly failed: Column = Column.small();
  /** 1: the consumer held it already, under an older token. */
  readonly isResumed: Column = Column.small();
  /** The row as which it went on, under a newer token; NONE: it did not. */
  readonly wentOnAs: Column = Column.small();
  /** 1: its consumer was told, by a later leader or another stream, that it is settled. */
  readonly isToldSettled: Column = Column.small();
  /** First time that a handler began with it; infinite: never. */
  readonly begunMs: Column = Column.numbers();
  readonly begunEvent: Column = Column.small();
  /** When a handler was done with it and had succeeded; infinite: never. */
  readonly doneMs: Column = Column.numbers();
  readonly lostMs: Column = Column.numbers();
  readonly lostEvent: Column = Column.small();
  /** One of LOST. */
  readonly lostCause: Column = Column.small();
  /** First of its settlements (SettlementTable's parts); NONE: there is none. */
  readonly firstPart: Column = Column.small();

  get length(): number {
    return this.message.length;
  }

  add(given: DeliveryRow): number {
    this.message.push(given.message);
    this.previous.push(given.previous);
    this.consumer.push(given.consumer);
    this.epoch.push(given.epoch);
    this.number.push(given.number);
    this.atMs.push(given.atMs);
    this.event.push(given.event);
    this.row.push(given.row);
    this.key.push(given.key);
    this.handedOut.push(given.handedOut);
    this.failed.push(given.failed);
    this.isResumed.push(given.isResumed ? 1 : 0);
    this.begunMs.push(Number.POSITIVE_INFINITY);
    this.doneMs.push(Number.POSITIVE_INFINITY);
    this.lostMs.push(Number.POSITIVE_INFINITY);
    this.begunEvent.push(NONE);
    this.lostEvent.push(NONE);
    this.firstPart.push(NONE);
    this.wentOnAs.push(NONE);
    this.isToldSettled.push(0);
    this.lostCause.push(LOST.no);
    return this.length - 1;
  }

  begin(delivery: number, atMs: number, event: number): void {
    if (atMs >= this.begunMs.at(delivery)) return;
    this.begunMs.set(delivery, atMs);
    this.begunEvent.set(delivery, event);
  }

  end(delivery: number, atMs: number): void {
    this.doneMs.set(delivery, Math.min(atMs, this.doneMs.at(delivery)));
  }

  lose(delivery: number, atMs: number, event: number, cause: string): void {
    if (atMs >= this.lostMs.at(delivery)) return;
    this.lostMs.set(delivery, atMs);
    this.lostEvent.set(delivery, event);
    const isMild = cause === "revoked" || cause === "seek";
    this.lostCause.set(
      delivery,
      cause === "deadline" ? LOST.deadline : isMild ? LOST.revoked : LOST.other,
    );
  }

  wasBegun(delivery: number): boolean {
    return this.begunEvent.at(delivery) !== NONE;
  }

  /** Its token is older: it was handed out earlier. */
  isBefore(a: number, b: number): boolean {
    const difference = this.epoch.at(a) - this.epoch.at(b);
    return difference === 0 ? this.number.at(a) < this.number.at(b) : difference < 0;
  }
}
