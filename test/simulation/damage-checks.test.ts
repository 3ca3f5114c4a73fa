import { expect, it } from "vitest";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
import {
  DAMAGED_LEADER_MS_MAX,
  DamageChecks,
  type DamagedLeader,
} from "./invariants/damage-checks.ts";

const LEADER: DamagedLeader = {
  ...{ node: 1 as NodeId, group: 4 as GroupId, term: 3, hasSoundVoter: true },
};

/** The checks look every half second, so long; `at` says what they see. */
function look(forMs: number, at: (nowMs: number) => readonly DamagedLeader[]): readonly string[] {
  const problems: string[] = [];
  const checks = new DamageChecks((problem) => problems.push(problem));
  for (let nowMs = 0; nowMs <= forMs; nowMs += 500) checks.check(nowMs, at(nowMs));
  return problems;
}

it("damage checks: a leader that keeps damaged entries although another voter is sound is found", () => {
  const problems = look(DAMAGED_LEADER_MS_MAX + 500, () => [LEADER]);
  expect(problems).toHaveLength(1);
  expect(problems.join()).toContain("n1 leads group 4 in term 3 with damaged entries");
});

it("damage checks: not when nobody sound is there now and then, in terms that end, or when it is repaired", () => {
  const long = DAMAGED_LEADER_MS_MAX * 4;
  const lonely = look(long, (nowMs) => [{ ...LEADER, hasSoundVoter: nowMs % 10_000 !== 0 }]);
  const passing = look(long, (nowMs) => [{ ...LEADER, term: Math.floor(nowMs / 10_000) }]);
  const repaired = look(long, (nowMs) => (nowMs % 10_000 === 0 ? [] : [LEADER]));
  expect([...lonely, ...passing, ...repaired]).toEqual([]);
});
