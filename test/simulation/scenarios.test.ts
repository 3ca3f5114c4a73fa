// Named scenarios: each once showed a defect, or is worth repeating with every change. They must not fail any more.
import { describe, expect, it } from "vitest";
import { readScenario, scenarioNames } from "./scenario.ts";
import { simulate } from "./simulate.ts";

describe("scenarios", () => {
  for (const name of scenarioNames()) {
    it(`${name}: no promise is broken`, { timeout: 60_000 }, async () => {
      const { plan, seed } = readScenario(name);
      const { violations } = await simulate({ seed, plan });
      expect(violations).toEqual([]);
    });
  }
});
