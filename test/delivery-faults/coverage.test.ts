import { describe, expect, it } from "vitest";
import { Coverage } from "./coverage.ts";

const TOKEN = { subscription: "s", consumer: "c", topic: "t", leaderEpoch: 1, delivery: 1 };
const first = { ...TOKEN, partition: 0 };
const second = { ...TOKEN, partition: 1 };

describe("coverage", () => {
  it("returned: what was begun again, unless its consumer had called it failed", () => {
    const coverage = new Coverage();
    coverage.begun(first, 5);
    coverage.begun(second, 5);
    coverage.begun(first, 6);
    expect(coverage.returned).toBe(0);
    coverage.asked(first, 6, "nack");
    coverage.begun(first, 6);
    expect(coverage.returned).toBe(0);
    coverage.asked(first, 5, "ack");
    coverage.begun(first, 5);
    expect(coverage.returned).toBe(1);
  });

  it("shuffled: acknowledgements below the highest of their partition; failures do not count", () => {
    const coverage = new Coverage();
    for (const offset of [1, 2, 4]) coverage.asked(first, offset, "ack");
    coverage.asked(second, 3, "ack");
    expect(coverage.shuffled).toBe(0);
    coverage.asked(first, 9, "nack");
    coverage.asked(first, 5, "ack");
    expect(coverage.shuffled).toBe(0);
    coverage.asked(first, 3, "ack");
    expect(coverage.shuffled).toBe(1);
  });
});
