// The command line's side of mixed faults: the report, the evidence, and the judgement of the times of all faults together.
import { appendShard } from "../../support/shard-files.ts";
import type { MixedShard } from "../evidence/shard.ts";
import { mixedTables } from "../evidence/tables.ts";
import { shortcomingsOf, slowKinds, sumMixed } from "../evidence/totals.ts";
import type { PowerCutRun } from "../power-cut.ts";
import { runMixed } from "./mixed.ts";
import { mixedShardOf } from "./mixed-shard.ts";
import type { MixedResult } from "./result.ts";

const SHOWN_MAX = 10;

/** Prints the report and writes the evidence; returns how it went. */
export async function mixedRun(run: PowerCutRun): Promise<"passed" | "failed" | "incomplete"> {
  const { options, problems } = run;
  const skipped: string[] = [];
  const result = await runMixed(run, skipped);
  const proven = mixedShardOf(result, options.seed, problems, skipped);
  const totals = sumMixed([proven]);
  problems.push(...slowKinds(totals));
  if (proven.acknowledged === 0) problems.push("nothing was acknowledged: the run proves nothing");
  const shard: MixedShard = { ...proven, problems: [...problems] };
  if (options.shard !== undefined) appendShard(options.shard, shard);
  const outcome = outcomeOf(problems, skipped);
  if (options.json) print(JSON.stringify({ outcome, ...shard }));
  else {
    print(mixedTables(totals));
    for (const line of examples(result)) print(line);
    for (const problem of problems) print(`PROBLEM  ${problem}`);
    for (const what of skipped) print(`SKIPPED  ${what}`);
    for (const what of shortcomingsOf(totals))
      print(`NOTE     by itself no full evidence: ${what}`);
    print(`${outcome.toUpperCase()} in ${shard.seconds} s, seed ${options.seed}`);
  }
  return outcome;
}

function outcomeOf(
  problems: readonly string[],
  skipped: readonly string[],
): "passed" | "failed" | "incomplete" {
  if (problems.length > 0) return "failed";
  return skipped.length > 0 ? "incomplete" : "passed";
}

function examples({ acts }: MixedResult): string[] {
  const all = acts.flatMap(({ verdict }) => verdict?.anomalies ?? []);
  return all.slice(0, SHOWN_MAX).map(({ detail, id, kind }) => `ANOMALY  ${id} ${kind}: ${detail}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
