// I28: QueryOutcome's verdicts are final. What it calls lost never shows up, and was not promised to stay; what it calls
// committed is there in the end.
import type { OutcomeAnswered } from "../events.ts";
import type { Numbered } from "../numbered.ts";
import { NONE } from "../send-table.ts";
import { type Check, type Evidence, eventsOf, type Found, located, shown } from "./check.ts";

type Answer = Numbered<OutcomeAnswered>;
type Report = (answer: Answer, row: number, why: string, events: readonly number[]) => void;

export const outcomeCheck: Check = {
  kinds: ["wrong-outcome"],
  run: (evidence, found) => {
    const { outcomes } = evidence.facts;
    if (outcomes.length === 0) return 0;
    const report: Report = (answer, row, why, events) => {
      found("wrong-outcome", () => describe(evidence, answer, row, why, events));
    };
    const readsOf = readsOfAsked(evidence);
    const committed = new Map<number, Answer>();
    for (const answer of outcomes) {
      const row = evidence.facts.sends.rowOf(answer.event.value);
      if (answer.event.outcome === "committed") {
        committed.set(row, answer);
        judgeCommitted(evidence, answer, row, report);
      } else if (answer.event.outcome === "lost") {
        judgeLost(evidence, answer, row, readsOf.get(row) ?? [], report);
        const earlier = committed.get(row);
        if (
          earlier !== undefined &&
          evidence.promises.visibleHolds(row) &&
          isSame(earlier, answer)
        ) {
          report(answer, row, "it was committed before", [earlier.number]);
        }
      }
    }
    return outcomes.length;
  },
};

/** Reads of the values that were asked about. */
function readsOfAsked({ facts }: Evidence): Map<number, number[]> {
  const asked = new Map<number, number[]>();
  for (const { event } of facts.outcomes) asked.set(facts.sends.rowOf(event.value), []);
  for (let read = 0; read < facts.reads.length; read += 1) {
    asked.get(facts.reads.row.at(read))?.push(read);
  }
  return asked;
}

/** Gone by the end, though nothing excuses it. */
function judgeCommitted(evidence: Evidence, answer: Answer, row: number, report: Report): void {
  const { facts, finals, promises } = evidence;
  const { event } = answer;
  const { sends } = facts;
  if (finals.isPresent(row) || !promises.visibleHolds(row)) return;
  const place = placeOf(evidence, event, row);
  const offset = event.offset ?? sends.ackOffset.at(row);
  if (!finals.decides(place, offset, event.atMs)) return;
  report(answer, row, "it is not in the log", [finals.coverageOf(place)?.event ?? NONE]);
}

function judgeLost(
  evidence: Evidence,
  answer: Answer,
  row: number,
  readsOfRow: readonly number[],
  report: Report,
): void {
  const { facts, promises } = evidence;
  const { reads, sends } = facts;
  const { atMs } = answer.event;
  for (const read of readsOfRow) {
    if (!isAbout(evidence, answer.event, read)) continue;
    const isLater = reads.atMs.at(read) >= atMs;
    if (!isLater && !promises.visibleHolds(row)) continue;
    report(answer, row, isLater ? "it was read later" : "it had been read", [reads.event.at(read)]);
    return;
  }
  // A receipt whose promise no fault excuses cannot be lost.
  if (isAboutReceipt(evidence, answer.event, row) && promises.receiptHolds(row)) {
    const promise = `it was acknowledged ${sends.classOf(row)}, and nothing excuses its loss`;
    report(answer, row, promise, []);
  }
}

/** By position, only that place was asked about: a copy elsewhere proves nothing. */
function isAbout({ facts }: Evidence, event: OutcomeAnswered, read: number): boolean {
  if (event.by === "sequence" || event.offset === undefined) return true;
  const { reads } = facts;
  const isSameEpoch = event.leaderEpoch === undefined || event.leaderEpoch === reads.epoch.at(read);
  return event.offset === reads.offset.at(read) && isSameEpoch;
}

function isAboutReceipt({ facts }: Evidence, event: OutcomeAnswered, row: number): boolean {
  const { sends } = facts;
  if (!sends.isAcknowledged(row)) return false;
  return event.by === "sequence" || event.offset === sends.ackOffset.at(row);
}

function isSame(a: Answer, b: Answer): boolean {
  return (
    a.event.by === "sequence" || b.event.by === "sequence" || a.event.offset === b.event.offset
  );
}

function placeOf({ facts }: Evidence, { partition }: OutcomeAnswered, row: number): number {
  const { places, sends } = facts;
  return places.numberOf(sends.topics.textOf(sends.topic.at(row)), partition);
}

function describe(
  evidence: Evidence,
  { event, number }: Answer,
  row: number,
  why: string,
  events: readonly number[],
): ReturnType<Parameters<Found>[1]> {
  const { facts } = evidence;
  return {
    message: `${shown(event.value)} was called ${event.outcome}, but ${why}`,
    ...located(facts, placeOf(evidence, event, row), event.offset),
    value: event.value,
    events: [...eventsOf(facts, row), number, ...events],
  };
}
