// The simulator in the unit tests: a few seeds, its determinism, proof that it sees a planted defect, and its tools. Many
// seeds: npm run test:simulation.
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { emptinessOf } from "./emptiness.ts";
import { FAULT_KINDS } from "./faults/kinds.ts";
import { drawPlan } from "./plan/draw-plan.ts";
import { type FaultStep, replicasOf, type SeedPlan } from "./plan/seed-plan.ts";
import { conflictIn, readShards, type Shard, shardOf, sumUp } from "./shard.ts";
import { shrink } from "./shrink.ts";
import { type SimulationResult, simulate } from "./simulate.ts";
import { addResult, newTotals } from "./totals.ts";

describe("simulation", () => {
  for (const seed of [3, 12, 14]) {
    it(`seed ${seed}: no promise is broken, and the run counts`, { timeout: 120_000 }, async () => {
      const { shortcomings, violations } = await simulate({ seed });
      expect(violations).toEqual([]);
      expect(shortcomings).toEqual([]);
    });
  }

  it("who acknowledges what was taken from it is refused, and what is moved twice is there once", {
    timeout: 120_000,
  }, async () => {
    for (const [seed, kind] of [
      [5, "consumer zombie"],
      [20, "dead letter kill"],
    ] as const) {
      const kinds = ["consumer zombie", "dead letter kill"] as const;
      const { bitten, violations } = await simulate({ seed, durationMs: 15_000, kinds });
      expect(violations).toEqual([]);
      expect(bitten[kind]).toBeGreaterThan(0);
    }
  });

  it("an equal seed gives an equal trace hash, another seed another", async () => {
    const durationMs = 5000;
    const first = await simulate({ seed: 1, durationMs });
    const again = await simulate({ seed: 1, durationMs });
    const other = await simulate({ seed: 2, durationMs });
    expect(again.traceHash).toBe(first.traceHash);
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  it("who listens changes nothing: the trace hash is the same", async () => {
    const options = { seed: 4, durationMs: 3000 };
    const lines: string[] = [];
    const silent = await simulate(options);
    const heard = await simulate({ ...options, onLine: (line) => lines.push(line) });
    expect(heard.traceHash).toBe(silent.traceHash);
    expect(lines.length).toBeGreaterThan(3);
  });

  it("a disk that does not sync logs is found out within a few seeds (power cuts of all nodes)", async () => {
    const found: string[] = [];
    for (let seed = 1; seed <= 5; seed += 1) {
      const planted = "log-sync-does-nothing";
      const options = { seed, durationMs: 10_000, kinds: ["blackout"], planted } as const;
      found.push(...(await simulate(options)).violations);
    }
    // The broker may notice it before anybody else does.
    expect(found.join("\n")).toMatch(
      /lost-acknowledged-write|committed entry changed|log is damaged/,
    );
  });
});

describe("plans", () => {
  it("seeds draw different mixes: every kind of fault, both cluster sizes, all classes occur", () => {
    const draw = (seed: number): SeedPlan => drawPlan(seededRandom(seed));
    const plans = Array.from({ length: 200 }, (_, seed) => draw(seed));
    const kinds = new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)));
    expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
    expect(new Set(plans.map(({ nodes }) => nodes))).toEqual(new Set([3, 5]));
    const acks = new Set(plans.flatMap(({ users }) => users.map((user) => user.acks)));
    expect(acks).toEqual(new Set(["all", "leader", "none"]));
  });

  it("five replicas, and minorities that lead: on five nodes only", () => {
    const plans = Array.from({ length: 200 }, (_, seed) => drawPlan(seededRandom(seed)));
    const wide = plans.filter(({ topics }) => topics.some((topic) => replicasOf(topic) === 5));
    expect(wide.length).toBeGreaterThan(10);
    expect(wide.every(({ nodes }) => nodes === 5)).toBe(true);
    for (const plan of plans.filter(({ faults }) => faults.some(isLeadingMinority))) {
      expect(wide).toContain(plan);
    }
  });

  it("filters: by SQL, and by tags", () => {
    const plans = Array.from({ length: 300 }, (_, seed) => drawPlan(seededRandom(seed)));
    const filtered = plans.flatMap(({ subscriptions = [] }) =>
      subscriptions.filter(({ isFiltered }) => isFiltered),
    );
    const byTags = filtered.filter(({ filtersByTags }) => filtersByTags === true);
    expect(byTags.length / filtered.length).toBeGreaterThan(0.25);
    expect(byTags.length / filtered.length).toBeLessThan(0.75);
  });

  it("an equal seed draws an equal plan", () => {
    expect(drawPlan(seededRandom(7))).toEqual(drawPlan(seededRandom(7)));
  });
});

describe("shrinking", () => {
  it("what is not needed goes: one of many faults and one sender are left", async () => {
    const plan = drawPlan(seededRandom(11));
    const needed = plan.faults[Math.floor(plan.faults.length / 2)];
    const shrunk = await shrink({
      seed: 11,
      plan,
      runsMax: 500,
      onProgress: () => undefined,
      run: ({ plan: tried }) => {
        const fails = needed !== undefined && tried?.faults.includes(needed) === true;
        return Promise.resolve(resultOf(fails ? ["1.5 s: broken at 17"] : []));
      },
    });
    expect(shrunk?.plan.faults).toEqual([needed]);
    expect(shrunk?.plan.users).toHaveLength(1);
  });

  it("a plan that does not fail: nothing to shrink", async () => {
    const run = (): Promise<SimulationResult> => Promise.resolve(resultOf([]));
    const plan = drawPlan(seededRandom(11));
    const nothing = { seed: 11, plan, runsMax: 10, onProgress: () => undefined, run };
    expect(await shrink(nothing)).toBeUndefined();
  });
});

describe("evidence", () => {
  const shard = (from: number, src = "a"): Shard => {
    const totals = newTotals();
    addResult(totals, resultOf([], from));
    addResult(totals, resultOf(["1 s: broken"], from + 1));
    const root = process.cwd();
    return {
      ...shardOf(totals, { root, node: "v20.1.0", from, isRepeatable: true, seconds: 3 }),
      src,
    };
  };

  it("shards: are read back and added up", () => {
    const text = [shard(1), shard(3)].map((one) => JSON.stringify(one)).join("\n");
    const shards = readShards(text, "test");
    expect(conflictIn(shards)).toBeUndefined();
    const sum = sumUp(shards);
    expect(sum).toMatchObject({ seeds: 4, counted: 2, failed: [2, 4] });
    expect(sum.faults.kill).toEqual({ begun: 8, bit: 4 });
  });

  it("what never happened is named, but not what older shards do not tell", () => {
    const lacks = emptinessOf(sumUp([shard(1), shard(3)]));
    expect(lacks).toContain('the fault "pause" never bit');
    expect(lacks).not.toContain('the fault "kill" never bit');
    expect(lacks).toContain("there were no truncations");
    expect(lacks).not.toContain("nothing was looked at for phantom");
    // It told of some kinds of anomalies only.
    expect(lacks.filter((lack) => lack.includes("looked at"))).toEqual([]);
    const { examined: _, ...old } = shard(5);
    const { truncations: __, ...counts } = old.counts;
    const { pause: ___, ...faults } = old.faults;
    const some = emptinessOf(sumUp([shard(1), { ...old, counts, faults }]));
    expect(some).not.toContain('the fault "pause" never bit');
    expect(some).not.toContain("there were no truncations");
    expect(some).toContain("there were no elections");
    const all = newTotals();
    expect(emptinessOf(all)).toContain("nothing was looked at for lost-acknowledged-write");
  });

  it("shards of different sources, or with the same seeds: are refused", () => {
    expect(conflictIn([shard(1), shard(3, "b")])).toContain("different sources");
    expect(conflictIn([shard(1), shard(2)])).toContain("seeds 2 to 2");
    expect(() => readShards("{}", "test")).toThrow("test:1");
  });
});

function isLeadingMinority({ kind }: FaultStep): boolean {
  return kind === "leading minority";
}

function resultOf(violations: readonly string[], seed = 11): SimulationResult {
  const { counts } = newTotals();
  return {
    seed,
    traceHash: "",
    violations,
    shortcomings: [],
    counts,
    begun: { kill: 2 },
    bitten: { kill: 1 },
    leaderlessMs: 0,
    examined: { phantom: 7 },
  };
}
