// The command line of the chaos tests, checked.
import { Command, InvalidArgumentError } from "commander";

export interface ChaosOptions {
  /** Mixed faults for so long, instead of everything else; 0: none. */
  readonly minutes: number;
  /** Only acts with so many brokers. */
  readonly brokers: 3 | 5 | undefined;
  /** Only these kinds of mixed faults. */
  readonly faults: readonly string[] | undefined;
  /** Uses proxies for links although network namespaces could be made. */
  readonly proxies: boolean;
  /** File that gets a line of evidence; with it, power cuts are all that runs unless minutes are given. */
  readonly shard: string | undefined;
  /** Of the topic whose power is cut. */
  readonly flush: "sync" | "async";
  readonly rounds: number;
  readonly seed: number;
  /** Acknowledged sends per second that must be seen before each fault. */
  readonly rate: number;
  readonly partitions: number;
  readonly powerCuts: number;
  /** Positive control: only the power cuts, with every flush a no-op; passes when loss is found. */
  readonly lyingDisk: boolean;
  readonly rollingRestart: boolean;
  readonly majorityLoss: boolean;
  /** Longest time from a fault to a partition's next acknowledgement, ms; a part of the judgement. */
  readonly failOverMsMax: number;
  readonly json: boolean;
  /** Leaves logs, data and images where they are. */
  readonly keep: boolean;
}

type Optional = "seed" | "rate" | "partitions" | "shard" | "brokers" | "faults";
type Given = Omit<ChaosOptions, Optional | "failOverMsMax"> &
  Partial<Pick<ChaosOptions, Optional>> & { readonly smoke: boolean };

const RATE = 5000;
const PARTITIONS = 6;
const MIXED_RATE = 1500;
const MIXED_PARTITIONS = 3;
const FAIL_OVER_MS_MAX = 3000;
/** A kill, a pause and a power cut that show that these tests work. Not a measurement: machines may be busy. */
const SMOKE = {
  rounds: 2,
  rate: 2000,
  powerCuts: 1,
  rollingRestart: false,
  majorityLoss: false,
  failOverMsMax: 30_000,
} as const;

/** @throws never: commander ends the process on wrong arguments */
export function parseOptions(argv: readonly string[]): ChaosOptions {
  const program = new Command("test:chaos")
    .description(
      "Kills, pauses and cuts the power of real brokers under load, then judges the history.",
    )
    .option("--minutes <count>", "mixed faults for so long, instead of all others", minutes, 0)
    .option("--brokers <3 or 5>", "mixed faults: only acts with so many brokers", brokers)
    .option("--faults <kinds>", "mixed faults: only these, comma-separated", names)
    .option("--proxies", "mixed faults: TCP proxies instead of network namespaces", false)
    .option("--shard <file>", "append the result as evidence; without --minutes: power cuts only")
    .option(
      "--flush <sync or async>",
      "power cuts: of the topic; async: power cuts only",
      flush,
      "sync",
    )
    .option("--rounds <count>", "leader faults", wholeNumber(0), 10)
    .option("--seed <number>", "repeats the choice and order of faults", wholeNumber(0))
    .option(
      "--rate <per second>",
      "sends a second (default: 5000; mixed faults: 1500)",
      wholeNumber(1),
    )
    .option(
      "--partitions <count>",
      "partitions per topic, three replicas each (default: 6; mixed faults: 3)",
      wholeNumber(1),
    )
    .option("--power-cuts <count>", "power cuts of all three brokers at once", wholeNumber(0), 10)
    .option(
      "--lying-disk",
      "positive control: flushes do nothing, power cuts must find loss",
      false,
    )
    .option("--no-rolling-restart", "leave the rolling restart out")
    .option("--no-majority-loss", "leave the loss of a majority out")
    .option("--smoke", "half a minute: two leader faults and a power cut, no bound on times", false)
    .option("--json", "one line of JSON at the end instead of tables", false)
    .option("--keep", "keep the directory with logs and data", false)
    .parse([...argv]);
  const given = program.opts<Given>();
  const isMixed = given.minutes > 0;
  const cutsOnly = given.shard !== undefined || given.flush === "async";
  return {
    ...given,
    shard: given.shard,
    brokers: given.brokers,
    faults: given.faults,
    rounds: cutsOnly ? 0 : given.rounds,
    rollingRestart: given.rollingRestart && !cutsOnly,
    majorityLoss: given.majorityLoss && !cutsOnly,
    seed: given.seed ?? Math.floor(Math.random() * 2 ** 32),
    rate: given.rate ?? (isMixed ? MIXED_RATE : RATE),
    partitions: given.partitions ?? (isMixed ? MIXED_PARTITIONS : PARTITIONS),
    failOverMsMax: FAIL_OVER_MS_MAX,
    ...(given.smoke ? SMOKE : {}),
  };
}

function minutes(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("must be a number of minutes");
}

function brokers(text: string): 3 | 5 {
  if (text === "3") return 3;
  if (text === "5") return 5;
  throw new InvalidArgumentError("must be 3 or 5");
}

function flush(text: string): "sync" | "async" {
  if (text === "sync" || text === "async") return text;
  throw new InvalidArgumentError("must be sync or async");
}

function names(text: string): readonly string[] {
  return text.split(",").map((name) => name.trim());
}

function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`must be a whole number of at least ${min}`);
  };
}
