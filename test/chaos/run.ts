// npm run test:chaos: faults on real broker processes under load, and the judgement of what clients were told. README.md
// lists what can be asked for.
// Ends with 0 when all is well, 1 when something is wrong, 3 when nothing is wrong but a part had to be left out.
// With --lying-disk it is a positive control: 0 only when the power cuts found the loss that they must find.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { appendShard } from "../support/shard-files.ts";
import { mountProblem } from "./image-mounts.ts";
import { type LeaderChaos, runLeaderChaos } from "./leader-chaos.ts";
import { mixedRun } from "./mixed/mixed-run.ts";
import { enclosureProblem, furnish, isEnclosed, runEnclosed } from "./network/enclosure.ts";
import { type ChaosOptions, parseOptions } from "./options.ts";
import { lostIn, type PowerCutRun, type PowerCuts, runPowerCuts } from "./power-cut.ts";
import { ASYNC_BYTES_MAX } from "./power-loss.ts";
import { powerShardOf } from "./power-shard.ts";
import { type Outcome, printReport, type Report } from "./report.ts";
import { checkTheJudge } from "./self-check.ts";
import { watchStandstill } from "./standstill.ts";
import { emptinessOf, MUST_EXAMINE, problemsOf } from "./verdict.ts";

const EXIT: Readonly<Record<Outcome, number>> = { passed: 0, failed: 1, incomplete: 3 };

interface Findings {
  leader?: LeaderChaos;
  powerCuts?: PowerCuts;
  readonly problems: string[];
  readonly skipped: string[];
  /** Longer pauses of this process itself, ms. */
  readonly standstills: number[];
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv);
  if (options.shard !== undefined && !isEnclosed()) buildNow();
  if (options.minutes > 0 && (await isDoneInside(options))) return;
  const directory = mkdtempSync(join(tmpdir(), "flotilla-chaos-"));
  const startMs = performance.now();
  const say = (text: string): void => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(6);
    process.stderr.write(`${seconds} s  ${text}\n`);
  };
  say(`seed ${options.seed}, logs in ${directory}`);
  checkTheJudge();
  const findings: Findings = { problems: [], skipped: [], standstills: [] };
  watchStandstill((ms) => {
    findings.standstills.push(ms);
    say(`this process itself stood still for ${ms} ms`);
  });
  const enders = endOnSignals();
  const run = (name: string): PowerCutRun => {
    const own = join(directory, name);
    mkdirSync(own);
    const random = seededRandom(options.seed);
    const { problems } = findings;
    return { options, random, problems, say, directory: own, onStarted: (end) => enders.push(end) };
  };
  if (options.minutes > 0) {
    const outcome = await mixedRun(run("mixed"));
    end(outcome, options, directory, say);
    return;
  }
  await leaderPart(options, findings, run, say);
  await powerPart(options, findings, run, say);
  const hasRun = findings.leader !== undefined || findings.powerCuts !== undefined;
  if (!hasRun && findings.problems.length === 0 && findings.skipped.length === 0) {
    findings.skipped.push("everything: nothing was asked for");
  }
  const outcome = outcomeOf(findings);
  const seconds = (performance.now() - startMs) / 1000;
  printReport(reportOf(outcome, options, seconds, findings));
  end(outcome, options, directory, say);
}

/** Mixed faults run in an enclosure where there can be one. Returns whether they did, by a process of their own. */
async function isDoneInside({ proxies }: ChaosOptions): Promise<boolean> {
  if (isEnclosed()) {
    await furnish();
    return false;
  }
  const obstacle = proxies ? "as asked for" : enclosureProblem();
  if (obstacle !== undefined) {
    process.stderr.write(`links are TCP proxies, not network namespaces (${obstacle})\n`);
    return false;
  }
  process.exitCode = await runEnclosed();
  return true;
}

/** Evidence is about the sources as they are now. */
function buildNow(): void {
  const { status } = spawnSync("npm", ["run", "--silent", "build"], { stdio: "inherit" });
  if (status !== 0) throw new Error("the build failed");
}

function end(
  outcome: Outcome,
  { keep }: ChaosOptions,
  directory: string,
  say: (text: string) => void,
): void {
  if (keep || outcome === "failed") say(`logs and data are kept in ${directory}`);
  else rmSync(directory, { recursive: true, force: true });
  process.exitCode = EXIT[outcome];
}

async function leaderPart(
  options: ChaosOptions,
  findings: Findings,
  run: (name: string) => PowerCutRun,
  say: (text: string) => void,
): Promise<void> {
  const wanted = options.rounds > 0 || options.rollingRestart || options.majorityLoss;
  if (!wanted || options.lyingDisk) return;
  try {
    findings.leader = await runLeaderChaos(run("leader"));
  } catch (error) {
    const text = `the run broke off: ${textOf(error)}`;
    findings.problems.push(text);
    say(text);
  }
}

async function powerPart(
  options: ChaosOptions,
  findings: Findings,
  run: (name: string) => PowerCutRun,
  say: (text: string) => void,
): Promise<void> {
  if (options.powerCuts === 0 && !options.lyingDisk) return;
  const startMs = performance.now();
  const obstacle = await mountProblem();
  if (obstacle !== undefined) {
    findings.skipped.push(`power cuts: disk images cannot be mounted here (${obstacle})`);
    say("power cuts are SKIPPED: disk images cannot be mounted here");
    return;
  }
  try {
    const cuts = await runPowerCuts(run("power"));
    findings.powerCuts = cuts;
    if (options.lyingDisk) judgeControl(cuts, findings.problems);
    else judgePowerCuts(cuts, options, findings.problems);
    const seconds = (performance.now() - startMs) / 1000;
    const shard = powerShardOf(cuts, options, seconds, findings.problems);
    if (options.shard !== undefined && !options.lyingDisk) appendShard(options.shard, shard);
  } catch (error) {
    const text = `the power cuts broke off: ${textOf(error)}`;
    findings.problems.push(text);
    say(text);
  }
}

function judgePowerCuts(cuts: PowerCuts, options: ChaosOptions, problems: string[]): void {
  const { verdict } = cuts;
  const found =
    verdict === undefined
      ? ["nothing was judged"]
      : [...problemsOf(verdict), ...emptinessOf(verdict, MUST_EXAMINE)];
  problems.push(...found.map((problem) => `power cuts: ${problem}`));
  if (cuts.cuts.length < options.powerCuts)
    problems.push(`only ${cuts.cuts.length} power cuts made`);
  const lost = cuts.cuts.reduce((sum, { loss }) => sum + loss.lost, 0);
  if (options.flush === "sync") {
    if (lost > 0) problems.push(`power cuts: ${lost} acknowledged messages are gone`);
    return;
  }
  if (lost === 0)
    problems.push("power cuts: nothing was ever lost of all/async: nothing is proved");
  for (const { loss } of cuts.cuts) {
    if (loss.bytesMax <= ASYNC_BYTES_MAX) continue;
    problems.push(`power cuts: ${loss.bytesMax} bytes of one partition were lost at once`);
  }
}

/** What else goes wrong on lying disks is none of our promises; only loss shows that the cut is one. */
function judgeControl(cuts: PowerCuts, problems: string[]): void {
  problems.length = 0;
  if (lostIn(cuts.verdict) > 0) return;
  problems.push(
    `the flushes did nothing, and yet no acknowledged message was found missing${
      cuts.broken === undefined ? "" : ` (the cluster did not come back: ${cuts.broken})`
    }`,
  );
}

function outcomeOf(findings: Findings): Outcome {
  if (findings.problems.length > 0) return "failed";
  return findings.skipped.length > 0 ? "incomplete" : "passed";
}

function reportOf(
  outcome: Outcome,
  options: ChaosOptions,
  seconds: number,
  { leader, powerCuts, problems, skipped, standstills }: Findings,
): Report {
  return {
    outcome,
    options,
    seconds,
    rounds: leader?.rounds ?? [],
    rolling: leader?.rolling,
    majority: leader?.majority,
    verdict: leader?.verdict,
    replicasCompared: leader?.replicasCompared ?? 0,
    worstStallMs: leader?.worstStallMs ?? 0,
    standstills,
    powerCuts,
    skipped,
    problems,
  };
}

/** Interrupted, or broken by a defect: ends the brokers and unmounts before leaving. */
function endOnSignals(): (() => Promise<void>)[] {
  const enders: (() => Promise<void>)[] = [];
  const leave = (code: number): void => {
    void Promise.allSettled(enders.map((end) => end())).then(() => process.exit(code));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => leave(130));
  }
  process.once("uncaughtException", (error) => {
    process.stderr.write(`${textOf(error)}\n`);
    leave(1);
  });
  return enders;
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

await main();
