// A3 and A5, and receipts: what the reads of all readers, and the receipts, say about the content of the logs. One value
// has one place, one place has one value, and the receipt names it.
import { Column } from "../column.ts";
import type { Facts } from "../facts.ts";
import { NONE } from "../send-table.ts";
import {
  at,
  type Check,
  type Evidence,
  eventsOf,
  type Finding,
  type Found,
  located,
  shown,
} from "./check.ts";

/** A3. A record that the faults may take can be stored again elsewhere; then the two are not there at once. */
export const duplicateCheck: Check = {
  kinds: ["duplicate-in-log"],
  run: ({ facts, finals, promises }, found) => {
    const { reads, sends } = facts;
    const firstRead = Column.small();
    for (let row = 0; row < sends.length; row += 1) firstRead.push(NONE);
    for (let read = 0; read < reads.length; read += 1) {
      const row = reads.row.at(read);
      const first = firstRead.at(row);
      if (first === NONE) firstRead.set(row, read);
      if (first === NONE || isSamePlace(facts, first, read)) continue;
      const final = finals.readOf(row);
      const isAtOnce = finals.isFinal(read) && !isSamePlace(facts, final, read);
      const mayMove = !isAtOnce && !promises.visibleHolds(row);
      // The place where it is now: what was lost is lost, a third place would be another duplicate.
      if (mayMove || sends.isIdempotent.at(row) === 0) firstRead.set(row, read);
      else found("duplicate-in-log", () => duplicate(facts, isAtOnce ? final : first, read));
    }
    return reads.length;
  },
};

function isSamePlace({ reads }: Facts, a: number, b: number): boolean {
  return reads.place.at(a) === reads.place.at(b) && reads.offset.at(a) === reads.offset.at(b);
}

function duplicate(facts: Facts, first: number, second: number): Finding {
  const { reads, sends } = facts;
  const value = sends.valueOf(reads.row.at(second));
  const place = reads.place.at(second);
  const offset = reads.offset.at(second);
  const firstPlace = at(facts, reads.place.at(first), reads.offset.at(first));
  return {
    message: `${shown(value)} is at ${firstPlace} and at ${at(facts, place, offset)}`,
    ...located(facts, place, offset),
    value,
    events: [reads.event.at(first), reads.event.at(second)],
  };
}

/** A5, by reads first; receipts contradict each other only where nobody read. */
export const divergenceCheck: Check = {
  kinds: ["offset-divergence"],
  run: (evidence, found) => {
    const { facts, promises } = evidence;
    const { places, reads, sends } = facts;
    const standing = Array.from({ length: places.size }, () => new Map<number, number>());
    for (let read = 0; read < reads.length; read += 1) {
      const place = reads.place.at(read);
      const offset = reads.offset.at(read);
      const earlier = standing[place]?.get(offset);
      const isSame = earlier === undefined || reads.row.at(earlier) === reads.row.at(read);
      if (isSame) {
        if (earlier === undefined) standing[place]?.set(offset, read);
        continue;
      }
      if (
        promises.visibleHolds(reads.row.at(earlier)) &&
        promises.visibleHolds(reads.row.at(read))
      ) {
        found("offset-divergence", () => ({
          message: `${at(facts, place, offset)} held ${shown(sends.valueOf(reads.row.at(earlier)))} and ${shown(sends.valueOf(reads.row.at(read)))}`,
          ...located(facts, place, offset),
          value: sends.valueOf(reads.row.at(read)),
          events: [reads.event.at(earlier), reads.event.at(read)],
        }));
      } else standing[place]?.set(offset, read);
    }
    return reads.length + receiptsDiffer(evidence, standing, found);
  },
};

function receiptsDiffer(
  { facts, promises }: Evidence,
  standing: readonly ReadonlyMap<number, number>[],
  found: Found,
): number {
  const { places, sends } = facts;
  const promised = Array.from({ length: places.size }, () => new Map<number, number>());
  let looked = 0;
  for (let row = 0; row < sends.length; row += 1) {
    if (!sends.isAcknowledged(row) || !sends.isStrong(row)) continue;
    const place = sends.ackPlace.at(row);
    const offset = sends.ackOffset.at(row);
    if (standing[place]?.has(offset) === true || !promises.receiptHolds(row)) continue;
    looked += 1;
    const earlier = promised[place]?.get(offset);
    if (earlier === undefined) promised[place]?.set(offset, row);
    else {
      found("offset-divergence", () => ({
        message: `${at(facts, place, offset)} was promised to ${shown(sends.valueOf(earlier))} and to ${shown(sends.valueOf(row))}`,
        ...located(facts, place, offset),
        value: sends.valueOf(row),
        events: [...eventsOf(facts, earlier), ...eventsOf(facts, row)],
      }));
    }
  }
  return looked;
}

/** The receipt names another place than the one where the record is in the end. */
export const receiptCheck: Check = {
  kinds: ["receipt-mismatch"],
  run: ({ facts, finals, promises }, found) => {
    const { reads, sends } = facts;
    for (let row = 0; row < sends.length; row += 1) {
      const read = finals.readOf(row);
      if (!sends.isAcknowledged(row) || read === NONE) continue;
      const place = reads.place.at(read);
      const offset = reads.offset.at(read);
      const named = finals.readAt(sends.ackPlace.at(row), sends.ackOffset.at(row));
      if (named !== undefined && reads.row.at(named) === row) continue;
      // A tail that may be cut off can be stored anew, elsewhere, by a copy that was under way.
      if (!promises.receiptHolds(row)) continue;
      found("receipt-mismatch", () => ({
        message: `the receipt of ${shown(sends.valueOf(row))} says ${at(facts, sends.ackPlace.at(row), sends.ackOffset.at(row))}, it is at ${at(facts, place, offset)}`,
        ...located(facts, place, offset),
        value: sends.valueOf(row),
        events: [...eventsOf(facts, row), reads.event.at(read)],
      }));
    }
    return sends.acknowledged;
  },
};
