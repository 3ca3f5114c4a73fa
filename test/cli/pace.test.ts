import { describe, expect, it } from "vitest";
import { Pace } from "../../src/cli/pace.ts";

describe("pace", () => {
  it("rate: turns come at their intended times, lateness is caught up", async () => {
    let now = 1000;
    const waits: number[] = [];
    const pace = new Pace(
      100,
      () => now,
      (ms) => {
        waits.push(ms);
        now += ms;
        return Promise.resolve();
      },
    );
    await pace.turn();
    await pace.turn();
    expect(now).toBe(1010);
    // The caller was busy for 35 ms: the turns that were due meanwhile come at once.
    now += 35;
    for (let i = 0; i < 3; i += 1) await pace.turn();
    expect(now).toBe(1045);
    await pace.turn();
    expect(now).toBe(1050);
    expect(waits).toEqual([10, 5]);
  });
});
