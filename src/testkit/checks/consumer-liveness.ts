// A18: a message that waits for its first delivery gets one while a consumer is there that holds nothing. Time counts only
// while nothing disturbs the cluster and the subscription is not paused; in ordered modes only while nothing earlier of
// the partition is unsettled, and all consumers wait.
import { type ConsumerTimes, consumerTimes, type Span } from "../consumer-times.ts";
import { NONE } from "../send-table.ts";
import { type Check, type Evidence, eventsOf, type Found, located } from "./check.ts";

interface Wait extends Span {
  readonly row: number;
}

export const consumerLivenessCheck: Check = {
  kinds: ["stuck-consumer"],
  run: (evidence, found) => {
    const { deliveryView, facts, rules } = evidence;
    if (facts.delivery.lives.length === 0) return 0;
    const times = consumerTimes(facts, deliveryView, rules.stuckMsMax);
    let looked = 0;
    for (const [lane, { place, subscription }] of lanesOf(evidence).entries()) {
      const consumers = times.get(facts.delivery.subscriptions.textOf(subscription)) ?? [];
      if (consumers.every(({ idle }) => idle.length === 0)) {
        looked += consumers.length;
        continue;
      }
      const waits = waitsOf(evidence, lane, place, subscription);
      looked += waits.length + consumers.length;
      const wait = waits.find((one) => isStuck(evidence, lane, subscription, one, consumers));
      if (wait !== undefined) report(evidence, place, subscription, wait, found);
    }
    return looked;
  },
};

/** Every partition of every subscription that was declared, also those from which nothing was delivered. */
function lanesOf({ facts }: Evidence): readonly { place: number; subscription: number }[] {
  const { declared, messages, subscriptions } = facts.delivery;
  for (const [subscription, definitions] of declared.entries()) {
    if (subscription >= subscriptions.size) break;
    const topics = new Set(definitions.flatMap(({ event }) => event.topics));
    for (let place = 0; place < facts.places.size; place += 1) {
      if (topics.has(facts.places.placeOf(place).topic)) messages.laneOf(subscription, place);
    }
  }
  return messages.lanes;
}

/** Messages that waited for long, in the order of their sends. */
function waitsOf(evidence: Evidence, lane: number, place: number, subscription: number): Wait[] {
  const { deliveryView, facts, promises, rules } = evidence;
  const { sends } = facts;
  const { deliveries, messages } = facts.delivery;
  const declared = facts.delivery.declared[subscription]?.[0]?.event;
  const waits: Wait[] = [];
  if (declared === undefined) return waits;
  for (let row = 0; row < sends.length; row += 1) {
    if (sends.ackPlace.at(row) !== place || !promises.receiptHolds(row)) continue;
    const isOld = sends.sentMs.at(row) < declared.atMs;
    if (isOld && declared.start === "declared") continue;
    const fromMs = Math.max(sends.ackMs.at(row), declared.atMs);
    const offset = sends.ackOffset.at(row);
    const message = messages.find(lane, offset);
    let toMs = facts.endMs;
    let delivery = message === NONE ? NONE : messages.newest.at(message);
    for (; delivery !== NONE; delivery = deliveries.previous.at(delivery)) {
      toMs = Math.min(toMs, deliveries.atMs.at(delivery));
    }
    if (toMs - fromMs < rules.stuckMsMax) continue;
    if (deliveryView.wants(subscription, row) !== true) continue;
    if (!deliveryView.isOffsetPassed(lane, offset)) waits.push({ row, fromMs, toMs });
  }
  return waits;
}

function isStuck(
  evidence: Evidence,
  lane: number,
  subscription: number,
  wait: Wait,
  consumers: readonly ConsumerTimes[],
): boolean {
  const { facts, promises, rules } = evidence;
  const isOrdered = facts.delivery.definitionOf(subscription)?.mode !== "shared";
  const name = facts.delivery.subscriptions.textOf(subscription);
  for (const span of consumers.flatMap(({ idle }) => idle)) {
    const toMs = Math.min(span.toMs, wait.toMs);
    const fromMs = Math.max(span.fromMs, wait.fromMs, resumedMs(evidence, name, toMs));
    if (toMs - fromMs < rules.stuckMsMax) continue;
    if (isOrdered && !consumers.every((one) => isIdleOrGone(one, fromMs, toMs))) continue;
    if (isOrdered && hasUnsettled(evidence, lane, fromMs)) continue;
    const silent = silences(evidence, lane, fromMs, toMs);
    const isCalm = silent.some(
      (one) => promises.timeline.longestCalm(one.fromMs, one.toMs, 1) >= rules.stuckMsMax,
    );
    if (isCalm) return true;
  }
  return false;
}

function isIdleOrGone({ alive, idle }: ConsumerTimes, fromMs: number, toMs: number): boolean {
  const isThere = alive.some((life) => life.fromMs < toMs && life.toMs > fromMs);
  return !isThere || idle.some((span) => span.fromMs <= fromMs && span.toMs >= toMs);
}

/** When the last pause that began before a time was over; infinite while it is not. */
function resumedMs({ facts }: Evidence, name: string, ms: number): number {
  const changes = facts.delivery.pauses
    .map(({ event }) => event)
    .filter((event) => event.subscription === name && event.beganMs <= ms)
    .sort((a, b) => a.atMs - b.atMs);
  const last = changes.at(-1);
  if (last === undefined) return Number.NEGATIVE_INFINITY;
  return last.isPaused ? Number.POSITIVE_INFINITY : last.atMs;
}

/** Something of the partition was out, or had failed, at that time. */
function hasUnsettled({ deliveryView, facts }: Evidence, lane: number, ms: number): boolean {
  const { deliveries, messages } = facts.delivery;
  for (let message = 0; message < messages.length; message += 1) {
    if (messages.lane.at(message) !== lane || messages.newest.at(message) === NONE) continue;
    const rows = deliveryView.deliveriesOf(message);
    if (rows.every((row) => deliveries.atMs.at(row) > ms)) continue;
    if (deliveryView.askedMs(rows, ["ack"]) > ms) return true;
  }
  return false;
}

/** Between two times, from one delivery of the partition to the next. */
function silences({ facts }: Evidence, lane: number, fromMs: number, toMs: number): Span[] {
  const { deliveries, messages } = facts.delivery;
  const times: number[] = [];
  for (let row = 0; row < deliveries.length; row += 1) {
    const atMs = deliveries.atMs.at(row);
    const isHere = messages.lane.at(deliveries.message.at(row)) === lane;
    if (isHere && atMs > fromMs && atMs < toMs) times.push(atMs);
  }
  times.sort((a, b) => a - b);
  const edges = [fromMs, ...times, toMs];
  return edges.slice(1).map((end, at) => ({ fromMs: edges[at] ?? fromMs, toMs: end }));
}

function report(
  { facts }: Evidence,
  place: number,
  subscription: number,
  { fromMs, row }: Wait,
  found: Found,
): void {
  const { places, sends } = facts;
  const name = facts.delivery.subscriptions.textOf(subscription);
  found("stuck-consumer", () => ({
    message: `${places.nameOf(place)} delivered nothing to ${name} from ${Math.round(fromMs)} ms on, with a backlog and a consumer that waits`,
    ...located(facts, place, sends.ackOffset.at(row)),
    value: sends.valueOf(row),
    events: eventsOf(facts, row),
  }));
}
