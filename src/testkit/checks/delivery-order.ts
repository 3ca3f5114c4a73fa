// A14: in the ordered modes no later message of a key (exclusive: of a partition) goes out, or is begun, before the earlier
// one is settled. Tokens say what was handed out when: whatever is handed out again later was not settled before.
import { LOST } from "../delivery-table.ts";
import { NONE } from "../send-table.ts";
import { failuresOf } from "./attempts.ts";
import type { Check, Evidence, Found } from "./check.ts";
import { about, mayBeDropped, tokenOf } from "./deliveries.ts";

export const orderCheck: Check = {
  kinds: ["order-broken"],
  run: (evidence, found) => {
    const rows = orderedRows(evidence);
    let from = 0;
    while (from < rows.length) {
      let to = from + 1;
      while (to < rows.length && compareGroups(evidence, rows[from], rows[to]) === 0) to += 1;
      walkGroup(evidence, rows.subarray(from, to), found);
      from = to;
    }
    return rows.length;
  },
};

/** Deliveries whose order is promised: by lane and key, then in the order in which they were handed out. */
function orderedRows(evidence: Evidence): Int32Array {
  const { deliveries } = evidence.facts.delivery;
  const rows: number[] = [];
  for (let row = 0; row < deliveries.length; row += 1) if (isOrdered(evidence, row)) rows.push(row);
  return Int32Array.from(rows).sort((a, b) => {
    const group = compareGroups(evidence, a, b);
    if (group !== 0) return group;
    if (deliveries.isBefore(a, b)) return -1;
    if (deliveries.isBefore(b, a)) return 1;
    return offsetOf(evidence, a) - offsetOf(evidence, b);
  });
}

function isOrdered(evidence: Evidence, row: number): boolean {
  const mode = modeOf(evidence, row);
  if (mode === undefined || mode === "shared") return false;
  return mode !== "keyed" || keyOf(evidence, row) !== NONE;
}

function compareGroups(evidence: Evidence, a: number | undefined, b: number | undefined): number {
  if (a === undefined || b === undefined) return 1;
  const { deliveries, messages } = evidence.facts.delivery;
  const laneOf = (row: number): number => messages.lane.at(deliveries.message.at(row));
  const lanes = laneOf(a) - laneOf(b);
  if (lanes !== 0 || modeOf(evidence, a) === "exclusive") return lanes;
  return keyOf(evidence, a) - keyOf(evidence, b);
}

function walkGroup(evidence: Evidence, rows: Int32Array, found: Found): void {
  const isExclusive = modeOf(evidence, rows[0] ?? NONE) === "exclusive";
  const { deliveries } = evidence.facts.delivery;
  /** Of the highest offset that was handed out so far. */
  let furthest = NONE;
  let last = NONE;
  for (const row of rows) {
    const isNew = deliveries.isResumed.at(row) === 0;
    if (isNew && furthest !== NONE) {
      const isBroken = isExclusive
        ? isBrokenExclusive(evidence, furthest, last, row)
        : isBrokenKey(evidence, furthest, row);
      if (isBroken) {
        report(evidence, furthest, last, row, found);
        return;
      }
    }
    if (isExclusive && last !== NONE && isBegunTooEarly(evidence, last, row)) {
      report(evidence, last, last, row, found);
      return;
    }
    last = row;
    // A key that went back for a reason begins anew: its messages may be handed out several times from there on.
    const isBegunAnew = isNew && !isExclusive;
    if (furthest === NONE || isBegunAnew || offsetOf(evidence, row) >= offsetOf(evidence, furthest))
      furthest = row;
  }
}

/** Keyed and fifo: one message of the key is out at a time. */
function isBrokenKey(evidence: Evidence, furthest: number, row: number): boolean {
  const difference = offsetOf(evidence, row) - offsetOf(evidence, furthest);
  if (difference === 0) return false;
  if (difference > 0) return !isSettledBy(evidence, furthest, row);
  return !isExcusedReturn(evidence, furthest, row);
}

/** Exclusive: many are out with one consumer. Another one begins with the first that is not settled. */
function isBrokenExclusive(
  evidence: Evidence,
  furthest: number,
  last: number,
  row: number,
): boolean {
  const { deliveries } = evidence.facts.delivery;
  const consumer = deliveries.consumer.at(row);
  const isForward = offsetOf(evidence, row) > offsetOf(evidence, last);
  if (isForward && deliveries.consumer.at(last) !== consumer) {
    return !isSettledBy(evidence, last, row);
  }
  if (offsetOf(evidence, row) >= offsetOf(evidence, furthest)) return false;
  // It is handed out again, so it was not settled when `furthest` went out: to whom had it gone before?
  const holder = deliveries.consumer.at(furthest);
  const rows = evidence.deliveryView.deliveriesOf(deliveries.message.at(row));
  const isOutToo = (one: number): boolean => {
    const isHolders = deliveries.consumer.at(one) === holder && !deliveries.isBefore(furthest, one);
    return one !== row && isHolders && isHeldAt(evidence, one, deliveries.atMs.at(furthest));
  };
  if (rows.some(isOutToo)) return false;
  return !isExcusedReturn(evidence, furthest, row);
}

/** No broker had taken it back. When a broker learns of what a consumer gives back by itself stands nowhere. */
function isHeldAt({ facts }: Evidence, row: number, ms: number): boolean {
  const { lostCause, lostMs } = facts.delivery.deliveries;
  const isTaken = lostCause.at(row) === LOST.revoked || lostCause.at(row) === LOST.deadline;
  return !isTaken || lostMs.at(row) >= ms;
}

/** The message before it, with the same consumer, was neither done nor settled when this one was begun. */
function isBegunTooEarly(evidence: Evidence, last: number, row: number): boolean {
  const { deliveries } = evidence.facts.delivery;
  if (deliveries.consumer.at(last) !== deliveries.consumer.at(row)) return false;
  if (!deliveries.wasBegun(row) || offsetOf(evidence, last) >= offsetOf(evidence, row))
    return false;
  // A handler of batches begins with both.
  if (deliveries.begunEvent.at(last) === deliveries.begunEvent.at(row)) return false;
  const begunMs = deliveries.begunMs.at(row);
  // It lost both: what was behind the first is taken back with it.
  const isLost = deliveries.lostMs.at(last) <= begunMs;
  if (isLost && deliveries.lostMs.at(row) <= begunMs + evidence.deliveryView.slackMs) return false;
  if (isDoneBy(evidence, last, begunMs) || mayHaveVanished(evidence, last, row)) return false;
  return !isGoneBy(evidence, deliveries.message.at(last), row, begunMs);
}

/** The leader that handed out `row` may never have had the message of `earlier`: the faults between the two excuse that it is gone. */
function mayHaveVanished({ deliveryView, facts }: Evidence, earlier: number, row: number): boolean {
  const { deliveries } = facts.delivery;
  const epoch = deliveries.epoch.at(row);
  if (deliveries.epoch.at(earlier) === epoch) return false;
  const message = deliveries.message.at(earlier);
  const isSame = (one: number): boolean => deliveries.row.at(one) === deliveries.row.at(earlier);
  // A leader of that time or later had it.
  const isThere = deliveryView
    .deliveriesOf(message)
    .some((one) => isSame(one) && deliveries.epoch.at(one) >= epoch);
  if (isThere) return false;
  return deliveryView.mayBeGone(earlier, deliveries.atMs.at(row));
}

/** Its consumer had handled it with success. */
function isDoneBy({ deliveryView, facts }: Evidence, row: number, ms: number): boolean {
  const { deliveries } = facts.delivery;
  const consumer = deliveries.consumer.at(row);
  return deliveryView
    .deliveriesOf(deliveries.message.at(row))
    .some((one) => deliveries.consumer.at(one) === consumer && deliveries.doneMs.at(one) <= ms);
}

/** The message of `earlier` may have been settled when `row` was handed out. */
function isSettledBy(evidence: Evidence, earlier: number, row: number): boolean {
  const { deliveries } = evidence.facts.delivery;
  const message = deliveries.message.at(earlier);
  const atMs = deliveries.atMs.at(row);
  if (isGoneBy(evidence, message, row, atMs)) return true;
  return mayHaveVanished(evidence, earlier, row);
}

/** Acknowledged, dead, passed over, dropped, or let go by hand, as far as one can know at that time; `later` may go. */
function isGoneBy(evidence: Evidence, message: number, later: number, ms: number): boolean {
  const { deliveryView, facts } = evidence;
  const { deliveries, messages } = facts.delivery;
  const rows = deliveryView.deliveriesOf(message);
  const definition = facts.delivery.definitionOf(messages.subscriptionOf(message));
  if (deliveryView.askedMs(rows, ["ack"]) <= ms) return true;
  if (deliveryView.isPassed(message, Number.NEGATIVE_INFINITY, ms)) return true;
  if (deliveryView.isUnparked(message, true, ms) || mayBeDropped(evidence, message)) return true;
  if (definition === undefined || definition.onFailure === "stop") return false;
  // A parked key holds up nothing but itself.
  const newest = messages.newest.at(message);
  const isOtherKey = newest === NONE || deliveries.key.at(newest) !== deliveries.key.at(later);
  if (definition.onFailure === "park" && (definition.mode !== "exclusive" || !isOtherKey)) {
    return false;
  }
  if (deliveryView.isDead(message) || deliveryView.askedMs(rows, ["reject"]) <= ms) return true;
  if (definition.onFailure === "park" && mayKeyBeParked(evidence, later, message, ms)) return true;
  return mayHaveFailedForGood(evidence, message, later, ms);
}

/** An earlier message of its key may have failed for good, and so parked the key. */
function mayKeyBeParked(evidence: Evidence, later: number, message: number, ms: number): boolean {
  const newest = evidence.facts.delivery.messages.newest.at(message);
  if (newest === NONE) return false;
  return earlierOfKey(evidence, newest).some((before) => {
    return mayHaveFailedForGood(evidence, before, later, ms);
  });
}

/** Messages of the same key with lower offsets. */
function earlierOfKey({ facts }: Evidence, row: number): number[] {
  const { deliveries, messages } = facts.delivery;
  const message = deliveries.message.at(row);
  const found = new Set<number>();
  for (let other = 0; other < deliveries.length; other += 1) {
    const before = deliveries.message.at(other);
    if (
      messages.lane.at(before) === messages.lane.at(message) &&
      deliveries.key.at(other) === deliveries.key.at(row) &&
      messages.offset.at(before) < messages.offset.at(message)
    ) {
      found.add(before);
    }
  }
  return [...found];
}

/** Rejected, or tried as often as is allowed, and not acknowledged since: before `row` was handed out, at a time. */
function mayHaveFailedForGood(
  evidence: Evidence,
  message: number,
  row: number,
  ms: number,
): boolean {
  const { deliveryView, facts } = evidence;
  const { deliveries, messages } = facts.delivery;
  const definition = facts.delivery.definitionOf(messages.subscriptionOf(message));
  const rows = deliveryView.deliveriesOf(message).filter((one) => deliveries.isBefore(one, row));
  // Whether it was acknowledged before a seek brought it back says nothing.
  if (definition === undefined || deliveryView.askedMs(rows.slice(-1), ["ack"]) <= ms) return false;
  if (deliveryView.askedMs(rows, ["reject"]) <= ms) return true;
  return failuresOf(evidence, message, rows, ms).most >= definition.attemptsMax;
}

/** It, or an earlier message with which its key was parked, was let go by hand. */
function isReleased({ facts }: Evidence, message: number, ms: number): boolean {
  const { messages, unparks } = facts.delivery;
  const lane = messages.lane.at(message);
  const offset = messages.offset.at(message);
  return unparks.some(
    ({ event, lane: other }) => other === lane && event.offset <= offset && event.beganMs <= ms,
  );
}

/**
 * An earlier message of its key had failed for good and so parked the key, and retention may have taken that one: nothing
 * holds up the key any more.
 */
function mayKeyBeFree(evidence: Evidence, row: number): boolean {
  const { deliveries, messages } = evidence.facts.delivery;
  const subscription = messages.subscriptionOf(deliveries.message.at(row));
  if (evidence.facts.delivery.definitionOf(subscription)?.onFailure !== "park") return false;
  const atMs = deliveries.atMs.at(row);
  return earlierOfKey(evidence, row).some(
    (before) => mayBeDropped(evidence, before) && mayHaveFailedForGood(evidence, before, row, atMs),
  );
}

/** Somebody moved the subscription back, let a key go that was parked, or the faults of the run excuse that a settlement is forgotten. */
function isExcusedReturn(evidence: Evidence, furthest: number, row: number): boolean {
  const { deliveryView, facts } = evidence;
  const { deliveries } = facts.delivery;
  const message = deliveries.message.at(row);
  const toMs = deliveries.atMs.at(row);
  // What was under way for longer than this one was handed out before.
  const fromMs = Math.min(deliveryView.underWayMs(furthest), toMs) - deliveryView.slackMs;
  const isExclusive = modeOf(evidence, row) === "exclusive";
  if (isExclusive && (isReleased(evidence, message, toMs) || mayKeyBeFree(evidence, row)))
    return true;
  return (
    deliveryView.isRewound(message, fromMs, toMs) || !deliveryView.isKept(message, fromMs, toMs)
  );
}

function report(
  evidence: Evidence,
  furthest: number,
  last: number,
  row: number,
  found: Found,
): void {
  const { facts } = evidence;
  const { deliveries, messages } = facts.delivery;
  const isBack = offsetOf(evidence, row) < offsetOf(evidence, furthest);
  const other = isBack ? furthest : last === NONE ? furthest : last;
  const [earlier, later] = isBack ? [row, other] : [other, row];
  found("order-broken", () => {
    const message = deliveries.message.at(later);
    const place = messages.offset.at(deliveries.message.at(earlier));
    const text = `delivered ${tokenOf(facts, later)} before ${place} was settled (${tokenOf(facts, earlier)})`;
    const events = [deliveries.event.at(earlier), deliveries.event.at(later)];
    return about(facts, message, deliveries.row.at(later), text, events);
  });
}

function modeOf({ facts }: Evidence, row: number): string | undefined {
  const { deliveries, messages } = facts.delivery;
  const subscription = messages.subscriptionOf(deliveries.message.at(row));
  return facts.delivery.definitionOf(subscription)?.mode;
}

function keyOf({ facts }: Evidence, row: number): number {
  return facts.delivery.deliveries.key.at(row);
}

function offsetOf({ facts }: Evidence, row: number): number {
  const { deliveries, messages } = facts.delivery;
  return messages.offset.at(deliveries.message.at(row));
}
