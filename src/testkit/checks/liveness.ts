// A19: with a healthy majority, a partition that is sent to acknowledges something, and has a leader. Time counts only
// while enough nodes were left alone, and only for sends that availability kept waiting.
import type { ErrorReason } from "../../model/errors.ts";
import { NONE } from "../send-table.ts";
import { type Check, type Evidence, eventsOf, type Found, located } from "./check.ts";

/** A time in which somebody waited for a partition. */
interface Demand {
  readonly row: number;
  readonly fromMs: number;
  toMs: number;
}

/** Between two sends that fail at once, the sender still waits. */
const PAUSE_MS_MAX = 3000;

/** The sender got what he asked for, or was told to slow down: nobody is stuck. */
const REFUSALS: readonly ErrorReason[] = [
  ...(["INVALID_REQUEST", "RECORD_TOO_LARGE", "MALFORMED_BATCH", "CORRUPT_BATCH"] as const),
  ...(["UNKNOWN_TOPIC_OR_PARTITION", "ACKS_TOO_WEAK", "UNSUPPORTED_VERSION"] as const),
  ...(["CLUSTER_MISMATCH", "PRODUCER_FENCED", "DUPLICATE_OUT_OF_WINDOW"] as const),
  ...(["OVERLOADED", "QUOTA_EXCEEDED", "BACKLOG_FULL", "BUFFER_FULL", "DISK_FULL"] as const),
  ...(["CANCELLED", "CLOSED"] as const),
];

export const livenessCheck: Check = {
  kinds: ["stuck-partition"],
  run: (evidence, found) => {
    const rows = rowsByPlace(evidence);
    for (const [place, ofPlace] of rows.entries()) stuckSends(evidence, place, ofPlace, found);
    leaderless(evidence, found);
    return evidence.facts.sends.sent + evidence.facts.leaders.length;
  },
};

/** Sends whose partition is known: chosen, acknowledged, or that of other records with the same key. */
function rowsByPlace({ facts }: Evidence): number[][] {
  const { places, sends } = facts;
  const homes = homesOfKeys(facts);
  const rows = Array.from({ length: places.size }, (): number[] => []);
  for (let call = 0; call < sends.calls.length; call += 1) {
    const row = sends.calls.at(call);
    let place = sends.isAcknowledged(row) ? sends.ackPlace.at(row) : sends.target.at(row);
    if (place === NONE) place = homes.get(keyName(facts, row)) ?? NONE;
    rows[place]?.push(row);
  }
  return rows;
}

function homesOfKeys(facts: Evidence["facts"]): Map<number, number> {
  const { sends } = facts;
  const homes = new Map<number, number>();
  for (let row = 0; row < sends.length; row += 1) {
    if (!sends.isAcknowledged(row) || sends.key.at(row) === NONE) continue;
    homes.set(keyName(facts, row), sends.ackPlace.at(row));
  }
  return homes;
}

/** One number for topic and key. */
function keyName({ sends }: Evidence["facts"], row: number): number {
  const key = sends.key.at(row);
  return key === NONE ? NONE : sends.topic.at(row) * sends.keys.size + key;
}

/** Looks at the times without any acknowledgement that are long enough. */
function stuckSends(
  evidence: Evidence,
  place: number,
  rows: readonly number[],
  found: Found,
): void {
  const { facts, rules } = evidence;
  const { sends } = facts;
  const ackTimes = Float64Array.from(
    rows.filter((row) => sends.isAcknowledged(row)),
    (row) => sends.ackMs.at(row),
  ).sort();
  const [first] = rows;
  let fromMs = first === undefined ? facts.endMs : sends.sentMs.at(first);
  for (let position = 0; position <= ackTimes.length; position += 1) {
    const toMs = ackTimes[position] ?? facts.endMs;
    if (toMs - fromMs >= rules.stuckMsMax) silence(evidence, place, rows, fromMs, toMs, found);
    fromMs = toMs;
  }
}

function silence(
  evidence: Evidence,
  place: number,
  rows: readonly number[],
  fromMs: number,
  toMs: number,
  found: Found,
): void {
  const { facts, promises, rules } = evidence;
  const { topic } = facts.places.placeOf(place);
  const enough = promises.replicasOf(topic) - promises.majorityOf(topic) + 1;
  for (const demand of demands(facts, rows, fromMs, toMs)) {
    const calmMs = promises.timeline.longestCalm(demand.fromMs, demand.toMs, enough);
    if (calmMs < rules.stuckMsMax) continue;
    found("stuck-partition", () => ({
      message: `${facts.places.nameOf(place)} acknowledged nothing for ${Math.round(calmMs)} ms with a healthy majority, from ${Math.round(demand.fromMs)} ms on`,
      ...located(facts, place),
      value: facts.sends.valueOf(demand.row),
      events: eventsOf(facts, demand.row),
    }));
  }
}

/** Waiting within a time, joined where one sender's pause is all that lies between. */
function demands(
  facts: Evidence["facts"],
  rows: readonly number[],
  fromMs: number,
  toMs: number,
): Demand[] {
  const { sends } = facts;
  const joined: Demand[] = [];
  const waiting = rows
    .filter((row) => sends.sentMs.at(row) < toMs && endOf(facts, row) > fromMs)
    .filter((row) => isWaiting(facts, row))
    .sort((a, b) => sends.sentMs.at(a) - sends.sentMs.at(b));
  for (const row of waiting) {
    const clipped: Demand = {
      row,
      fromMs: Math.max(sends.sentMs.at(row), fromMs),
      toMs: Math.min(endOf(facts, row), toMs),
    };
    const last = joined.at(-1);
    if (last === undefined || clipped.fromMs > last.toMs + PAUSE_MS_MAX) joined.push(clipped);
    else last.toMs = Math.max(last.toMs, clipped.toMs);
  }
  return joined;
}

function isWaiting({ sends }: Evidence["facts"], row: number): boolean {
  if (sends.classOf(row) === "none") return false;
  if (!sends.hasFailed(row)) return true;
  const reason = sends.reasons.textOf(sends.failReason.at(row));
  return !REFUSALS.some((refusal) => reason.startsWith(refusal));
}

function endOf({ endMs, sends }: Evidence["facts"], row: number): number {
  if (sends.isAcknowledged(row)) return sends.ackMs.at(row);
  return sends.hasFailed(row) ? sends.failMs.at(row) : endMs;
}

/** Somebody said that nobody leads, and nobody said otherwise for too long. */
function leaderless({ facts, promises, rules }: Evidence, found: Found): void {
  const { leaders, places } = facts;
  const since = new Map<number, { readonly atMs: number; readonly number: number }>();
  const judge = (place: number, untilMs: number): void => {
    const begin = since.get(place);
    if (begin === undefined) return;
    since.delete(place);
    const { topic } = places.placeOf(place);
    const enough = promises.replicasOf(topic) - promises.majorityOf(topic) + 1;
    const calmMs = promises.timeline.longestCalm(begin.atMs, untilMs, enough);
    if (calmMs < rules.stuckMsMax) return;
    found("stuck-partition", () => ({
      message: `${places.nameOf(place)} had no leader for ${Math.round(calmMs)} ms with a healthy majority`,
      ...located(facts, place),
      events: [begin.number],
    }));
  };
  for (const { event, number } of leaders) {
    const place = places.numberOf(event.topic, event.partition);
    if (event.node > 0) judge(place, event.atMs);
    else if (!since.has(place)) since.set(place, { atMs: event.atMs, number });
  }
  for (const place of [...since.keys()]) judge(place, facts.endMs);
}
