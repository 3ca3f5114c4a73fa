import { describe, expect, it } from "vitest";
import { LeaseTimes } from "../../src/client/lease-times.ts";

const LOOK = { ackDeadlineMs: 600_000, extendMaxMs: 3_600_000 };

describe("lease times: what the broker confirmed", () => {
  it("a lease ends earlier when the ack deadline was lowered meanwhile", () => {
    const times = new LeaseTimes(1000, 600_000);
    times.look([7, 1], () => true, { ...LOOK, nowMs: 1000 });
    expect(times.endMs(7)).toBe(601_000);
    times.extended([7, 1], 3000, 5000);
    expect(times.endMs(7)).toBe(8000);
  });

  it("a late confirmation of an earlier question changes nothing", () => {
    const times = new LeaseTimes(1000, 10_000);
    times.extended([7, 1], 9000, 10_000);
    times.extended([7, 1], 5000, 10_000);
    expect(times.endMs(7)).toBe(19_000);
  });
});
