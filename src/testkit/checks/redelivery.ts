// A4 and D2: what a consumer settled with a confirmation stays settled, and only the newest holder can settle it. Deliveries
// under the token that was settled, or an older one, may still arrive: they had left the broker before.
import { NONE } from "../send-table.ts";
import type { Check, Evidence, Found } from "./check.ts";
import { about, mayBeDropped, tokenOf } from "./deliveries.ts";

export const redeliveryCheck: Check = {
  kinds: ["redelivered-after-ack", "stale-settlement-accepted"],
  run: (evidence, found) => {
    const { deliveries, messages } = evidence.facts.delivery;
    for (let message = 0; message < messages.length; message += 1) {
      const newest = messages.newest.at(message);
      if (newest === NONE || isQuiet(evidence, message, newest)) continue;
      judge(evidence, message, found);
    }
    return deliveries.length;
  },
};

/** Delivered once, and never lost: nothing can be wrong. */
function isQuiet({ deliveryView, facts }: Evidence, message: number, newest: number): boolean {
  const isLost = facts.delivery.deliveries.lostEvent.at(newest) !== NONE;
  return deliveryView.wasDeliveredOnce(message) && !isLost;
}

function judge(evidence: Evidence, message: number, found: Found): void {
  const { deliveryView, facts } = evidence;
  const { settlements } = facts.delivery;
  const rows = deliveryView.deliveriesOf(message);
  for (const [at, delivery] of rows.entries()) {
    for (const settlement of deliveryView.settlementsOf(delivery)) {
      if (!settlements.isConfirmed(settlement)) continue;
      const later = rows.slice(at + 1);
      if (judgeStale(evidence, message, delivery, settlement, later, found)) return;
      if (judgeAgain(evidence, message, delivery, settlement, later, found)) return;
    }
  }
}

/** When it was asked, a newer delivery had already arrived, or the notice that the lease was lost. */
function judgeStale(
  evidence: Evidence,
  message: number,
  delivery: number,
  settlement: number,
  later: readonly number[],
  found: Found,
): boolean {
  const { facts } = evidence;
  const { deliveries, settlements } = facts.delivery;
  const askedMs = settlements.askedMs.at(settlement);
  const newer = later.find(
    (row) => isHandedOutAnew(evidence, row, delivery) && deliveries.atMs.at(row) < askedMs,
  );
  const isLost = deliveries.lostMs.at(delivery) < askedMs;
  if (newer === undefined && !isLost) return false;
  if (isSettledOtherwise(evidence, message, delivery, settlement, later)) return false;
  found("stale-settlement-accepted", () => {
    const reason =
      newer === undefined
        ? "the lease had been lost"
        : `it had been delivered ${tokenOf(facts, newer)}`;
    const text = `${settlements.verdictOf(settlement)} of the delivery ${tokenOf(facts, delivery)} was confirmed, though ${reason}`;
    return about(facts, message, deliveries.row.at(delivery), text, [
      deliveries.event.at(delivery),
      newer === undefined ? deliveries.lostEvent.at(delivery) : deliveries.event.at(newer),
      ...eventsOfSettlement(evidence, settlement),
    ]);
  });
  return true;
}

/** After an ack was confirmed a newer delivery arrives. An accepted settlement ends the lease, so none can be under way. */
function judgeAgain(
  evidence: Evidence,
  message: number,
  delivery: number,
  settlement: number,
  later: readonly number[],
  found: Found,
): boolean {
  const { deliveryView, facts } = evidence;
  const { deliveries, settlements } = facts.delivery;
  if (settlements.verdictOf(settlement) !== "ack") return false;
  const askedMs = settlements.askedMs.at(settlement);
  const confirmedMs = settlements.answeredMs.at(settlement);
  const again = later.find((row) => {
    const atMs = deliveries.atMs.at(row);
    if (!isHandedOutAnew(evidence, row, delivery) || atMs <= confirmedMs) return false;
    const newerOnes = later.filter((other) => !deliveries.isBefore(other, row));
    if (deliveryView.askedMs(newerOnes, ["ack", "reject"]) <= confirmedMs) return false;
    return !deliveryView.isRewound(message, askedMs, atMs);
  });
  if (again === undefined || !deliveryView.isKept(message, askedMs, confirmedMs)) return false;
  found("redelivered-after-ack", () => {
    const text = `its ack of the delivery ${tokenOf(facts, delivery)} was confirmed, and it was delivered again ${tokenOf(facts, again)}`;
    return about(facts, message, deliveries.row.at(delivery), text, [
      deliveries.event.at(delivery),
      ...eventsOfSettlement(evidence, settlement),
      deliveries.event.at(again),
    ]);
  });
  return true;
}

/** A newer lease, of the same record, which is not the old one under a new token. */
function isHandedOutAnew({ facts }: Evidence, row: number, than: number): boolean {
  const { deliveries } = facts.delivery;
  if (deliveries.isResumed.at(row) === 1 || !deliveries.isBefore(than, row)) return false;
  return deliveries.row.at(row) === deliveries.row.at(than);
}

/** It may have been settled already by somebody who might: then a confirmation says no more than that. */
function isSettledOtherwise(
  evidence: Evidence,
  message: number,
  delivery: number,
  settlement: number,
  later: readonly number[],
): boolean {
  const { deliveryView, facts } = evidence;
  const { settlements } = facts.delivery;
  const confirmedMs = settlements.answeredMs.at(settlement);
  if (deliveryView.askedMs(later, ["ack", "reject"]) <= confirmedMs) return true;
  for (const other of deliveryView.settlementsOf(delivery)) {
    if (other === settlement || settlements.isRefused(other)) continue;
    const verdict = settlements.verdictOf(other);
    const isEarlier = settlements.askedMs.at(other) <= settlements.askedMs.at(settlement);
    if (isEarlier && (verdict === "ack" || verdict === "reject")) return true;
  }
  if (deliveryView.isDead(message) || deliveryView.isUnparked(message, true)) return true;
  if (mayBeDropped(evidence, message)) return true;
  return deliveryView.isPassed(message, Number.NEGATIVE_INFINITY, confirmedMs);
}

function eventsOfSettlement({ facts }: Evidence, settlement: number): number[] {
  const { settlements } = facts.delivery;
  return [settlements.askedEvent.at(settlement), settlements.answeredEvent.at(settlement)];
}
