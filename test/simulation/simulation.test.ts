// The simulator in the unit tests: a few seeds, its determinism, and proof that it sees a planted defect. Many seeds:
// npm run test:simulation.
import { describe, expect, it } from "vitest";
import { simulate } from "./simulate.ts";

describe("simulation", () => {
  for (const seed of [6, 8, 45]) {
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

  it("a disk that does not sync logs is found out within a few seeds (power cuts of all nodes)", async () => {
    const found: string[] = [];
    for (let seed = 1; seed <= 5; seed += 1) {
      const planted = "log-sync-does-nothing";
      const options = { seed, durationMs: 10_000, kinds: ["blackout"], planted } as const;
      found.push(...(await simulate(options)).violations);
    }
    expect(found.join("\n")).toMatch(
      /lost-acknowledged-write|committed entry changed|log is damaged/,
    );
  });
});
