import { describe, expect, it } from "vitest";
import { UpdatePlan } from "../../src/delivery/update-plan.ts";

describe("update plan", () => {
  it("knows what is being acknowledged, waiting or under way", () => {
    const plan = new UpdatePlan();
    plan.ack(2, 4);
    plan.ack(6, 7);
    plan.take({ id: "s", seeks: 0 }, 0, undefined);
    plan.ack(9, 10);
    const acking = Array.from({ length: 12 }, (_, offset) => offset).filter((offset) =>
      plan.isAcking(offset),
    );
    expect(acking).toEqual([2, 3, 6, 9]);
    plan.applied();
    expect(plan.isAcking(2)).toBe(false);
    expect(plan.isAcking(9)).toBe(true);
  });

  it("asking for each of 200,000 messages costs far less than a second", () => {
    const plan = new UpdatePlan();
    for (let offset = 0; offset < 200_000; offset += 2) plan.ack(offset, offset + 1);
    plan.take({ id: "s", seeks: 0 }, 0, undefined);
    const before = performance.now();
    let count = 0;
    for (let offset = 0; offset < 200_000; offset += 1) if (plan.isAcking(offset)) count += 1;
    expect(count).toBe(100_000);
    expect(performance.now() - before).toBeLessThan(1000);
  }, 60_000);
});
