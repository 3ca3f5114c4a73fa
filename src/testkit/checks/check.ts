// What every check gets and gives. A check is a pure function over the facts of a history; registry.ts lists them.
import type { AnomalyKind } from "../catalogue.ts";
import type { DeliveryView } from "../delivery-view.ts";
import type { Facts } from "../facts.ts";
import type { FinalReads } from "../final-reads.ts";
import type { Promises } from "../promises.ts";
import type { ReceiptsByTime } from "../receipts-by-time.ts";
import type { Rules } from "../rules.ts";
import { NONE } from "../send-table.ts";

export interface Evidence {
  readonly facts: Facts;
  readonly rules: Rules;
  readonly promises: Promises;
  readonly finals: FinalReads;
  readonly deliveryView: DeliveryView;
  /** By place; made when it is first asked for. */
  readonly receiptsByTime: () => readonly ReceiptsByTime[];
}

export interface Finding {
  readonly message: string;
  /** Numbers of the events that prove it, from 0; NONE is left out. */
  readonly events: readonly number[];
  readonly value?: string | undefined;
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
}

/** Takes a finding; asks for its description only while few of that kind are described. */
export type Found = (kind: AnomalyKind, describe: () => Finding) => void;

export interface Check {
  readonly kinds: readonly AnomalyKind[];
  /** @returns how many facts it looked at: after 0 it has proved nothing */
  readonly run: (evidence: Evidence, found: Found) => number;
}

/** "orders/0@17". */
export function at(facts: Facts, place: number, offset: number): string {
  return `${facts.places.nameOf(place)}@${offset}`;
}

/** Where a finding is, for its fields. */
export function located(
  facts: Facts,
  place: number,
  offset?: number,
): Pick<Finding, "topic" | "partition" | "offset"> {
  const { topic, partition } = facts.places.placeOf(place);
  return offset === undefined ? { topic, partition } : { topic, partition, offset };
}

/** Values are as long as users make them. */
export function shown(value: string): string {
  return value.length <= 60 ? `"${value}"` : `"${value.slice(0, 60)}…"`;
}

/** The events of a send, as far as there are any. */
export function eventsOf(facts: Facts, row: number): number[] {
  const { sends } = facts;
  const events = [sends.sendEvent.at(row), sends.ackEvent.at(row), sends.failEvent.at(row)];
  return events.filter((event) => event !== NONE);
}
