// The simulator in the unit tests: a few seeds, its determinism, and proof that it sees a planted defect. Many seeds:
// npm run test:simulation.
import { describe, expect, it } from "vitest";
import { simulate } from "./simulate.ts";

describe("simulation", () => {
  for (const seed of [3, 6, 11]) {
    it(`seed ${seed}: no promise is broken, and the run counts`, { timeout: 120_000 }, async () => {
      const { shortcomings, violations } = await simulate({ seed });
      expect(violations).toEqual([]);
      expect(shortcomings).toEqual([]);
    });
  }

  it("an equal seed gives an equal trace hash, another seed another", async () => {
    const durationMs = 10_000;
    const first = await simulate({ seed: 1, durationMs });
    const again = await simulate({ seed: 1, durationMs });
    const other = await simulate({ seed: 2, durationMs });
    expect(again.traceHash).toBe(first.traceHash);
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  it("a disk whose sync does nothing is found out (power cuts of all nodes)", async () => {
    const found: string[] = [];
    for (let seed = 1; seed <= 6; seed += 1) {
      const planted = "sync-does-nothing";
      const { violations } = await simulate({
        seed,
        durationMs: 15_000,
        kinds: ["blackout"],
        planted,
      });
      found.push(...violations);
    }
    expect(found.join("\n")).toMatch(/committed entry changed|lost-acknowledged-write|failed:/);
  });
});
