// A6 and A17: everything that is read was sent, as it was read, by somebody who was not told that it is not stored.
import { NONE } from "../send-table.ts";
import { at, type Check, eventsOf, located, shown } from "./check.ts";

export const originCheck: Check = {
  kinds: ["phantom", "aborted-read"],
  run: ({ facts }, found) => {
    const { places, reads, sends } = facts;
    const reported = new Set<number>();
    for (let read = 0; read < reads.length; read += 1) {
      const row = reads.row.at(read);
      const place = reads.place.at(read);
      const problem = phantomProblem(row, place, reads.key.at(read));
      const isAborted = sends.isNotApplied.at(row) === 1;
      if ((problem === undefined && !isAborted) || reported.has(row)) continue;
      reported.add(row);
      const where = at(facts, place, reads.offset.at(read));
      const finding = {
        ...located(facts, place, reads.offset.at(read)),
        value: sends.valueOf(row),
        events: [...eventsOf(facts, row), reads.event.at(read)],
      };
      if (problem === undefined) {
        found("aborted-read", () => {
          const reason = sends.reasons.textOf(sends.failReason.at(row));
          const message = `${shown(finding.value)} is at ${where}, though its send failed as not applied (${reason})`;
          return { ...finding, message };
        });
      } else {
        found("phantom", () => {
          return { ...finding, message: `${shown(finding.value)} is at ${where}: ${problem}` };
        });
      }
    }
    return reads.length;

    function phantomProblem(row: number, place: number, key: number): string | undefined {
      if (!sends.isSent(row)) return "nobody sent it";
      const sentTo = sends.topics.textOf(sends.topic.at(row));
      if (sentTo !== places.placeOf(place).topic) return `it was sent to ${sentTo}`;
      if (sends.key.at(row) !== key) return "it was sent with another key";
      const target = sends.target.at(row);
      if (target === NONE || target === place) return undefined;
      return `it was sent to ${places.nameOf(target)}`;
    }
  },
};
