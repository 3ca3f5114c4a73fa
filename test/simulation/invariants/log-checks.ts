// What must hold of a replica's log as a whole: when it starts, and when its members change. Called by status-checks.ts.
import type { LogIndex } from "../../../src/model/positions.ts";
import type { Membership } from "../../../src/raft/messages.ts";
import type { Findings } from "./findings.ts";
import type { GroupBook } from "./group-book.ts";
import type { LogView } from "./log-view.ts";

/** I7, for what a start found on its disk and took for entries. */
export function checkRecovered(
  findings: Findings,
  name: string,
  book: GroupBook,
  log: LogView,
): void {
  for (const { entries } of log.segments) {
    for (const entry of entries) {
      const problem = book.learn(entry);
      if (problem === undefined) continue;
      const where = `index ${entry.index} of term ${entry.term}`;
      findings.report(`log matching: ${name} found ${problem} at ${where}`);
    }
  }
}

/** What a leader had applied when it was seen last, and what it has applied now. */
export interface AppliedRange {
  readonly after: LogIndex;
  readonly upTo: LogIndex;
  /** In force before. */
  readonly membership: Membership;
}

/** I14: other members are in force from here on, and those before them had to agree. */
export function checkChangedMembers(
  findings: Findings,
  book: GroupBook,
  log: LogView,
  { after, membership, upTo }: AppliedRange,
): void {
  if (book.isForgiven) return;
  const { groupId } = book;
  for (let index = after + 1; index <= upTo; index += 1) {
    const entry = log.entry(index);
    if (entry?.isMembership !== true) continue;
    // Only the first one was decided by the members that were seen.
    if (findings.majorityHolds(groupId, membership, index, entry.term, false)) return;
    findings.report(
      `members changed without a majority: group ${groupId} index ${index} is not on a majority of the members before`,
    );
    return;
  }
}
