// A4: a message is with one consumer at a time. The lease of the first is over when it settled, when it was told so, when
// its deadline has passed, or when its connection may have broken. In shared mode a new leader knows no leases.
import type { FaultEffect } from "../events.ts";
import type { Check, Evidence, Found } from "./check.ts";
import { about, tokenOf } from "./deliveries.ts";

const GIVES_UP = ["ack", "nack", "reject", "release"] as const;
/** May break a connection, or keep somebody from noticing in time. */
const DISTURBING: readonly FaultEffect[] = ["pause", "cut", "slow", "blip", "other"];

export const leaseCheck: Check = {
  kinds: ["delivered-twice-at-once"],
  run: (evidence, found) => {
    const { deliveryView, facts } = evidence;
    const { deliveries, messages } = facts.delivery;
    for (let message = 0; message < messages.length; message += 1) {
      if (deliveryView.wasDeliveredOnce(message)) continue;
      const rows = deliveryView.deliveriesOf(message);
      for (const [at, second] of rows.entries()) {
        const first = rows[at - 1];
        if (first === undefined || !isAtOnce(evidence, message, first, second)) continue;
        report(evidence, message, first, second, found);
        break;
      }
    }
    return deliveries.length;
  },
};

function isAtOnce(evidence: Evidence, message: number, first: number, second: number): boolean {
  const { deliveryView, facts, promises } = evidence;
  const { deliveries, messages } = facts.delivery;
  const definition = facts.delivery.definitionOf(messages.subscriptionOf(message));
  if (definition === undefined || deliveries.isResumed.at(second) === 1) return false;
  const holder = deliveries.consumer.at(first);
  if (holder === deliveries.consumer.at(second)) return false;
  if (deliveries.row.at(first) !== deliveries.row.at(second)) return false;
  const isOneLeader = deliveries.epoch.at(first) === deliveries.epoch.at(second);
  if (!isOneLeader && definition.mode === "shared") return false;
  const fromMs = deliveryView.underWayMs(first);
  const atMs = deliveries.atMs.at(second);
  // It was under way for longer than the second: when it was handed out is not known.
  if (deliveries.atMs.at(first) > atMs) return false;
  const renewedMs = Math.max(fromMs, lastExtension(evidence, first, atMs));
  const slackMs = deliveryView.slackMs;
  if (atMs >= renewedMs + definition.ackDeadlineMs - slackMs) return false;
  if (deliveries.lostMs.at(first) <= atMs + slackMs) return false;
  if (gaveUpMs(evidence, first) <= atMs) return false;
  if (deliveryView.endedWithin(holder, fromMs, atMs + slackMs)) return false;
  if (promises.timeline.isTouched(DISTURBING, fromMs, atMs)) return false;
  if (deliveryView.isPassed(message, fromMs, atMs)) return false;
  if (deliveryView.isRewound(message, fromMs, atMs)) return false;
  return deliveryView.isKept(message, fromMs, atMs);
}

/** Also a refused settlement says that the consumer is done with it. */
function gaveUpMs({ deliveryView, facts }: Evidence, delivery: number): number {
  const { settlements } = facts.delivery;
  let first = Number.POSITIVE_INFINITY;
  for (const settlement of deliveryView.settlementsOf(delivery)) {
    if (!GIVES_UP.some((verdict) => verdict === settlements.verdictOf(settlement))) continue;
    first = Math.min(first, settlements.askedMs.at(settlement));
  }
  return first;
}

/** When the last extension that was confirmed before a time had been asked for. */
function lastExtension({ deliveryView, facts }: Evidence, delivery: number, ms: number): number {
  const { settlements } = facts.delivery;
  let last = Number.NEGATIVE_INFINITY;
  for (const settlement of deliveryView.settlementsOf(delivery)) {
    const isExtension = settlements.verdictOf(settlement) === "extend";
    if (!isExtension || !settlements.isConfirmed(settlement)) continue;
    if (settlements.answeredMs.at(settlement) > ms) continue;
    last = Math.max(last, settlements.askedMs.at(settlement));
  }
  return last;
}

function report(
  { facts }: Evidence,
  message: number,
  first: number,
  second: number,
  found: Found,
): void {
  const { deliveries } = facts.delivery;
  found("delivered-twice-at-once", () => {
    const text = `delivered ${tokenOf(facts, second)} while it was out ${tokenOf(facts, first)}`;
    const events = [deliveries.event.at(first), deliveries.event.at(second)];
    return about(facts, message, deliveries.row.at(first), text, events);
  });
}
