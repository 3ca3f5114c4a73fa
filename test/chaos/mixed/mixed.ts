// npm run test:chaos -- --minutes M: mixed faults on real brokers, act by act. run.ts calls it, inside of an enclosure where
// the machine allows one.
import { join } from "node:path";
import { injectionProblem } from "../disk/injection.ts";
import type { FaultKind } from "../faults/fault.ts";
import { FAULT_KINDS, possibleKinds } from "../faults/kinds.ts";
import { mountProblem } from "../image-mounts.ts";
import { isEnclosed } from "../network/enclosure.ts";
import type { ChaosOptions } from "../options.ts";
import type { PowerCutRun } from "../power-cut.ts";
import { runAct } from "./act.ts";
import type { Need } from "./arena.ts";
import { type ActPlan, planActs } from "./plan.ts";
import type { ActResult, MixedResult } from "./result.ts";

export async function runMixed(run: PowerCutRun, skipped: string[]): Promise<MixedResult> {
  const { directory, onStarted, options, problems, random, say } = run;
  const startMs = performance.now();
  const missing = await missingNeeds(skipped);
  const transport = missing.includes("namespaces") ? "proxies" : "namespaces";
  say(`links are ${transport}`);
  const acts: ActResult[] = [];
  for (const [at, plan] of planActs(options.minutes, options.brokers).entries()) {
    const kinds = kindsOf(plan, missing, options);
    say(`act ${at + 1}: ${kinds.length} kinds of faults, ${plan.brokers} brokers`);
    const act = await runAct({
      ...plan,
      name: `mixed faults, seed ${options.seed}, act ${at + 1}`,
      directory: join(directory, `act-${at + 1}`),
      random,
      rate: options.rate,
      partitions: options.partitions,
      missing,
      kinds,
      problems,
      say,
      onStarted,
    });
    acts.push(act);
    if (act.verdict === undefined) break;
  }
  return { transport, acts, seconds: (performance.now() - startMs) / 1000 };
}

/** Tells what must be left out here. */
async function missingNeeds(skipped: string[]): Promise<readonly Need[]> {
  const missing: Need[] = [];
  const leaveOut = (need: Need, problem: string | undefined, what: string): void => {
    if (problem === undefined) return;
    missing.push(need);
    skipped.push(`${what} (${problem})`);
  };
  leaveOut("images", await mountProblem(), "power cuts and full disks: images cannot be mounted");
  leaveOut("strace", injectionProblem(), "slow and failing disks: nothing can be injected");
  if (!isEnclosed()) missing.push("namespaces");
  return missing;
}

function kindsOf(
  { brokers }: ActPlan,
  missing: readonly Need[],
  { faults }: ChaosOptions,
): readonly FaultKind[] {
  const possible = possibleKinds(missing, brokers);
  if (faults === undefined) return possible;
  const unknown = faults.filter((name) => !FAULT_KINDS.some((kind) => kind.name === name));
  if (unknown.length > 0) throw new Error(`no kind of fault is called ${unknown.join(", ")}`);
  return possible.filter(({ name }) => faults.includes(name));
}
