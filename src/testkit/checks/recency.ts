// A15 and A25: what was acknowledged before somebody asked must be visible to him: at once to a leader of that epoch or a
// later one (else it was cut off), and after the lease to anybody (else the answer is stale). Bounds are linearizable: they
// are stale at once.
import type { ReceiptsByTime } from "../receipts-by-time.ts";
import { type Check, type Evidence, eventsOf, type Found, located, shown } from "./check.ts";

/** Somebody was told where a partition ends. */
interface EndSeen {
  readonly place: number;
  readonly beganMs: number;
  /** Offset behind the last visible record. */
  readonly end: number;
  readonly event: number;
  readonly who: string;
  /** Of the leader that answered; undefined: not known. */
  readonly leaderEpoch: number | undefined;
  /** Whoever answered had to make sure that nobody else leads. */
  readonly isBarred: boolean;
}

export const recencyCheck: Check = {
  kinds: ["stale-read", "truncated-after-recovery"],
  run: (evidence, found) => {
    const ends = endsSeen(evidence);
    if (ends.length === 0) return 0;
    const receipts = evidence.receiptsByTime();
    for (const seen of ends) {
      const ofPlace = receipts[seen.place];
      if (ofPlace !== undefined) judge(evidence, ofPlace, seen, found);
    }
    return ends.length;
  },
};

/** Bounds, high watermarks in answers to polls, and answers with nothing in them. */
function endsSeen({ facts }: Evidence): EndSeen[] {
  const { bounds, places, reads } = facts;
  const ends: EndSeen[] = bounds.map(({ event, number }) => ({
    place: places.numberOf(event.topic, event.partition),
    beganMs: event.beganMs,
    end: event.highWatermark,
    event: number,
    who: `epoch ${event.leaderEpoch}`,
    leaderEpoch: event.leaderEpoch,
    isBarred: true,
  }));
  for (const { beganMs, count, event, from, highWatermark, place, reader } of reads.polls) {
    const end = highWatermark ?? (count === 0 ? from : undefined);
    if (end === undefined) continue;
    const who = `reader ${reads.readers.textOf(reader)}`;
    ends.push({ place, beganMs, end, event, who, leaderEpoch: undefined, isBarred: false });
  }
  return ends;
}

function judge(evidence: Evidence, receipts: ReceiptsByTime, seen: EndSeen, found: Found): void {
  const { facts, promises, rules } = evidence;
  const { sends } = facts;
  const furthest = receipts.furthestBefore(seen.beganMs);
  if (furthest === undefined || sends.ackOffset.at(furthest) < seen.end) return;
  const { leaderEpoch } = seen;
  if (leaderEpoch !== undefined && sends.ackEpoch.at(furthest) <= leaderEpoch) {
    report(evidence, "truncated-after-recovery", furthest, seen, found, "");
    return;
  }
  const missed = receipts.firstFrom(seen.end);
  if (missed === undefined) return;
  const lagMs = seen.beganMs - sends.ackMs.at(missed);
  if (!seen.isBarred) {
    if (lagMs <= rules.staleReadMsMax) return;
    // Whoever was paused does not know that it was deposed meanwhile.
    const pausedMs = promises.timeline.pausedMs(sends.ackMs.at(missed), seen.beganMs);
    if (lagMs - pausedMs <= rules.staleReadMsMax) return;
  }
  report(evidence, "stale-read", missed, seen, found, ` ${Math.round(lagMs)} ms before`);
}

function report(
  { facts }: Evidence,
  kind: "stale-read" | "truncated-after-recovery",
  row: number,
  seen: EndSeen,
  found: Found,
  when: string,
): void {
  const { sends } = facts;
  found(kind, () => {
    const offset = sends.ackOffset.at(row);
    const acknowledged = `${shown(sends.valueOf(row))} was acknowledged at ${offset}${when}`;
    return {
      message: `${seen.who} sees ${facts.places.nameOf(seen.place)} end at ${seen.end}, but ${acknowledged}`,
      ...located(facts, seen.place, offset),
      value: sends.valueOf(row),
      events: [...eventsOf(facts, row), seen.event],
    };
  });
}
