import { describe, expect, it } from "vitest";
import { checkHeld, HELD_OFFSETS_MAX, heldBy } from "../../src/delivery/push-request.ts";
import { resumptionOf } from "../../src/delivery/resumption.ts";
import { SettledTable } from "../../src/delivery/settled-table.ts";
import { TOPIC_ID } from "./fake-partition.ts";

const NOTHING = { number: 0, ranges: [] };
const FAR = Number.MAX_SAFE_INTEGER - 1;

function claimOf(partition: number, ranges: readonly number[]) {
  return { topicId: TOPIC_ID, partition, leaderEpoch: 1, deliveryNumber: 1, ranges };
}

describe("resumption", () => {
  it("claims: what a consumer names is looked at as far as something is there", () => {
    const table = new SettledTable(3);
    table.settle(5, 7);
    table.settle(10_000, 10_001);
    const startMs = performance.now();
    const named = resumptionOf([[0, FAR]], NOTHING, table, 20_000);
    expect(named?.ranges).toEqual([
      [0, 3],
      [5, 7],
      [10_000, 10_001],
    ]);
    expect(table.nextSettled(10_001, FAR)).toBe(FAR);
    expect(performance.now() - startMs).toBeLessThan(1000);
  }, 5000);

  it("claims: beyond what one message may name they say that nothing is held", () => {
    const held = checkHeld(
      [
        claimOf(0, [0, FAR]),
        claimOf(1, [0, HELD_OFFSETS_MAX - 1]),
        claimOf(2, [7, 2]),
        claimOf(3, [7, 1]),
      ],
      "held",
    );
    const ranges = [0, 1, 2, 3].map((at) => heldBy(held, TOPIC_ID, at).map((one) => one.ranges));
    expect(ranges).toEqual([[[]], [[[0, HELD_OFFSETS_MAX - 1]]], [[]], [[[7, 8]]]]);
  });

  it("claims: name the leader that gave what they name; that nothing is held needs none", () => {
    const claims = [
      { ...claimOf(0, [7, 1]), leaderEpoch: 5 },
      { ...claimOf(1, []), leaderEpoch: 0 },
    ];
    expect(checkHeld(claims, "held").map(({ leaderEpoch }) => leaderEpoch)).toEqual([5, 0]);
    const wrong = { ...claimOf(0, [7, 1]), leaderEpoch: 0 };
    expect(() => checkHeld([wrong], "held")).toThrow("held.leaderEpoch is not valid");
  });
});
