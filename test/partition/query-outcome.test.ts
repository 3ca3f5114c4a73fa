import { describe, expect, test } from "vitest";
import { queryOutcome } from "../../src/partition/query-outcome.ts";
import { type Fixture, makePartition, Outcome, producerBatch, request } from "./fixture.ts";

const BY_SEQUENCE = { producerEpoch: 0, offset: 0, leaderEpoch: 0 };
const BY_POSITION = { producerId: 0, producerEpoch: 0, baseSequence: 0 };

function put({ partition }: Fixture, producerId: number, sequence: number, count = 1): void {
  const batch = producerBatch(producerId, sequence, count);
  partition.submit(request(batch, { acks: "leader" }), new Outcome());
}

/**
 * Term 2 (leader at index 1): offsets 0 to 4 committed, 5 and 6 appended and lost. Term 9: offsets 5 and 6 committed,
 * 7 appended. Producer 2 is gapless, producer 5 weak.
 */
function history(): Fixture {
  const fixture = makePartition();
  const { replica } = fixture;
  put(fixture, 2, 0, 2);
  put(fixture, 2, 2);
  put(fixture, 5, 0);
  put(fixture, 5, 1);
  replica.advance();
  put(fixture, 2, 3);
  put(fixture, 5, 2);
  replica.stepDown(6);
  replica.takeOver(9);
  put(fixture, 2, 3);
  put(fixture, 5, 3);
  replica.advance();
  put(fixture, 5, 4);
  return fixture;
}

describe("query outcome: by sequence", () => {
  const cases: readonly (readonly [string, number, number, string, number?, number?, number?])[] = [
    ["committed", 2, 0, "committed", 0, 2],
    ["committed, inside a batch", 2, 1, "committed", 1, 2],
    ["committed after a retry in a later term", 2, 3, "committed", 5, 9],
    ["not here yet", 2, 4, "unknown"],
    ["weak, lost and passed", 5, 2, "lost"],
    ["weak, committed", 5, 3, "committed", 6, 9],
    ["weak, not committed yet", 5, 4, "unknown"],
    ["weak, not here yet", 5, 5, "unknown"],
    ["unknown producer", 8, 0, "unknown"],
    ["another epoch", 2, 0, "unknown", 0, 0, 1],
  ];
  for (const [title, producerId, baseSequence, outcome, offset, epoch, producerEpoch] of cases) {
    test(title, async () => {
      const { partition } = history();
      const query = { ...BY_SEQUENCE, producerId, baseSequence, producerEpoch: producerEpoch ?? 0 };
      expect(await queryOutcome(partition, query)).toEqual({
        outcome,
        offset: offset ?? 0,
        leaderEpoch: epoch ?? 0,
      });
    });
  }
});

describe("query outcome: by position", () => {
  const cases: readonly (readonly [string, number, number, string])[] = [
    ["committed", 0, 2, "committed"],
    ["committed, inside a batch", 1, 2, "committed"],
    ["lost: another term holds the offset", 5, 2, "lost"],
    ["lost: the term ended before the offset", 50, 2, "lost"],
    ["lost: the term left nothing", 3, 5, "lost"],
    ["committed in the present term", 6, 9, "committed"],
    ["appended, not committed", 7, 9, "unknown"],
    ["lost: an older term at an uncommitted offset", 7, 2, "lost"],
    ["not appended in the present term", 8, 9, "unknown"],
    ["a term that is not known here", 0, 12, "unknown"],
    ["no term given", 0, 0, "unknown"],
  ];
  for (const [title, offset, leaderEpoch, outcome] of cases) {
    test(title, async () => {
      const { partition } = history();
      const answer = await queryOutcome(partition, { ...BY_POSITION, offset, leaderEpoch });
      expect(answer.outcome).toBe(outcome);
      if (outcome === "committed") expect(answer).toMatchObject({ offset, leaderEpoch });
    });
  }

  test("below the log start nothing is known", async () => {
    const { partition, replica } = history();
    replica.logStart = 3;
    const answer = await queryOutcome(partition, { ...BY_POSITION, offset: 1, leaderEpoch: 2 });
    expect(answer.outcome).toBe("unknown");
  });

  test("only a ready leader answers", async () => {
    const { partition, replica } = history();
    replica.stepDown();
    await expect(
      queryOutcome(partition, { ...BY_POSITION, offset: 1, leaderEpoch: 2 }),
    ).rejects.toMatchObject({ reason: "NOT_LEADER" });
  });
});
