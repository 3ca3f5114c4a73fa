// A1 and A2: what was acknowledged, or visible, must be in the final reads, unless the faults of the run excuse it. What
// no complete read decides about is either passed over in the middle (A1) or a tail that nobody saw (A2).
import { NONE } from "../send-table.ts";
import { at, type Check, type Evidence, eventsOf, type Found, located, shown } from "./check.ts";

/** What anybody read of a place. */
interface Range {
  lowest: number;
  highest: number;
}

export const lossCheck: Check = {
  kinds: ["lost-acknowledged-write", "unseen-tail"],
  run: (evidence, found) => {
    const { facts } = evidence;
    const ranges = rangesRead(evidence);
    const isUnsettled =
      facts.endMs - evidence.promises.timeline.lastMs < evidence.rules.recoveryMsMax;
    for (let row = 0; row < facts.sends.length; row += 1) {
      if (facts.sends.isAcknowledged(row)) acknowledged(evidence, row, ranges, isUnsettled, found);
    }
    const seen = vanished(evidence, found);
    return facts.sends.acknowledged + seen;
  },
};

function acknowledged(
  evidence: Evidence,
  row: number,
  ranges: readonly Range[],
  isUnsettled: boolean,
  found: Found,
): void {
  const { facts, finals, promises } = evidence;
  const { sends } = facts;
  if (finals.isPresent(row) || !promises.receiptHolds(row)) return;
  const place = sends.ackPlace.at(row);
  const offset = sends.ackOffset.at(row);
  const coverage = finals.coverageOf(place);
  if (finals.decides(place, offset, sends.ackMs.at(row))) {
    found("lost-acknowledged-write", () => lost(evidence, row));
    return;
  }
  if (coverage !== undefined && offset < coverage.from) return;
  if (Number.isFinite(sends.seenMs.at(row))) return;
  const range = ranges[place];
  if (range !== undefined && offset > range.lowest && offset < range.highest) {
    found("lost-acknowledged-write", () => lost(evidence, row));
  } else if (!isUnsettled) {
    found("unseen-tail", () => ({
      message: `${shown(sends.valueOf(row))} was acknowledged at ${at(facts, place, offset)} and never read`,
      ...located(facts, place, offset),
      value: sends.valueOf(row),
      events: eventsOf(facts, row),
    }));
  }
}

function lost({ facts, finals }: Evidence, row: number): ReturnType<Parameters<Found>[1]> {
  const { sends } = facts;
  const place = sends.ackPlace.at(row);
  const offset = sends.ackOffset.at(row);
  const coverage = finals.coverageOf(place);
  const other = finals.readAt(place, offset);
  const stands = other === undefined ? "" : `; ${shown(valueOfRead(facts, other))} stands there`;
  const end =
    coverage !== undefined && offset >= coverage.to ? `; the log ends at ${coverage.to}` : "";
  const epoch = sends.ackEpoch.at(row);
  const promise = `${sends.classOf(row)} at ${at(facts, place, offset)} epoch ${epoch}`;
  return {
    message: `${shown(sends.valueOf(row))} was acknowledged ${promise}, never read${stands}${end}`,
    ...located(facts, place, offset),
    value: sends.valueOf(row),
    events: [...eventsOf(facts, row), coverage?.event ?? NONE],
  };
}

/** No receipt speaks for it, but a reader saw it, and neither it nor anything else is at that offset in the end. */
function vanished({ facts, finals, promises }: Evidence, found: Found): number {
  const { reads, sends } = facts;
  const reported = new Set<number>();
  for (let read = 0; read < reads.length; read += 1) {
    const row = reads.row.at(read);
    if (finals.isPresent(row) || promises.receiptHolds(row) || reported.has(row)) continue;
    const place = reads.place.at(read);
    const offset = reads.offset.at(read);
    if (sends.isNotApplied.at(row) === 1 || !promises.visibleHolds(row)) continue;
    if (!finals.decides(place, offset, reads.atMs.at(read))) continue;
    if (finals.readAt(place, offset) !== undefined) continue;
    reported.add(row);
    found("lost-acknowledged-write", () => ({
      message: `${shown(sends.valueOf(row))} was visible at ${at(facts, place, offset)} and is gone`,
      ...located(facts, place, offset),
      value: sends.valueOf(row),
      events: [
        ...eventsOf(facts, row),
        reads.event.at(read),
        finals.coverageOf(place)?.event ?? NONE,
      ],
    }));
  }
  return reads.length;
}

function rangesRead({ facts }: Evidence): Range[] {
  const { places, reads } = facts;
  const ranges = Array.from({ length: places.size }, (): Range => {
    return { lowest: Number.POSITIVE_INFINITY, highest: Number.NEGATIVE_INFINITY };
  });
  for (let read = 0; read < reads.length; read += 1) {
    const range = ranges[reads.place.at(read)];
    if (range === undefined) continue;
    const offset = reads.offset.at(read);
    range.lowest = Math.min(range.lowest, offset);
    range.highest = Math.max(range.highest, offset);
  }
  return ranges;
}

function valueOfRead({ reads, sends }: Evidence["facts"], read: number): string {
  return sends.valueOf(reads.row.at(read));
}
