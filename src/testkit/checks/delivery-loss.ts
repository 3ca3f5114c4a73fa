// D1, A20 and A21: when a subscription has come to rest (its final cursors say so), every message that it selects was
// delivered and settled by a consumer, or is in the dead letters, or stays behind one that failed for good; and what was
// confirmed is settled still.
import type { CursorSeen } from "../delivery-events.ts";
import type { OfLane } from "../delivery-facts.ts";
import { NONE } from "../send-table.ts";
import { failuresOf } from "./attempts.ts";
import { type Check, type Evidence, eventsOf, type Found, located, shown } from "./check.ts";
import { about } from "./deliveries.ts";

type Final = OfLane<CursorSeen>;

export const deliveryLossCheck: Check = {
  kinds: ["lost-message", "forgotten-ack", "lost-dead-letter"],
  run: (evidence, found) => {
    const finals = finalsByPlace(evidence);
    const { sends } = evidence.facts;
    let looked = 0;
    for (let row = 0; row < sends.length; row += 1) {
      if (!evidence.promises.receiptHolds(row)) continue;
      for (const final of finals.get(sends.ackPlace.at(row)) ?? []) {
        if (!isDue(evidence, row, final)) continue;
        looked += 1;
        judge(evidence, row, final, found);
      }
    }
    return looked;
  },
};

/** A lane's last final cursor, and what stays behind failed messages there. */
class Lane {
  readonly final: Final;
  readonly #evidence: Evidence;
  /** By key, or for the whole partition: the first that is not settled, of those that were delivered. */
  #blocks: ReadonlyMap<number, number> | undefined;

  constructor(evidence: Evidence, final: Final) {
    this.#evidence = evidence;
    this.final = final;
  }

  /** At the end the broker held it to be settled. */
  isSettled(offset: number): boolean {
    const { event } = this.final;
    if (offset < event.offset) return true;
    return event.unsettled !== undefined && !contains(event.unsettled, offset);
  }

  /** An earlier message of its order was not settled in the end, and nothing else goes before it. */
  isBlocked(offset: number, key: number): boolean {
    const { facts } = this.#evidence;
    const subscription = facts.delivery.messages.lanes[this.final.lane]?.subscription ?? NONE;
    const definition = facts.delivery.definitionOf(subscription);
    if (definition === undefined || definition.mode === "shared") return false;
    if (definition.onFailure === "skip") return false;
    const isWhole = definition.mode === "exclusive" || definition.onFailure === "stop";
    if (definition.mode === "keyed" && key === NONE && !isWhole) return false;
    this.#blocks ??= this.#findBlocks(isWhole);
    const first = this.#blocks.get(isWhole ? NONE : key);
    return first !== undefined && first < offset;
  }

  #findBlocks(isWhole: boolean): Map<number, number> {
    const { deliveries, messages } = this.#evidence.facts.delivery;
    const blocks = new Map<number, number>();
    for (let message = 0; message < messages.length; message += 1) {
      const newest = messages.newest.at(message);
      if (messages.lane.at(message) !== this.final.lane || newest === NONE) continue;
      const offset = messages.offset.at(message);
      if (this.isSettled(offset)) continue;
      const key = isWhole ? NONE : deliveries.key.at(newest);
      blocks.set(key, Math.min(offset, blocks.get(key) ?? offset));
    }
    return blocks;
  }
}

function finalsByPlace(evidence: Evidence): Map<number, Lane[]> {
  const { cursors, messages } = evidence.facts.delivery;
  const last = new Map<number, Final>();
  for (const cursor of cursors) if (cursor.event.isFinal === true) last.set(cursor.lane, cursor);
  const byPlace = new Map<number, Lane[]>();
  for (const [lane, final] of last) {
    const place = messages.lanes[lane]?.place ?? NONE;
    byPlace.set(place, [...(byPlace.get(place) ?? []), new Lane(evidence, final)]);
  }
  return byPlace;
}

/** The subscription must have dealt with it by then. */
function isDue(evidence: Evidence, row: number, { final }: Lane): boolean {
  const { deliveryView, facts, finals } = evidence;
  const { sends } = facts;
  const { messages } = facts.delivery;
  const { place = NONE, subscription = NONE } = messages.lanes[final.lane] ?? {};
  const declared = facts.delivery.declared[subscription]?.[0]?.event;
  if (declared === undefined || sends.ackMs.at(row) > beganMs(final)) return false;
  if (declared.start === "declared" && sends.sentMs.at(row) < declared.atMs) return false;
  if (deliveryView.wants(subscription, row) !== true) return false;
  const offset = sends.ackOffset.at(row);
  if (deliveryView.isOffsetPassed(final.lane, offset)) return false;
  const isKept = facts.topics.get(final.event.topic)?.keepsAll === true;
  return isKept || offset >= (finals.coverageOf(place)?.from ?? Number.POSITIVE_INFINITY);
}

function judge(evidence: Evidence, row: number, lane: Lane, found: Found): void {
  const { deliveryView, facts } = evidence;
  const { messages } = facts.delivery;
  const offset = facts.sends.ackOffset.at(row);
  const message = messages.find(lane.final.lane, offset);
  const isSettled = lane.isSettled(offset);
  const wasDelivered = message !== NONE && messages.newest.at(message) !== NONE;
  if (message !== NONE && deliveryView.isDead(message)) return;
  if (!wasDelivered) {
    if (!isSettled && isHeldUp(evidence, lane, row)) return;
    const end = isSettled ? "and is settled in the end" : "and is not settled in the end";
    found("lost-message", () => neverDelivered(evidence, row, lane, end));
    return;
  }
  if (isSettled) judgeSettled(evidence, message, row, lane, found);
  else judgeUnsettled(evidence, message, row, lane, found);
}

/** Settled in the end: then some consumer asked for it, or it died and is in the dead letters. */
function judgeSettled(
  evidence: Evidence,
  message: number,
  row: number,
  lane: Lane,
  found: Found,
): void {
  const { deliveryView, facts } = evidence;
  const rows = deliveryView.deliveriesOf(message);
  const wasAsked = deliveryView.askedMs(rows, ["ack"]) <= lane.final.event.atMs;
  if (wasAsked && !isAckVoid(evidence, message, rows, beganMs(lane.final))) return;
  if (deliveryView.isUnparked(message, true)) return;
  const definition = definitionOf(evidence, lane);
  if (mayBeDead(evidence, message, rows, lane)) {
    if (definition?.deadLetterTopic === undefined) return;
    if (!isDeadTopicRead(evidence, definition.deadLetterTopic, lane)) return;
    const text = "failed for good, is settled in the end, and is in no dead letter topic";
    found("lost-dead-letter", () =>
      about(facts, message, row, text, proofOf(evidence, message, row, lane)),
    );
    return;
  }
  const text = wasAsked
    ? "brought back by a reset, not acknowledged since, and settled in the end"
    : "delivered, never acknowledged, and settled in the end";
  found("lost-message", () =>
    about(facts, message, row, text, proofOf(evidence, message, row, lane)),
  );
}

/**
 * A reset brought it back, and nothing that arrived since was acknowledged. What was handed out before is void, whether its ack
 * was in force before the reset, or came too late.
 */
function isAckVoid(
  { deliveryView, facts }: Evidence,
  message: number,
  rows: readonly number[],
  finalMs: number,
): boolean {
  const reset = deliveryView.lastRewindOf(message, finalMs);
  if (reset === undefined || !deliveryView.isKept(message, reset.beganMs, reset.atMs)) return false;
  const { atMs } = facts.delivery.deliveries;
  const since = rows.filter((row) => atMs.at(row) >= reset.beganMs);
  return deliveryView.askedMs(since, ["ack"]) === Number.POSITIVE_INFINITY;
}

/** Not settled in the end: no ack of it was confirmed, and it stays behind something that failed for good. */
function judgeUnsettled(
  evidence: Evidence,
  message: number,
  row: number,
  lane: Lane,
  found: Found,
): void {
  const { deliveryView, facts } = evidence;
  const { settlements } = facts.delivery;
  const rows = deliveryView.deliveriesOf(message);
  const endMs = beganMs(lane.final);
  for (const delivery of rows) {
    for (const settlement of deliveryView.settlementsOf(delivery)) {
      if (settlements.verdictOf(settlement) !== "ack") continue;
      const confirmedMs = settlements.answeredMs.at(settlement);
      if (!settlements.isConfirmed(settlement) || confirmedMs > endMs) continue;
      const askedMs = settlements.askedMs.at(settlement);
      if (deliveryView.isRewound(message, askedMs, lane.final.event.atMs)) continue;
      if (!deliveryView.isKept(message, askedMs, confirmedMs)) continue;
      const text = "its ack was confirmed, and it is not settled in the end";
      found("forgotten-ack", () =>
        about(facts, message, row, text, proofOf(evidence, message, row, lane)),
      );
      return;
    }
  }
  if (isHeldUp(evidence, lane, row)) return;
  const { least, mayBeRejected, most } = failuresOf(evidence, message, rows);
  const definition = definitionOf(evidence, lane);
  const limit = definition?.attemptsMax ?? 0;
  const isMortal = definition?.mode === "shared" || definition?.onFailure === "skip";
  if (!isMortal && (mayBeRejected || most >= limit)) return;
  const isDead = least >= limit || hasConfirmedReject(evidence, rows);
  if (isDead && definition?.deadLetterTopic === undefined) return;
  const text = isDead
    ? "failed for good, is not settled in the end, and is in no dead letter topic"
    : "delivered, and not settled in the end";
  found(isDead ? "lost-dead-letter" : "lost-message", () =>
    about(facts, message, row, text, proofOf(evidence, message, row, lane)),
  );
}

/** Paused in the end, or behind another message. */
function isHeldUp(evidence: Evidence, lane: Lane, row: number): boolean {
  const { sends, delivery } = evidence.facts;
  const { subscription } = lane.final.event;
  const last = delivery.pauses.filter(({ event }) => event.subscription === subscription).at(-1);
  if (last?.event.isPaused === true) return true;
  return lane.isBlocked(sends.ackOffset.at(row), sends.key.at(row));
}

function mayBeDead(
  evidence: Evidence,
  message: number,
  rows: readonly number[],
  lane: Lane,
): boolean {
  const { mayBeRejected, most } = failuresOf(evidence, message, rows);
  return mayBeRejected || most >= (definitionOf(evidence, lane)?.attemptsMax ?? 0);
}

function hasConfirmedReject({ deliveryView, facts }: Evidence, rows: readonly number[]): boolean {
  const { settlements } = facts.delivery;
  return rows.some((row) =>
    [...deliveryView.settlementsOf(row)].some(
      (one) => settlements.verdictOf(one) === "reject" && settlements.isConfirmed(one),
    ),
  );
}

/** Somebody read all of it, after the subscription had come to rest. */
function isDeadTopicRead({ facts }: Evidence, topic: string, { final }: Lane): boolean {
  const partitions = facts.topics.get(topic)?.partitions ?? 1;
  const read = new Set<number>();
  for (const { event } of facts.scans) {
    if (event.topic === topic && event.beganMs >= final.event.atMs) read.add(event.partition);
  }
  return read.size >= partitions;
}

function definitionOf(
  { facts }: Evidence,
  { final }: Lane,
): ReturnType<Evidence["facts"]["delivery"]["definitionOf"]> {
  const subscription = facts.delivery.messages.lanes[final.lane]?.subscription ?? NONE;
  return facts.delivery.definitionOf(subscription);
}

function neverDelivered(
  { facts }: Evidence,
  row: number,
  { final }: Lane,
  end: string,
): ReturnType<Parameters<Found>[1]> {
  const { sends, places } = facts;
  const place = sends.ackPlace.at(row);
  const offset = sends.ackOffset.at(row);
  const value = sends.valueOf(row);
  const { subscription } = final.event;
  return {
    message: `${shown(value)} at ${places.nameOf(place)}@${offset} was never delivered to ${subscription}, ${end}`,
    ...located(facts, place, offset),
    value,
    events: [...eventsOf(facts, row), final.number],
  };
}

function proofOf(
  { deliveryView, facts }: Evidence,
  message: number,
  row: number,
  { final }: Lane,
): number[] {
  const { deliveries, settlements } = facts.delivery;
  const rows = deliveryView.deliveriesOf(message);
  const events = rows.flatMap((delivery) => [
    deliveries.event.at(delivery),
    ...[...deliveryView.settlementsOf(delivery)].flatMap((one) => [
      settlements.askedEvent.at(one),
      settlements.answeredEvent.at(one),
    ]),
  ]);
  return [...eventsOf(facts, row), ...events, final.number];
}

function beganMs({ event }: Final): number {
  return event.beganMs ?? event.atMs;
}

/** Pairs of first and count, in ascending order. */
function contains(ranges: readonly number[], offset: number): boolean {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle * 2] ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  if (low === 0) return false;
  return offset < (ranges[low * 2 - 2] ?? 0) + (ranges[low * 2 - 1] ?? 0);
}
