// T86: majority arithmetic against a naive implementation that tries every subset.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReplicaId } from "../../src/model/ids.ts";
import type { Membership } from "../../src/raft/messages.ts";
import {
  type Ballot,
  majorityOf,
  quorumValue,
  type Tally,
  tallyVotes,
} from "../../src/raft/quorum.ts";
import { replica } from "./support/host.ts";

const idSet = fc
  .uniqueArray(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 7 })
  .map((ids) => ids.map(replica));

const membership: fc.Arbitrary<Membership> = fc
  .tuple(idSet, fc.option(idSet, { nil: undefined }), idSet)
  .map(([voters, outgoing, learners]) =>
    outgoing === undefined ? { voters, learners } : { voters, learners, outgoing },
  );

function halves({ voters, outgoing }: Membership): (readonly ReplicaId[])[] {
  return outgoing === undefined ? [voters] : [voters, outgoing];
}

function subsets(ids: readonly ReplicaId[]): ReplicaId[][] {
  const [first, ...rest] = ids;
  if (first === undefined) return [[]];
  return subsets(rest).flatMap((subset) => [subset, [first, ...subset]]);
}

describe("quorum: value that a majority has reached", () => {
  test("equals the best over all majorities (any configuration)", () => {
    const values = fc.array(fc.nat(20), { minLength: 9, maxLength: 9 });
    fc.assert(
      fc.property(membership, values, (config, reached) => {
        const readOf = (id: ReplicaId): number => reached[id] ?? 0;
        const naive = halves(config).map((half) =>
          Math.max(
            ...subsets(half)
              .filter((subset) => subset.length * 2 > half.length)
              .map((majority) => Math.min(...majority.map(readOf))),
          ),
        );
        expect(quorumValue(config, readOf)).toBe(Math.min(...naive));
      }),
    );
  });

  test("does not depend on learners or strangers", () => {
    const config = { voters: [1, 2, 3].map(replica), learners: [replica(4)] };
    expect(quorumValue(config, (id) => (id <= 3 ? 5 : 99))).toBe(5);
    expect(quorumValue(config, (id) => (id > 2 ? 9 : 1))).toBe(1);
  });
});

/** The rule of raft.md §1.5, written as it is stated. */
function isWon(half: readonly ReplicaId[], ballots: ReadonlyMap<ReplicaId, Ballot>): boolean {
  const granted = half.filter((id) => ballots.get(id)?.granted === true);
  const sound = granted.filter((id) => ballots.get(id)?.recovering === false);
  const majority = majorityOf(half.length);
  const isSound = sound.length >= half.length - majority + 1;
  return granted.length === half.length || (granted.length >= majority && isSound);
}

/** Tries every way in which the missing answers could come. */
function naiveTally(config: Membership, ballots: ReadonlyMap<ReplicaId, Ballot>): Tally {
  const won = (filled: ReadonlyMap<ReplicaId, Ballot>): boolean =>
    halves(config).every((half) => isWon(half, filled));
  if (won(ballots)) return "won";
  const all = new Map(ballots);
  const missing = { granted: true, recovering: false };
  for (const id of halves(config).flat()) if (!all.has(id)) all.set(id, missing);
  return won(all) ? "pending" : "lost";
}

describe("quorum: elections", () => {
  const ballot = fc.record({ granted: fc.boolean(), recovering: fc.boolean() });
  const ballots = fc
    .array(fc.option(ballot, { nil: undefined }), { minLength: 9, maxLength: 9 })
    .map((list) => {
      const map = new Map<ReplicaId, Ballot>();
      for (const [at, item] of list.entries()) if (item !== undefined) map.set(replica(at), item);
      return map;
    });

  test("won, lost and pending as by trying all continuations (any configuration)", () => {
    fc.assert(
      fc.property(membership, ballots, (config, answers) => {
        const tally = tallyVotes(config, (id) => answers.get(id));
        expect(tally).toBe(naiveTally(config, answers));
      }),
    );
  });

  test("two winners of one configuration share a voter", () => {
    fc.assert(
      fc.property(membership, ballots, (config, answers) => {
        if (tallyVotes(config, (id) => answers.get(id)) !== "won") return;
        const others = (id: ReplicaId): Ballot => ({
          granted: answers.get(id)?.granted !== true,
          recovering: false,
        });
        expect(tallyVotes(config, others)).not.toBe("won");
      }),
    );
  });

  test("a winner's sound voters meet every commit quorum, unless everybody voted", () => {
    fc.assert(
      fc.property(idSet, ballots, (voters, answers) => {
        const config = { voters, learners: [] };
        if (tallyVotes(config, (id) => answers.get(id)) !== "won") return;
        if (voters.every((id) => answers.get(id)?.granted)) return;
        const sound = voters.filter((id) => {
          const answer = answers.get(id);
          return answer?.granted === true && !answer.recovering;
        });
        for (const quorum of subsets(voters)) {
          if (quorum.length * 2 <= voters.length) continue;
          expect(quorum.some((id) => sound.includes(id))).toBe(true);
        }
      }),
    );
  });
});
