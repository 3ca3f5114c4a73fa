// Random runs of whole groups against the invariants of raft.md §2 (I1–I16, I19, I21–I24, I31, L1, L4–L6).
// FLOTILLA_RAFT_SEEDS sets how many seeds run; FLOTILLA_RAFT_SEED runs a single one.
import { describe, expect, test } from "vitest";
import { Chaos, type ChaosOptions } from "./support/chaos.ts";

const single = process.env["FLOTILLA_RAFT_SEED"];
const count = Number(process.env["FLOTILLA_RAFT_SEEDS"] ?? 200);
const BLOCK = 25;

function optionsOf(seed: number): ChaosOptions {
  const nodes = 3 + (seed % 3);
  const canLose = seed % 4 === 2;
  const isLazy = seed % 4 === 0 || canLose;
  const rule = isLazy ? (seed % 8 < 4 ? "appended" : "changing") : "durable";
  return {
    seed,
    steps: canLose ? 24_000 : 8000,
    rule,
    nodes,
    voters: seed % 5 === 0 ? nodes : 3,
    // Two of five fixed voters, or one of whatever three or more are left, are fewer than a majority.
    lossesMax: canLose ? (isFixed(seed, nodes) ? 2 : 1) : 0,
    hasDamage: seed % 7 === 3,
    votersMin: isFixed(seed, nodes) ? nodes + 1 : canLose ? 3 : 1,
    faults: [0.02, 0.05, 0.1, 0.2][seed % 4 === 3 ? (seed >> 2) % 4 : seed % 3] ?? 0.05,
  };
}

/** The configuration never changes. */
function isFixed(seed: number, nodes: number): boolean {
  return seed % 4 === 2 && seed % 5 === 0 && nodes === 5;
}

function run(seed: number): Chaos {
  const chaos = new Chaos(optionsOf(seed));
  try {
    chaos.run();
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return chaos;
}

describe("raft core: random runs keep the invariants", () => {
  if (single !== undefined) {
    test(`seed ${single}`, () => {
      run(Number(single));
    });
    return;
  }
  const blocks = Array.from({ length: Math.ceil(count / BLOCK) }, (_, at) => at * BLOCK);
  test.each(blocks)("seeds from %i", { timeout: 120_000 }, (first) => {
    let committed = 0;
    let elections = 0;
    let crashes = 0;
    let reads = 0;
    let installs = 0;
    let lost = 0;
    let recoveries = 0;
    for (let seed = first; seed < Math.min(first + BLOCK, count); seed += 1) {
      const chaos = run(seed);
      committed += chaos.committedCount;
      elections += chaos.elections;
      crashes += chaos.crashes;
      reads += chaos.readCount;
      installs += chaos.installs;
      lost += chaos.losses.count;
      recoveries += chaos.recoveries;
    }
    // A run in which nothing happens proves nothing.
    expect(committed).toBeGreaterThan(BLOCK * 20);
    expect(elections).toBeGreaterThan(BLOCK);
    expect(crashes).toBeGreaterThan(BLOCK);
    expect(reads).toBeGreaterThan(BLOCK);
    expect(installs).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(BLOCK);
    // The least that a block of the first 10,000 seeds has is BLOCK / 5.
    expect(recoveries).toBeGreaterThan(BLOCK / 10);
  });
});
