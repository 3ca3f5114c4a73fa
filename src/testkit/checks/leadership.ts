// A16: one leader per epoch, and no acknowledgement of an older epoch for a send that began after a later one had
// acknowledged. Only sends that wait for a majority: a leader that does not know yet that it was deposed may go on
// answering for itself alone.
import type { ReceiptsByTime } from "../receipts-by-time.ts";
import { NONE } from "../send-table.ts";
import { type Check, type Evidence, eventsOf, type Found, located, shown } from "./check.ts";

export const leadershipCheck: Check = {
  kinds: ["two-leaders"],
  run: (evidence, found) => {
    const claims = claimsCollide(evidence, found);
    const receipts = evidence.receiptsByTime();
    for (const [place, ofPlace] of receipts.entries()) deposed(evidence, place, ofPlace, found);
    return claims + evidence.facts.sends.acknowledged;
  },
};

/** Two nodes in one epoch, by what anybody said. */
function claimsCollide({ facts }: Evidence, found: Found): number {
  const { leaders, places, sends } = facts;
  const known = Array.from({ length: places.size }, () => new Map<number, [number, number]>());
  const collided = new Set<string>();
  let claims = 0;
  const claim = (place: number, epoch: number, node: number, event: number): void => {
    claims += 1;
    const earlier = known[place]?.get(epoch);
    if (earlier === undefined) known[place]?.set(epoch, [node, event]);
    else if (earlier[0] !== node && !collided.has(`${place}|${epoch}`)) {
      collided.add(`${place}|${epoch}`);
      found("two-leaders", () => ({
        message: `nodes ${earlier[0]} and ${node} both lead ${places.nameOf(place)} in epoch ${epoch}`,
        ...located(facts, place),
        events: [earlier[1], event],
      }));
    }
  };
  for (const { event, number } of leaders) {
    const { leaderEpoch, node, partition, topic } = event;
    if (node > 0) claim(places.numberOf(topic, partition), leaderEpoch, node, number);
  }
  for (let row = 0; row < sends.length; row += 1) {
    const node = sends.ackNode.at(row);
    if (!sends.isAcknowledged(row) || node === NONE) continue;
    claim(sends.ackPlace.at(row), sends.ackEpoch.at(row), node, sends.ackEvent.at(row));
  }
  return claims;
}

/** Sweeps the sends by the time when they began, and the receipts that had arrived before. */
function deposed({ facts }: Evidence, place: number, receipts: ReceiptsByTime, found: Found): void {
  const { sends } = facts;
  const begun = receipts.rows.slice().sort((a, b) => sends.sentMs.at(a) - sends.sentMs.at(b));
  let arrived = 0;
  let newest: number | undefined;
  for (const row of begun) {
    for (; arrived < receipts.rows.length; arrived += 1) {
      const other = receipts.rows[arrived] ?? 0;
      if (sends.ackMs.at(other) >= sends.sentMs.at(row)) break;
      if (newest === undefined || sends.ackEpoch.at(other) > sends.ackEpoch.at(newest))
        newest = other;
    }
    if (newest === undefined || sends.ackEpoch.at(row) >= sends.ackEpoch.at(newest)) continue;
    const later = newest;
    found("two-leaders", () => ({
      message:
        `${shown(sends.valueOf(row))} was sent after epoch ${sends.ackEpoch.at(later)} had acknowledged ` +
        `${shown(sends.valueOf(later))}, and was acknowledged by epoch ${sends.ackEpoch.at(row)}`,
      ...located(facts, place, sends.ackOffset.at(row)),
      value: sends.valueOf(row),
      events: [...eventsOf(facts, row), sends.ackEvent.at(later)],
    }));
  }
}
