// npm run test:controls -- [--only NAME,NAME] [--seeds N] [--jobs N] [--list] [--json] [--save] [--smoke]: builds src with
// one deliberate defect after the other and runs the simulator's seeds on it, unchanged, until something is violated. Exits
// 1 when a control is not caught, or when the unpatched twin violates anything in the same seeds.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { treeHash } from "../simulation/tree-hash.ts";
import { Builds } from "./build.ts";
import { CONTROLS } from "./catalogue.ts";
import type { Control } from "./control.ts";
import { type Hunted, hunt, runTwin } from "./hunt.ts";
import { type ControlOptions, readOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { isGood, jsonOf, pageOf, type Report, summaryOf, tableOf } from "./report.ts";
import { SeedProcess } from "./seed-process.ts";

const ROOT = join(import.meta.dirname, "../..");
const EVIDENCE = join(ROOT, "docs/evidence");
/** Open findings about the source as it is (docs/KNOWN-LIMITS.md): they would catch every control. */
const SKIPPED: readonly number[] = [];
/** A usual seed takes a few seconds, on a machine that has nothing else to do. */
const SEED_LIMIT_MS = 600_000;

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.list) {
    for (const { breaks, name } of CONTROLS) print(`${name.padEnd(25)} ${breaks}`);
    return 0;
  }
  const builds = new Builds(ROOT);
  const interrupted = (): void => {
    builds.remove();
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    const report = await runAll(builds, options);
    show(report, options);
    return isGood(report) ? 0 : 1;
  } finally {
    builds.remove();
  }
}

async function runAll(builds: Builds, options: ControlOptions): Promise<Report> {
  const { controls, jobs } = options;
  const seeds = seedsTo(options.seeds);
  // Now, while the builds are what the directories hold.
  const src = treeHash(join(ROOT, "src"));
  const simulation = treeHash(join(ROOT, "test/simulation"));
  const progress = new Progress(process.stderr, controls.length);
  const queue = controls.entries();
  const hunted: Hunted[] = [];
  const work = async (): Promise<void> => {
    for (const [at, control] of queue) {
      const result = await huntOne(builds, control, seeds, progress);
      hunted[at] = result;
      progress.done(control.name, lineOf(result));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const last = Math.max(0, ...hunted.map(({ caught }) => caught?.seed ?? 0));
  const twin = await checkTwin(builds, seedsTo(last), jobs, progress);
  progress.end();
  return {
    src,
    simulation,
    seeds: options.seeds,
    skipped: SKIPPED.filter((seed) => seed <= options.seeds),
    controls: hunted.map((one) => ({ ...one, isTwinGood: isClean(twin.failed, one) })),
    twin,
  };
}

async function huntOne(
  builds: Builds,
  control: Control,
  seeds: readonly number[],
  progress: Progress,
): Promise<Hunted> {
  const runner = new SeedProcess(builds.patched(control), SEED_LIMIT_MS);
  try {
    const onSeed = (seed: number): void => progress.at(control.name, seed);
    return await hunt(control, runner, { seeds, onSeed, nowMs: () => performance.now() });
  } finally {
    runner.close();
  }
}

async function checkTwin(
  builds: Builds,
  seeds: readonly number[],
  jobs: number,
  progress: Progress,
): Promise<Report["twin"]> {
  const runners = Array.from(
    { length: Math.min(jobs, seeds.length) },
    () => new SeedProcess(builds.twin, SEED_LIMIT_MS),
  );
  try {
    const failed = await runTwin(seeds, runners, (seed) => progress.at("twin", seed));
    return { seeds, failed };
  } finally {
    for (const runner of runners) runner.close();
  }
}

function isClean(failed: ReadonlyMap<number, string>, { caught }: Hunted): boolean {
  return [...failed.keys()].every((seed) => caught === undefined || seed > caught.seed);
}

function seedsTo(last: number): number[] {
  const all = Array.from({ length: last }, (_, at) => at + 1);
  return all.filter((seed) => !SKIPPED.includes(seed));
}

function lineOf({ caught, control, seconds, seedsRun }: Hunted): string {
  const effort = `${seedsRun} seeds, ${seconds.toFixed(0)} s`;
  if (caught === undefined) return `${control.name}: NOT CAUGHT (${effort})`;
  return `${control.name}: seed ${caught.seed}, ${caught.check} ${caught.violation} (${effort})`;
}

function show(report: Report, { json, save }: ControlOptions): void {
  if (json) print(jsonOf(report));
  else for (const line of [tableOf(report), ...summaryOf(report)]) print(line);
  if (!save) return;
  mkdirSync(EVIDENCE, { recursive: true });
  writeFileSync(join(EVIDENCE, "controls.md"), pageOf(report));
  writeFileSync(join(EVIDENCE, "controls.json"), `${jsonOf(report)}\n`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
