// npm run test:delivery: kills leaders and consumers under load, mode by mode, and judges what consumers were given. Ends with
// 0 when all is well and 1 when something is wrong or nothing was proved. README.md says what is done and what must hold.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.ts";
import { watchStandstill } from "../chaos/standstill.ts";
import { appendShard } from "../support/shard-files.ts";
import { hashes, shardOf } from "./evidence/shard.ts";
import { type ModeResult, runMode } from "./mode-run.ts";
import { type DeliveryOptions, parseOptions } from "./options.ts";
import { printReport } from "./report.ts";

async function main(options: DeliveryOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-delivery-"));
  const startMs = performance.now();
  const say = (text: string): void => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(6);
    process.stderr.write(`${seconds} s  ${text}\n`);
  };
  say(`seed ${options.seed}, logs in ${directory}`);
  // What is built now is what the evidence is about.
  const sources = hashes();
  if (options.shard !== undefined) buildNow();
  watchStandstill((ms) => say(`this process itself stood still for ${ms} ms`));
  const enders = endOnSignals();
  const results: ModeResult[] = [];
  const problems: string[] = [];
  for (const mode of options.modes) {
    const own = join(directory, mode);
    mkdirSync(own);
    const found: string[] = [];
    const random = seededRandom(options.seed);
    const [beganMs, beganAtMs] = [Date.now(), performance.now()];
    let result: ModeResult | undefined;
    try {
      result = await runMode({
        ...{ mode, options, random, directory: own, problems: found, say },
        onStarted: (end) => enders.push(end),
      });
      results.push(result);
    } catch (error) {
      found.push(`the run broke off: ${textOf(error)}`);
    }
    if (options.shard !== undefined) {
      const seconds = (performance.now() - beganAtMs) / 1000;
      const run = { mode, seed: options.seed, beganMs, seconds, problems: found };
      appendShard(options.shard, shardOf(sources, run, result));
    }
    for (const problem of found) say(`${mode}: ${problem}`);
    problems.push(...found.map((text) => `${mode}: ${text}`));
  }
  printReport(results, problems, options, (performance.now() - startMs) / 1000);
  if (options.keep || problems.length > 0) say(`logs and data are kept in ${directory}`);
  else rmSync(directory, { recursive: true, force: true });
  process.exitCode = problems.length > 0 ? 1 : 0;
}

function buildNow(): void {
  const { status } = spawnSync("npm", ["run", "--silent", "build"], { stdio: "inherit" });
  if (status !== 0) throw new Error("the build failed");
}

/** Interrupted, or broken by a defect: ends the processes before leaving. */
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

await main(parseOptions(process.argv));
