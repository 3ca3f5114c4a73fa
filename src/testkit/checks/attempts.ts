// D3 and D4: failures are counted as often as there were any. Each delivery fails once at most: when its consumer says so,
// or when its lease may have run out or been lost with its consumer. What was released, revoked or goes on under a new
// token did not fail. Each nack that was confirmed counts, and a message dies at its limit, neither earlier nor later.
import type { DeadLetter } from "../delivery-facts.ts";
import { LOST } from "../delivery-table.ts";
import { NONE } from "../send-table.ts";
import type { Check, Evidence, Found } from "./check.ts";
import { about, tokenOf } from "./deliveries.ts";

/** Failures that a message may have had, and must have had; `mayBeRejected`: also died by its consumer's word. */
export interface Failures {
  readonly most: number;
  readonly least: number;
  readonly mayBeRejected: boolean;
}

export const attemptCheck: Check = {
  kinds: ["wrong-attempts", "wrong-death"],
  run: (evidence, found) => {
    const { deliveries, dead, messages } = evidence.facts.delivery;
    let looked = 0;
    for (let message = 0; message < messages.length; message += 1) {
      const newest = messages.newest.at(message);
      if (newest === NONE) continue;
      const isPlain = evidence.deliveryView.wasDeliveredOnce(message);
      if (isPlain && deliveries.failed.at(newest) <= 0) continue;
      looked += judgeMessage(evidence, message, found);
    }
    for (const letter of dead) judgeDeath(evidence, letter, found);
    return looked + dead.length;
  },
};

/** Over some of its deliveries, up to a time. */
export function failuresOf(
  evidence: Evidence,
  message: number,
  rows: readonly number[],
  untilMs = Number.POSITIVE_INFINITY,
): Failures {
  const { deliveryView, facts } = evidence;
  const { messages, settlements, subscriptions } = facts.delivery;
  const subscription = subscriptions.textOf(messages.subscriptionOf(message));
  const isReporting = deliveryView.isReporting(subscription);
  let most = deliveryView.failedUnseen(subscription, sentMsOf(evidence, message), untilMs);
  let least = 0;
  for (const row of rows) {
    if (mayHaveFailed(evidence, row, isReporting)) most += 1;
    for (const settlement of deliveryView.settlementsOf(row)) {
      const isNack = settlements.verdictOf(settlement) === "nack";
      if (!isNack || !settlements.isConfirmed(settlement)) continue;
      if (settlements.answeredMs.at(settlement) < untilMs) least += 1;
    }
  }
  const isKept =
    rows.length === 0 || deliveryView.isKept(message, firstMs(evidence, rows), untilMs);
  const isForgotten = deliveryView.isUnparked(message) || isResetEver(evidence, message) || !isKept;
  const mayBeRejected = Number.isFinite(deliveryView.askedMs(rows, ["reject"]));
  return { most, least: isForgotten ? 0 : least, mayBeRejected };
}

function mayHaveFailed(evidence: Evidence, row: number, isReporting: boolean): boolean {
  const { deliveryView, facts } = evidence;
  const { deliveries, settlements } = facts.delivery;
  if (isOneLease(evidence, row)) return false;
  if (Number.isFinite(deliveryView.askedMs([row], ["nack", "reject"]))) return true;
  if (deliveries.lostCause.at(row) === LOST.revoked) return false;
  if (isReporting && !deliveries.wasBegun(row)) return false;
  if (mayHaveDiedOf(evidence, row)) return true;
  for (const settlement of deliveryView.settlementsOf(row)) {
    const isReleased = settlements.verdictOf(settlement) === "release";
    if (isReleased && settlements.isConfirmed(settlement)) return false;
  }
  return true;
}

/** It went on under a newer token, and so did not fail under this one. Unless somebody had it meanwhile. */
function isOneLease(evidence: Evidence, row: number): boolean {
  const { deliveryView, facts } = evidence;
  const { deliveries } = facts.delivery;
  const next = deliveries.wentOnAs.at(row);
  if (next === NONE) return false;
  const message = deliveries.message.at(row);
  const rows = deliveryView.deliveriesOf(message);
  return !rows.some((other) => {
    const isBetween = deliveries.isBefore(row, other) && deliveries.isBefore(other, next);
    return isBetween && deliveries.isResumed.at(other) === 0;
  });
}

/**
 * The last one of a message in the dead letters, whose consumer came back with it: it may have died of it meanwhile. What is settled
 * the consumer is told to go on with, too, and whatever it says about it then is confirmed.
 */
function mayHaveDiedOf({ deliveryView, facts }: Evidence, row: number): boolean {
  const { isResumed, isToldSettled, message } = facts.delivery.deliveries;
  if (isResumed.at(row) === 0 && isToldSettled.at(row) === 0) return false;
  const dead = message.at(row);
  return deliveryView.isDead(dead) && deliveryView.deliveriesOf(dead).at(-1) === row;
}

function judgeMessage(evidence: Evidence, message: number, found: Found): number {
  const { facts } = evidence;
  const { deliveries } = facts.delivery;
  const rows = evidence.deliveryView.deliveriesOf(message);
  let looked = 0;
  for (const [at, row] of rows.entries()) {
    const failed = deliveries.failed.at(row);
    if (failed === NONE || deliveries.row.at(row) !== deliveries.row.at(rows[0] ?? row)) continue;
    looked += 1;
    const earlier = rows.slice(0, at);
    const { least, most } = failuresOf(evidence, message, earlier, deliveries.atMs.at(row));
    const problem = countProblem(failed, least, most) ?? handedOutProblem(evidence, row, earlier);
    if (problem !== undefined) {
      found("wrong-attempts", () => {
        const events = [...earlier, row].flatMap((one) => eventsOf(evidence, one));
        const text = `delivered ${tokenOf(facts, row)} ${problem}`;
        return about(facts, message, deliveries.row.at(row), text, events);
      });
      return looked;
    }
    if (judgeLimit(evidence, message, row, failed, found)) return looked;
  }
  return looked;
}

function countProblem(failed: number, least: number, most: number): string | undefined {
  if (failed > most) return `as one that failed ${failed} times; it can have been ${most}`;
  if (failed < least) return `as one that failed ${failed} times; ${least} were confirmed`;
  return undefined;
}

/** Every delivery under this leader that arrived was handed out. A seek makes the leader forget what it counted. */
function handedOutProblem(
  evidence: Evidence,
  row: number,
  earlier: readonly number[],
): string | undefined {
  const { deliveries } = evidence.facts.delivery;
  const said = deliveries.handedOut.at(row);
  if (said === NONE) return undefined;
  if (isResetEver(evidence, deliveries.message.at(row))) return undefined;
  const seen = [...earlier, row].filter(
    (one) =>
      deliveries.epoch.at(one) === deliveries.epoch.at(row) && deliveries.isResumed.at(one) === 0,
  ).length;
  return said < seen ? `as handed out ${said} times; ${seen} arrived` : undefined;
}

/** Handed out although it had failed for the last time. */
function judgeLimit(
  evidence: Evidence,
  message: number,
  row: number,
  failed: number,
  found: Found,
): boolean {
  const { facts } = evidence;
  const { deliveries, messages } = facts.delivery;
  const definitions = facts.delivery.declared[messages.subscriptionOf(message)] ?? [];
  if (definitions.length === 0) return false;
  const isMortal = definitions.every(({ event }) => {
    return (
      event.deadLetterTopic !== undefined || (event.mode !== "shared" && event.onFailure !== "skip")
    );
  });
  const limit = Math.max(...definitions.map(({ event }) => event.attemptsMax));
  if (!isMortal || failed < limit) return false;
  found("wrong-death", () => {
    const text = `delivered ${tokenOf(facts, row)} after ${failed} failures; ${limit} are allowed`;
    return about(facts, message, deliveries.row.at(row), text, [deliveries.event.at(row)]);
  });
  return true;
}

/** Dead although it can not have failed so often. */
function judgeDeath(evidence: Evidence, letter: DeadLetter, found: Found): void {
  const { message, number, row } = letter;
  const { deliveryView, facts } = evidence;
  const { messages } = facts.delivery;
  const definitions = facts.delivery.declared[messages.subscriptionOf(message)] ?? [];
  if (definitions.length === 0 || deliveryView.isUnparked(message, true)) return;
  const limit = Math.min(...definitions.map(({ event }) => event.attemptsMax));
  const rows = deliveryView.deliveriesOf(message);
  const { mayBeRejected, most } = failuresOf(evidence, message, rows);
  if (mayBeRejected || most >= limit) return;
  found("wrong-death", () => {
    const text = `in the dead letters after ${most} failures at most; ${limit} are allowed`;
    const events = [...rows.flatMap((one) => eventsOf(evidence, one)), number];
    return about(facts, message, row, text, events);
  });
}

function eventsOf({ deliveryView, facts }: Evidence, row: number): number[] {
  const { deliveries, settlements } = facts.delivery;
  const asked = [...deliveryView.settlementsOf(row)].map((one) => settlements.askedEvent.at(one));
  return [deliveries.event.at(row), ...asked];
}

/** Before that nobody can have had it. */
function sentMsOf({ facts }: Evidence, message: number): number {
  const { deliveries, messages } = facts.delivery;
  const row = deliveries.row.at(messages.newest.at(message));
  return facts.sends.isSent(row) ? facts.sends.sentMs.at(row) : Number.NEGATIVE_INFINITY;
}

function isResetEver({ deliveryView, facts }: Evidence, message: number): boolean {
  return deliveryView.isLaneReset(facts.delivery.messages.lane.at(message));
}

function firstMs({ facts }: Evidence, rows: readonly number[]): number {
  return Math.min(...rows.map((row) => facts.delivery.deliveries.atMs.at(row)));
}
