// The command line of npm run test:delivery, checked.
import { Command, InvalidArgumentError, Option } from "commander";
import type { SubscriptionMode } from "../../src/model/subscription.ts";
import type { OnFailure } from "./operator.ts";

export const MODES: readonly SubscriptionMode[] = ["shared", "keyed", "fifo", "exclusive"];

export interface DeliveryOptions {
  readonly modes: readonly SubscriptionMode[];
  /** Of leaders, and as many of consumers, in each mode. */
  readonly kills: number;
  /** Sent in each mode. */
  readonly messages: number;
  /** hold: dead messages park their key, or stop their partition (shared: skip). */
  readonly onFailure: OnFailure;
  readonly partitions: number;
  readonly consumers: number;
  readonly seed: number;
  readonly json: boolean;
  /** Each mode is appended there as a line of evidence. */
  readonly shard: string | undefined;
  /** Leaves logs, data and histories where they are. */
  readonly keep: boolean;
}

type Given = Omit<DeliveryOptions, "modes" | "seed" | "shard"> & {
  readonly mode: readonly SubscriptionMode[];
  readonly shard?: string;
  readonly seed?: number;
};

export function parseOptions(argv: readonly string[]): DeliveryOptions {
  const program = new Command("test:delivery")
    .description(
      "Kills leaders and consumers of real brokers under load, then judges what consumers were given.",
    )
    .option("--mode <modes>", `of ${MODES.join(", ")}; comma-separated`, modes, MODES)
    .option("--kills <count>", "leaders, and consumers, killed in each mode", whole(1), 20)
    .option("--messages <count>", "sent in each mode", whole(1), 100_000)
    .addOption(
      new Option(
        "--on-failure <how>",
        "dead messages hold up what is behind them until they are released, or are skipped",
      )
        .choices(["hold", "skip"])
        .default("hold"),
    )
    .option("--partitions <count>", "three replicas each", whole(1), 6)
    .option("--consumers <count>", "processes", whole(1), 4)
    .option("--seed <number>", "repeats the choices, not the timing", whole(0))
    .option("--json", "one line of JSON at the end instead of tables", false)
    .option("--shard <file>", "build, and append each mode as a line of evidence")
    .option("--keep", "keep the directory with logs, data and histories", false)
    .parse([...argv]);
  const { mode, seed, shard, ...given } = program.opts<Given>();
  return { ...given, modes: mode, shard, seed: seed ?? Math.floor(Math.random() * 2 ** 32) };
}

function modes(text: string): readonly SubscriptionMode[] {
  return text.split(",").map((name) => {
    const mode = MODES.find((one) => one === name.trim());
    if (mode === undefined) throw new InvalidArgumentError(`must be of ${MODES.join(", ")}`);
    return mode;
  });
}

function whole(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`must be a whole number of at least ${min}`);
  };
}
