// Named scenarios: each once showed a defect, or is worth repeating with every change. They must not fail any more, and
// what they are about must still happen.
import { describe, expect, it } from "vitest";
import { formatScenario, parseScenario, readScenario, scenarioNames } from "./scenario.ts";
import { planOf, simulate } from "./simulate.ts";

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

  it("a plan that is kept is the plan that was drawn (200 seeds), and what is not known is refused", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const plan = planOf({ seed });
      const kept = formatScenario({ about: "", seed, plan });
      expect(parseScenario(kept, "kept").plan).toEqual(plan);
    }
    const text = formatScenario({ about: "", seed: 1, plan: planOf({ seed: 1 }) });
    expect(() => parseScenario(text.replace("nodes", "knots"), "odd")).toThrow("no scenario");
    const more = text.replace('"plain":', '"odd":1,"plain":');
    expect(() => parseScenario(more, "odd")).toThrow("no scenario");
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
