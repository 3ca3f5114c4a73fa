import { describe, expect, it } from "vitest";
import { newTotals } from "../simulation/totals.ts";
import type { Control } from "./control.ts";
import { hunt, runTwin, type SeedRunner } from "./hunt.ts";
import type { SeedOutcome } from "./seed-process.ts";

const control: Control = { name: "broken", breaks: "all", expects: ["I12"], patch: [] };
const TRUNCATED = "3.100 s: group 2 on n1: committed index 7 was truncated";
const BOUNDS = "3.100 s: bounds: group 2 on n1 has {}";

/** Seeds that are not named violate nothing. */
function runnerOf(outcomes: Readonly<Record<number, SeedOutcome>>): SeedRunner {
  return { run: (seed) => Promise.resolve(outcomes[seed] ?? violating()) };
}

function violating(...violations: readonly string[]): SeedOutcome {
  const { counts } = newTotals();
  const rest = { traceHash: "", shortcomings: [], counts, begun: {}, bitten: {}, leaderlessMs: 0 };
  return { result: { seed: 0, violations, examined: {}, ...rest } };
}

function huntWith(outcomes: Readonly<Record<number, SeedOutcome>>, seeds = [1, 2, 4, 5, 6, 7]) {
  let nowMs = 0;
  const tried: number[] = [];
  const options = {
    seeds,
    onSeed: (seed: number) => tried.push(seed),
    nowMs: () => {
      nowMs += 1000;
      return nowMs;
    },
  };
  return hunt(control, runnerOf(outcomes), options).then((hunted) => ({ ...hunted, tried }));
}

describe("hunt", () => {
  it("ends with the first seed that violates something, and names the check", async () => {
    const { caught, seconds, seedsRun, tried } = await huntWith({
      4: violating(TRUNCATED),
      5: violating(BOUNDS),
    });
    expect(caught).toMatchObject({ seed: 4, check: "I12", isExpected: true });
    expect(caught?.violation).toBe("group 2 on n1: committed index 7 was truncated");
    expect({ seconds, seedsRun, tried }).toEqual({ seconds: 1, seedsRun: 3, tried: [1, 2, 4] });
  });

  it("several violations at once: one that was expected is named", async () => {
    const { caught } = await huntWith({ 1: violating(BOUNDS, TRUNCATED) });
    expect(caught).toMatchObject({ check: "I12", isExpected: true });
  });

  it("a check that was not expected: counts, and is marked", async () => {
    const { caught } = await huntWith({ 2: violating(BOUNDS) });
    expect(caught).toMatchObject({ check: "I11", isExpected: false });
  });

  it("no violation in any seed: not caught", async () => {
    const { caught, seedsRun } = await huntWith({});
    expect({ caught, seedsRun }).toEqual({ caught: undefined, seedsRun: 6 });
  });

  it("a seed without a result catches nothing; a few of them end the hunt", async () => {
    const failure = { failure: "no result after 180 s" };
    const { caught, failures } = await huntWith({ 1: failure, 5: violating(TRUNCATED) });
    expect(caught?.seed).toBe(5);
    expect(failures).toEqual(["seed 1: no result after 180 s"]);
    const all = await huntWith({ 1: failure, 2: failure, 4: failure, 5: failure });
    expect(all).toMatchObject({ caught: undefined, seedsRun: 4 });
  });
});

describe("twin", () => {
  it("runs every seed once, whichever process takes it, and tells which are violated", async () => {
    const tried: number[] = [];
    const runner = runnerOf({ 2: violating(TRUNCATED), 3: { failure: "the process ended: 1" } });
    const failed = await runTwin([1, 2, 3, 4], [runner, runner], (seed) => tried.push(seed));
    expect(tried.sort()).toEqual([1, 2, 3, 4]);
    expect([...failed.keys()].sort()).toEqual([2, 3]);
    expect(failed.get(3)).toBe("the process ended: 1");
  });
});
