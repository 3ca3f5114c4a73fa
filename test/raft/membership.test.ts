// T85: the algebra of memberships.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReplicaId } from "../../src/model/ids.ts";
import {
  firstStep,
  isMember,
  isVoter,
  leaveJoint,
  peersOf,
  sorted,
  votersBut,
} from "../../src/raft/membership.ts";
import type { Membership } from "../../src/raft/messages.ts";
import { replica } from "./support/host.ts";

const of = (...ids: number[]): ReplicaId[] => ids.map(replica);

const plain: fc.Arbitrary<Membership> = fc
  .uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 })
  .chain((ids) =>
    fc.integer({ min: 1, max: ids.length }).map((count) => ({
      voters: of(...ids.slice(0, count)),
      learners: of(...ids.slice(count)),
    })),
  );

function majorities(voters: readonly ReplicaId[]): ReplicaId[][] {
  const all = voters.reduce<ReplicaId[][]>(
    (sets, id) => sets.flatMap((set) => [set, [...set, id]]),
    [[]],
  );
  return all.filter((set) => set.length * 2 > voters.length);
}

describe("membership: first step to a target", () => {
  test("is the target itself when one voter comes or goes", () => {
    const current = { voters: of(1, 2, 3), learners: of(4) };
    const added = { voters: of(4, 3, 2, 1), learners: [] };
    expect(firstStep(current, added, "shortest")).toEqual({ voters: of(1, 2, 3, 4), learners: [] });
    const demoted = { voters: of(1, 2), learners: of(3, 4) };
    expect(firstStep(current, demoted, "shortest")).toEqual(demoted);
    expect(firstStep(current, current, "shortest")).toEqual(current);
  });

  test("is joint when a voter is replaced, with the old voters as outgoing half", () => {
    const current = { voters: of(1, 2, 3), learners: [] };
    const joint = firstStep(current, { voters: of(2, 3, 4), learners: of(1) }, "shortest");
    expect(joint).toEqual({ voters: of(2, 3, 4), learners: of(1), outgoing: of(1, 2, 3) });
    // Replica 1 still votes, though it is going to be a learner.
    expect(isVoter(joint, replica(1))).toBe(true);
    expect(leaveJoint(joint)).toEqual({ voters: of(2, 3, 4), learners: of(1) });
  });

  test("is joint for every change of voters where all changes are", () => {
    const current = { voters: of(1, 2, 3), learners: of(4) };
    const grown = { voters: of(1, 2, 3, 4), learners: [] };
    expect(firstStep(current, grown, "joint")).toEqual({ ...grown, outgoing: of(1, 2, 3) });
    const shrunk = { voters: of(1, 2), learners: of(4) };
    expect(firstStep(current, shrunk, "joint")).toEqual({ ...shrunk, outgoing: of(1, 2, 3) });
    const otherLearners = { voters: of(1, 2, 3), learners: of(5) };
    expect(firstStep(current, otherLearners, "joint")).toEqual(otherLearners);
  });

  test("every majority before meets every majority after (any two configurations)", () => {
    fc.assert(
      fc.property(plain, plain, (current, target) => {
        const step = firstStep(current, target, "shortest");
        const before = majorities(current.voters);
        // A joint decision holds majorities of both halves, so of the outgoing one.
        const after = majorities(step.outgoing ?? step.voters);
        for (const one of before) {
          for (const other of after) expect(one.some((id) => other.includes(id))).toBe(true);
        }
        if (step.outgoing !== undefined) expect(leaveJoint(step)).toEqual(sorted(target));
        else expect(step).toEqual(sorted(target));
      }),
    );
  });

  test("asserts that a target is well formed", () => {
    const current = { voters: of(1), learners: [] };
    expect(() => firstStep(current, { voters: [], learners: of(1) }, "shortest")).toThrow(
      "has a voter",
    );
    expect(() => firstStep(current, { voters: of(1, 2), learners: of(2) }, "shortest")).toThrow(
      "one part",
    );
    expect(() => firstStep(current, { voters: of(1, 1), learners: [] }, "shortest")).toThrow(
      "one part",
    );
    const joint = { voters: of(1), learners: [], outgoing: of(2) };
    expect(() => firstStep(current, joint, "shortest")).toThrow("not joint");
    expect(() => firstStep(joint, current, "shortest")).toThrow("left first");
    expect(() => leaveJoint(current)).toThrow("joint");
  });
});

test("membership: peers and voters are listed once, ascending, without oneself", () => {
  const joint = { voters: of(4, 2), learners: of(9, 1), outgoing: of(3, 2, 1) };
  expect(peersOf(joint, replica(2))).toEqual(of(1, 3, 4, 9));
  expect(votersBut(joint, replica(4))).toEqual(of(1, 2, 3));
  expect(isMember(joint, replica(9))).toBe(true);
  expect(isVoter(joint, replica(9))).toBe(false);
  expect(isMember(joint, replica(7))).toBe(false);
});
