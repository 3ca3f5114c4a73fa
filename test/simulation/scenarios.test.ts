// Named scenarios: each once showed a defect, or is worth repeating with every change. They must not fail any more, and
// what they are about must still happen.
import { describe, expect, it } from "vitest";
import { formatScenario, parseScenario, readScenario, scenarioNames } from "./scenario.ts";
import { simulate } from "./simulate.ts";

/** Whoever empties the folder should notice. */
const SCENARIOS_MIN = 5;

describe("scenarios", () => {
  const names = scenarioNames();

  it("there are some, and they are kept in the form in which they are written", () => {
    expect(names.length).toBeGreaterThanOrEqual(SCENARIOS_MIN);
    for (const name of names) {
      const scenario = readScenario(name);
      expect(parseScenario(formatScenario(scenario), name)).toEqual(scenario);
    }
  });

  for (const name of names) {
    it(`${name}: no promise is broken, each kind of fault bites`, {
      timeout: 180_000,
    }, async () => {
      const { plan, seed } = readScenario(name);
      const { bitten, violations } = await simulate({ seed, plan });
      expect(violations).toEqual([]);
      const kinds = new Set(plan.faults.map(({ kind }) => kind));
      expect(Object.keys(bitten).sort()).toEqual([...kinds].sort());
    });
  }
});
