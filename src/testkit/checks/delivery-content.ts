// A22, D5 and D6: what is delivered was sent like this, is wanted by the subscription, and does not come while it is paused.
import { NONE } from "../send-table.ts";
import { at, type Check, type Evidence, eventsOf, type Finding } from "./check.ts";
import { about, tokenOf } from "./deliveries.ts";

export const deliveryContentCheck: Check = {
  kinds: ["wrong-delivery"],
  run: (evidence, found) => {
    const { deliveries } = evidence.facts.delivery;
    const reported = new Set<number>();
    for (let row = 0; row < deliveries.length; row += 1) {
      const value = deliveries.row.at(row);
      const problem = contentProblem(evidence, row);
      if (problem === undefined || reported.has(value)) continue;
      reported.add(value);
      found("wrong-delivery", () => finding(evidence, row, problem, true));
    }
    for (const { message, number, row } of evidence.facts.delivery.dead) {
      const newest = evidence.facts.delivery.messages.newest.at(message);
      if (newest === NONE || deliveries.row.at(newest) === row || reported.has(row)) continue;
      reported.add(row);
      const text = "its dead letter holds another value";
      const events = [deliveries.event.at(newest), number];
      found("wrong-delivery", () => about(evidence.facts, message, row, text, events));
    }
    return deliveries.length;
  },
};

export const unwantedCheck: Check = {
  kinds: ["unwanted-delivery"],
  run: (evidence, found) => {
    const { deliveryView, facts } = evidence;
    const { deliveries, messages } = facts.delivery;
    for (let row = 0; row < deliveries.length; row += 1) {
      const subscription = messages.subscriptionOf(deliveries.message.at(row));
      const value = deliveries.row.at(row);
      if (!facts.sends.isSent(value)) continue;
      if (deliveryView.wants(subscription, value) !== false) continue;
      found("unwanted-delivery", () =>
        finding(evidence, row, "the subscription does not want it", true),
      );
    }
    return deliveries.length;
  },
};

export const pauseCheck: Check = {
  kinds: ["delivered-while-paused"],
  run: (evidence, found) => {
    const { deliveryView } = evidence;
    const { deliveries, messages, pauses, subscriptions } = evidence.facts.delivery;
    if (pauses.length === 0) return 0;
    const byName = new Map<string, Pause[]>();
    for (const { event } of pauses) {
      byName.set(
        event.subscription,
        byName.get(event.subscription) ?? pausesOf(evidence, event.subscription),
      );
    }
    let looked = 0;
    for (let row = 0; row < deliveries.length; row += 1) {
      const name = subscriptions.textOf(messages.subscriptionOf(deliveries.message.at(row)));
      const spans = byName.get(name);
      if (spans === undefined || deliveries.isResumed.at(row) === 1) continue;
      looked += 1;
      // It was handed out at some time between these.
      const [sinceMs, atMs] = [deliveryView.underWayMs(row), deliveries.atMs.at(row)];
      const span = spans.find(({ fromMs, toMs }) => sinceMs > fromMs && atMs < toMs);
      if (span === undefined || !isInForce(evidence, span, sinceMs)) continue;
      found("delivered-while-paused", () => {
        const told = finding(evidence, row, "the subscription was paused", false);
        return { ...told, events: [span.event, ...told.events] };
      });
    }
    return looked;
  },
};

/** From the confirmation of a pause to the beginning of the resumption. */
interface Pause {
  readonly fromMs: number;
  readonly toMs: number;
  readonly event: number;
}

function pausesOf({ facts }: Evidence, subscription: string): Pause[] {
  const changes = facts.delivery.pauses
    .filter(({ event }) => event.subscription === subscription)
    .sort((a, b) => a.event.atMs - b.event.atMs);
  return changes.flatMap(({ event, number }, at) => {
    if (!event.isPaused) return [];
    const end = changes.slice(at + 1).find((later) => !later.event.isPaused);
    return { fromMs: event.atMs, toMs: end?.event.beganMs ?? Infinity, event: number };
  });
}

/** Leaders learn of it within a time, in which nothing disturbs them. */
function isInForce({ promises, rules }: Evidence, { fromMs }: Pause, atMs: number): boolean {
  return promises.timeline.longestCalm(fromMs, atMs, 1) > rules.pauseLagMsMax;
}

function contentProblem(evidence: Evidence, row: number): string | undefined {
  const { facts, promises } = evidence;
  const { places, sends } = facts;
  const { deliveries, messages } = facts.delivery;
  const value = deliveries.row.at(row);
  const message = deliveries.message.at(row);
  const place = messages.placeOf(message);
  if (!sends.isSent(value)) return "nobody sent it";
  const sentTo = sends.topics.textOf(sends.topic.at(value));
  if (sentTo !== places.placeOf(place).topic) return `it was sent to ${sentTo}`;
  if (sends.key.at(value) !== deliveries.key.at(row)) return "it was sent with another key";
  const target = sends.target.at(value);
  if (target !== NONE && target !== place) return `it was sent to ${places.nameOf(target)}`;
  if (sends.isNotApplied.at(value) === 1) return "its send failed as not applied";
  if (promises.receiptHolds(value)) {
    const isThere =
      sends.ackPlace.at(value) === place &&
      sends.ackOffset.at(value) === messages.offset.at(message);
    const receipt = at(facts, sends.ackPlace.at(value), sends.ackOffset.at(value));
    if (!isThere) return `its receipt says ${receipt}`;
  }
  const previous = deliveries.previous.at(row);
  if (previous === NONE || deliveries.row.at(previous) === value) return undefined;
  if (!promises.visibleHolds(value) || !promises.visibleHolds(deliveries.row.at(previous))) {
    return undefined;
  }
  return `${sends.valueOf(deliveries.row.at(previous))} had been delivered from there`;
}

function finding({ facts }: Evidence, row: number, problem: string, withSend: boolean): Finding {
  const { deliveries } = facts.delivery;
  const value = deliveries.row.at(row);
  const events = withSend ? eventsOf(facts, value) : [];
  const text = `delivered ${tokenOf(facts, row)}: ${problem}`;
  const all = [...events, deliveries.event.at(row)];
  return about(facts, deliveries.message.at(row), value, text, all);
}
