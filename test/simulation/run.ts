// npm run test:simulation -- [--seeds N] [--from SEED] [--jobs N] [--shard FILE]: runs whole clusters on virtual time, a seed
// each, the first one twice. Exits 1 when a seed violates a promise, too few prove enough, or the first does not repeat itself.
// Also: --plain leaves subscriptions out; --shrink SEED [--save NAME] makes a failing seed small; --scenario NAME runs a named one; --faults "kill,pause" and
// --verbose for those who look at one seed; --json for programs.
import { join } from "node:path";
import { appendShard } from "../support/shard-files.ts";
import { EVERYTHING_SEEDS_MIN, emptinessOf } from "./emptiness.ts";
import { historyFileOf } from "./jobs.ts";
import { type RunOptions, readOptions } from "./options.ts";
import { Pool } from "./pool.ts";
import { formatScenario, readScenario, writeScenario } from "./scenario.ts";
import { shardOf } from "./shard.ts";
import { shrink } from "./shrink.ts";
import { planOf, type SimulationOptions, type SimulationResult } from "./simulate.ts";
import { addResult, newTotals, tableOf, virtualHours } from "./totals.ts";

const ROOT = join(import.meta.dirname, "../..");
const SHRINK_RUNS_MAX = 400;
/** Fewer seeds need not draw subscriptions. */
const CONSUMING_SEEDS_MIN = 100;

async function main(): Promise<number> {
  const options = readOptions();
  const pool = new Pool(ROOT, options.jobs);
  try {
    if (options.shrink !== undefined) return await shrinkSeed(pool, options, options.shrink);
    if (options.scenario !== undefined) return await runScenario(pool, options.scenario);
    return await runSeeds(pool, options);
  } finally {
    pool.close();
  }
}

async function runSeeds(pool: Pool, options: RunOptions): Promise<number> {
  const startMs = performance.now();
  const totals = newTotals();
  let traceOfFirst = "";
  let next = options.from;
  const again = pool.run(first(options));
  const worker = async (): Promise<void> => {
    while (next < options.from + options.seeds + replacements(options, totals.uncounted.length)) {
      const seed = next++;
      const result = await runOne(pool, seed, options);
      if (seed === options.from) traceOfFirst = result.traceHash;
      addResult(totals, result);
    }
  };
  await Promise.all(Array.from({ length: pool.size }, worker));
  const isRepeatable = (await again).traceHash === traceOfFirst;
  const seconds = (performance.now() - startMs) / 1000;
  totals.failed.sort((a, b) => a - b);
  totals.uncounted.sort((a, b) => a - b);
  if (options.json) {
    const { failed, seeds, uncounted } = totals;
    const verdict = { failed, uncounted, isRepeatable, seconds: Math.round(seconds) };
    const { untold: _, ...told } = totals;
    print(JSON.stringify({ ...told, seeds, virtualHours: virtualHours(totals), ...verdict }));
  } else {
    const perMinute = Math.round((totals.seeds * 60) / seconds);
    print(
      tableOf(totals, [
        ["first seed repeats itself", isRepeatable ? "yes" : "NO"],
        ["seconds", `${seconds.toFixed(1)} (${perMinute} seeds per minute, ${pool.size} jobs)`],
      ]),
    );
  }
  if (options.shard !== undefined) {
    appendShard(
      options.shard,
      shardOf(totals, {
        root: ROOT,
        node: process.version,
        from: options.from,
        isRepeatable,
        seconds,
      }),
    );
  }
  const counted = totals.seeds - totals.uncounted.length;
  const isEnough = options.shard !== undefined || counted >= options.seeds;
  const isConsuming = isEnoughConsumed(options, totals.counts.provenConsumingSeeds);
  if (!isConsuming) print("too few seeds consume enough");
  const lacks = isEverythingDrawn(options) ? emptinessOf(totals) : [];
  for (const lack of lacks) print(`the run proves too little: ${lack}`);
  const provesEnough = isEnough && isConsuming && lacks.length === 0;
  return totals.failed.length === 0 && provesEnough && isRepeatable ? 0 : 1;
}

function isEverythingDrawn({ consumers, kinds, seeds }: RunOptions): boolean {
  return consumers && kinds === undefined && seeds >= EVERYTHING_SEEDS_MIN;
}

/**
 * Seeds that prove too little are made up for by those behind them, as long as they are few. Not in shards, which must not
 * overlap: there they are only counted.
 */
function replacements({ seeds, shard }: RunOptions, uncounted: number): number {
  return shard === undefined ? Math.min(uncounted, Math.ceil(seeds / 20)) : 0;
}

/** Of many seeds a third draws subscriptions, and nearly all of these consume enough. */
function isEnoughConsumed({ consumers, kinds, seeds }: RunOptions, proven: number): boolean {
  const isDrawn = consumers && kinds === undefined && seeds >= CONSUMING_SEEDS_MIN;
  return !isDrawn || proven >= seeds / 5;
}

function first({ consumers, from, kinds }: RunOptions): SimulationOptions {
  return { seed: from, consumers, kinds };
}

/** Shows each seed's story with --verbose and a single seed. */
async function runOne(pool: Pool, seed: number, options: RunOptions): Promise<SimulationResult> {
  const { consumers, json, kinds, seeds, verbose } = options;
  const onLine = verbose && seeds === 1 && !json ? print : undefined;
  const result = await pool.run({ seed, consumers, kinds, onLine });
  if (json) return result;
  if (verbose) print(summaryOf(result));
  const faults = kinds === undefined ? "" : ` --faults "${kinds.join(",")}"`;
  showProblems(result, `${consumers ? "" : " --plain"}${faults}`);
  return result;
}

function summaryOf({ bitten, counts, seed, traceHash }: SimulationResult): string {
  const { acks, elections, events, sends } = counts;
  const faults = Object.entries(bitten).map(([kind, count]) => `${kind} ${count}`);
  const figures = `${sends} sends, ${acks} acks, ${elections} elections, ${events} events`;
  return `seed ${seed}: trace ${traceHash}, ${figures}, faults ${faults.join(", ")}`;
}

function showProblems({ seed, shortcomings, violations }: SimulationResult, how: string): void {
  if (violations.length === 0 && shortcomings.length === 0) return;
  for (const violation of violations) print(`seed ${seed} VIOLATION ${violation}`);
  if (violations.length > 0) {
    print(`judge it again: npm run check-history -- ${historyFileOf(seed)}`);
  } else print(`seed ${seed} does not count: ${shortcomings.join("; ")}`);
  print(`replay: npm run test:simulation -- --seeds 1 --from ${seed}${how} --verbose`);
}

async function runScenario(pool: Pool, name: string): Promise<number> {
  const { about, plan, seed } = readScenario(name);
  print(about);
  const result = await pool.run({ seed, plan, onLine: print });
  print(summaryOf(result));
  for (const violation of result.violations) print(`VIOLATION ${violation}`);
  return result.violations.length === 0 ? 0 : 1;
}

async function shrinkSeed(pool: Pool, options: RunOptions, seed: number): Promise<number> {
  const shrunk = await shrink({
    seed,
    plan: planOf({ seed, consumers: options.consumers, kinds: options.kinds }),
    run: (run) => pool.run(run),
    runsMax: SHRINK_RUNS_MAX,
    onProgress: print,
  });
  if (shrunk === undefined) {
    print(`seed ${seed} does not fail`);
    return 0;
  }
  const { plan, runs, violation } = shrunk;
  const scenario = { about: violation.slice(0, 300), seed, plan };
  print(`after ${runs} runs, ${plan.faults.length} faults are left:`);
  print(formatScenario(scenario));
  if (options.save !== undefined) writeScenario(options.save, scenario);
  return 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
