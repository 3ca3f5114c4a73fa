// The command line of the chaos tests, checked.
import { Command, InvalidArgumentError } from "commander";

export interface ChaosOptions {
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
  readonly json: boolean;
  /** Leaves logs, data and images where they are. */
  readonly keep: boolean;
}

/** @throws never: commander ends the process on wrong arguments */
export function parseOptions(argv: readonly string[]): ChaosOptions {
  const program = new Command("test:chaos")
    .description(
      "Kills, pauses and cuts the power of real brokers under load, then judges the history.",
    )
    .option("--rounds <count>", "leader faults", wholeNumber(0), 10)
    .option("--seed <number>", "repeats the choice and order of faults", wholeNumber(0))
    .option("--rate <per second>", "acknowledged sends a second, all/sync", wholeNumber(1), 5000)
    .option(
      "--partitions <count>",
      "partitions of the topic, three replicas each",
      wholeNumber(1),
      6,
    )
    .option("--power-cuts <count>", "power cuts of all three brokers at once", wholeNumber(0), 10)
    .option(
      "--lying-disk",
      "positive control: flushes do nothing, power cuts must find loss",
      false,
    )
    .option("--no-rolling-restart", "leave the rolling restart out")
    .option("--no-majority-loss", "leave the loss of a majority out")
    .option("--json", "one line of JSON at the end instead of tables", false)
    .option("--keep", "keep the directory with logs and data", false)
    .parse([...argv]);
  const options = program.opts<Omit<ChaosOptions, "seed"> & { readonly seed?: number }>();
  return { ...options, seed: options.seed ?? Math.floor(Math.random() * 2 ** 32) };
}

function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`must be a whole number of at least ${min}`);
  };
}
