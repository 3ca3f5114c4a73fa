import { expect, it } from "vitest";
import { type GroupId, type NodeId, replicaIdOf } from "../../src/model/ids.ts";
import { ChangeChecks } from "./invariants/change-checks.ts";
import { Findings } from "./invariants/findings.ts";
import { type Entry, LogView, SegmentView } from "./invariants/log-view.ts";

const GROUP = 7 as GroupId;

function entry(index: number, isMembership: boolean): Entry {
  const place = { index, term: 1, prevTerm: undefined, baseOffset: 0, recordCount: 0, end: 100 };
  return { ...place, hash: index, isMembership };
}

/** Changes at 2 and 5 of a log of five entries, of which so many are committed when the second is written. */
function look(committed: number) {
  const problems: string[] = [];
  const findings = new Findings(
    (problem) => problems.push(problem),
    () => 0,
  );
  const segment = new SegmentView(1);
  segment.entries = [1, 2, 3, 4, 5].map((index) => entry(index, index === 2 || index === 5));
  const log = new LogView(GROUP, replicaIdOf(1 as NodeId, 1));
  log.insert(segment);
  for (const one of segment.entries.slice(0, committed)) findings.book(GROUP).commit(one);
  const checks = new ChangeChecks(findings);
  checks.written(log, entry(5, true));
  checks.check();
  return { problems, compared: checks.compared };
}

it("change checks: a change behind one that is committed is no problem, behind another one it is found", () => {
  expect(look(2)).toEqual({ problems: [], compared: 1 });
  const { problems } = look(1);
  expect(problems.join()).toContain("index 5 follows 2, which is not committed");
});
