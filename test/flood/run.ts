// npm run test:flood -- --minutes M: attacks three brokers while a good client works; exit status 1 when a bound is broken
// or an attack was none. See README.md.
import { Command, InvalidArgumentError } from "commander";
import { ATTACKS } from "./attacks/all.ts";
import { flood } from "./flood.ts";
import { problemsOf, render } from "./report.ts";

interface Options {
  readonly minutes: number;
  readonly only: string[];
  readonly processes: number;
  readonly budget: number;
  readonly rate: number;
  readonly keep: boolean;
  readonly profile?: string;
}

const MINUTES_MAX = 120;
/** The resident memory that a budget allows. */
const RSS_RATIO = 1.5;
const P99_MS = 1000;

const names = ATTACKS.map(({ name }) => name);
const program = new Command("test:flood")
  .description(
    "Bad and slow clients against three brokers, and a good client that must not notice.",
  )
  .option("--minutes <minutes>", "how long all attacks take together", number(0.1, MINUTES_MAX), 5)
  .option("--only <names...>", `some attacks: ${names.join(", ")}`, [])
  .option("--processes <count>", "attacking processes at a time", number(1, 16), 4)
  .option("--budget <MiB>", "limits.memory.budget of each broker", number(256, 65_536), 512)
  .option("--rate <per second>", "sends of the good client", number(1, 100_000), 1000)
  .option("--profile <directory>", "CPU profiles of the brokers, for a browser's developer tools")
  .option("--keep", "keep the brokers' logs and data in ./flood-<pid>", false)
  .parse();
const options = program.opts<Options>();
const unknown = options.only.filter((name) => !names.includes(name));
if (unknown.length > 0) program.error(`no such attack: ${unknown.join(", ")}`);

const bounds = { rssMib: options.budget * RSS_RATIO, p99Ms: P99_MS };
const report = await flood({
  durationMs: options.minutes * 60_000,
  only: options.only,
  processes: options.processes,
  budgetMib: options.budget,
  rate: options.rate,
  keep: options.keep,
  profileDirectory: options.profile,
  onProgress: (line) => console.error(line),
});
console.log(render(report, bounds));
const problems = problemsOf(report, bounds);
for (const problem of problems) console.log(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? "all bounds were kept" : "bounds were broken");
process.exit(problems.length === 0 ? 0 : 1);

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isFinite(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be a number from ${min} to ${max}`);
  };
}
