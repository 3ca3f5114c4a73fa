// A20: a cursor that somebody was shown does not go back, unless the subscription was moved. A deposed leader may answer
// with an older one for as long as it may answer readers.
import type { CursorSeen } from "../delivery-events.ts";
import type { OfLane } from "../delivery-facts.ts";
import { type Check, type Evidence, located } from "./check.ts";

type Cursor = OfLane<CursorSeen>;

export const cursorCheck: Check = {
  kinds: ["cursor-regress"],
  run: (evidence, found) => {
    const { cursors, messages } = evidence.facts.delivery;
    const furthest = new Map<number, Cursor>();
    for (const cursor of [...cursors].sort((a, b) => a.event.atMs - b.event.atMs)) {
      const { event, lane, number } = cursor;
      const before = furthest.get(lane);
      if (before === undefined || event.offset >= before.event.offset) {
        furthest.set(lane, cursor);
        continue;
      }
      if (!mustFollow(evidence, before, cursor)) {
        // It was moved, or forgotten legally: what counts begins anew.
        if (isMoved(evidence, before, cursor)) furthest.set(lane, cursor);
        continue;
      }
      const { place = -1 } = messages.lanes[lane] ?? {};
      const where = `${event.subscription} in ${evidence.facts.places.nameOf(place)}`;
      found("cursor-regress", () => ({
        message: `the cursor of ${where} was ${before.event.offset}, then ${event.offset}`,
        ...located(evidence.facts, place, event.offset),
        events: [before.number, number],
      }));
      furthest.set(lane, cursor);
    }
    return cursors.length;
  },
};

function mustFollow(evidence: Evidence, before: Cursor, after: Cursor): boolean {
  const { promises, rules } = evidence;
  const knownMs = before.event.atMs;
  const beganMs = after.event.beganMs ?? after.event.atMs;
  if (beganMs < knownMs || isMoved(evidence, before, after)) return false;
  const isOlder = (after.event.leaderEpoch ?? Infinity) < (before.event.leaderEpoch ?? 0);
  if (!isOlder) return true;
  const pausedMs = promises.timeline.pausedMs(knownMs, beganMs);
  return beganMs - knownMs - pausedMs > rules.staleReadMsMax;
}

function isMoved({ facts, promises }: Evidence, before: Cursor, after: Cursor): boolean {
  const fromMs = before.event.beganMs ?? before.event.atMs;
  const toMs = after.event.atMs;
  const isReset = facts.delivery.resets.some(({ event, lane }) => {
    const endMs = event.outcome === "unknown" ? Infinity : event.atMs;
    return lane === after.lane && event.beganMs <= toMs && endMs >= fromMs;
  });
  return isReset || !promises.statementHolds(after.event.topic, fromMs, toMs);
}
