import { expect, it } from "vitest";
import { type GroupId, type NodeId, type ReplicaId, replicaIdOf } from "../../src/model/ids.ts";
import { ClientChecks } from "./invariants/client-checks.ts";
import { DiskView } from "./invariants/disk-view.ts";
import { Findings } from "./invariants/findings.ts";
import { type Entry, SegmentView } from "./invariants/log-view.ts";

const GROUP = 7 as GroupId;
const END = 200;

it("client checks: a reader that goes on behind what is of another term now was not told, and is found", () => {
  const problems: string[] = [];
  const findings = new Findings(
    (problem) => problems.push(problem),
    () => 0,
  );
  findings.book(GROUP).commit(ENTRY);
  const checks = new ClientChecks(findings);
  checks.readOn(GROUP, 0, 1);
  checks.readOn(GROUP, 5, 9);
  expect(problems).toEqual([]);
  checks.readOn(GROUP, 0, 9);
  expect(problems.join()).toContain("offset 0 was read in epoch 9, is of term 1");
});

/** The entry is on so many disks of five replicas, written and flushed, or only written. */
function problemsOf(flushed: number, voters: number): readonly string[] {
  const problems: string[] = [];
  const findings = new Findings(
    (problem) => problems.push(problem),
    () => 0,
  );
  const nothing = (): undefined => undefined;
  const ids: ReplicaId[] = [];
  for (let number = 1; number <= voters; number += 1) {
    const node = number as NodeId;
    const replicaId = replicaIdOf(node, 1);
    ids.push(replicaId);
    const view = new DiskView(node, {
      ...{ onEntry: nothing, onCut: nothing, onRestart: nothing, onDropped: nothing },
      ...{ onLost: nothing, onHardState: nothing, onHardStateDurable: nothing },
    });
    findings.disks.set(node, view);
    const file = view.created(`groups/${GROUP}-${replicaId}/1.seg`);
    if (file?.kind !== "segment") throw new Error("no segment");
    Object.assign(file.segment, segmentWith(number <= flushed));
  }
  const book = findings.book(GROUP);
  book.hasMembers(1, { voters: ids, learners: [] });
  book.commit(ENTRY);
  new ClientChecks(findings).acked(GROUP, 0, 1, true);
  return problems;
}

const ENTRY: Entry = {
  ...{ index: 1, term: 1, prevTerm: undefined, hash: 5, isMembership: false },
  ...{ baseOffset: 0, recordCount: 1, end: END },
};

function segmentWith(isFlushed: boolean): SegmentView {
  const segment = new SegmentView(1);
  segment.entries = [ENTRY];
  segment.size = END;
  segment.syncedSize = isFlushed ? END : 0;
  return segment;
}

it("client checks: all/sync, acknowledged when a majority of three and of five disks has it, is no problem", () => {
  expect([...problemsOf(2, 3), ...problemsOf(3, 5)]).toEqual([]);
});

it("client checks: all/sync, acknowledged with one disk of three or two of five, is found", () => {
  expect(problemsOf(1, 3).join()).toContain("acknowledged before flush");
  expect(problemsOf(2, 5).join()).toContain("not on a majority of the disks");
});
