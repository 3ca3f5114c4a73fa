// A shard of evidence about delivery: one line of JSON, one mode of one run. It says which source ran, how often leaders and
// consumers were killed, and what came of it. totals.ts adds shards of one and the same source up.
import { join } from "node:path";
import { z } from "zod";
import { treeHash } from "../../simulation/tree-hash.ts";
import { parseShards, sourceConflict } from "../../support/shard-files.ts";
import type { ModeResult } from "../mode-run.ts";

const ROOT = join(import.meta.dirname, "../../..");
const VERSION = 1;
const count = z.number().int().nonnegative();
const text = z.string();

const SHARD = z.object({
  version: z.literal(VERSION),
  type: z.literal("delivery"),
  /** Git's hash of the directory src, and of these tests. */
  src: text,
  tests: text,
  mode: z.enum(["shared", "keyed", "fifo", "exclusive"]),
  seed: count,
  /** When it began, ms since 1970: no run is added up twice. */
  beganMs: count,
  seconds: count,
  /** Kills of leaders, and those by which every partition of theirs got another one. */
  leaderKills: count,
  leaderBites: count,
  /** From each kill until others led all its partitions. */
  tookOverMs: z.array(count),
  /** Kills of consumers, and those of consumers that held something. */
  consumerKills: count,
  consumerBites: count,
  sent: count,
  acknowledged: count,
  /** Times that a handler was given a message. */
  delivered: count,
  confirmed: count,
  /** While the faults lasted. */
  confirmedDuring: count,
  refused: count,
  deadLetters: count,
  /** What the checker looked at, by kind of anomaly, and what it found. */
  examined: z.record(text, count),
  anomalies: z.record(text, count),
  problems: z.array(text),
});
export type DeliveryShard = z.infer<typeof SHARD>;
export type DeliveryMode = DeliveryShard["mode"];

export interface RunOfMode {
  readonly mode: DeliveryMode;
  readonly seed: number;
  readonly beganMs: number;
  readonly seconds: number;
  readonly problems: readonly string[];
}

/** Of what ran: taken when it was built. */
export function hashes(): Pick<DeliveryShard, "src" | "tests"> {
  return { src: treeHash(join(ROOT, "src")), tests: treeHash(join(ROOT, "test/delivery-faults")) };
}

/** @param result undefined: the run broke off, and `problems` says why; that is evidence, too */
export function shardOf(
  sources: Pick<DeliveryShard, "src" | "tests">,
  { beganMs, mode, problems, seconds, seed }: RunOfMode,
  result: ModeResult | undefined,
): DeliveryShard {
  const rounds = result?.rounds ?? [];
  return {
    version: VERSION,
    type: "delivery",
    ...sources,
    mode,
    seed,
    beganMs: Math.round(beganMs),
    seconds: Math.round(seconds),
    leaderKills: rounds.length,
    leaderBites: rounds.filter(({ hasBitten }) => hasBitten).length,
    tookOverMs: rounds.map(({ tookOverMs }) => Math.round(tookOverMs)),
    consumerKills: result?.consumerKills ?? 0,
    consumerBites: result?.consumerBites ?? 0,
    sent: result?.verdict.sent ?? 0,
    acknowledged: result?.verdict.acknowledged ?? 0,
    delivered: result?.delivered ?? 0,
    confirmed: result?.confirmed ?? 0,
    confirmedDuring: result?.confirmedDuring ?? 0,
    refused: result?.refused ?? 0,
    deadLetters: result?.deadLetters ?? 0,
    examined: { ...result?.examined },
    anomalies: { ...result?.verdict.counts },
    problems: [...problems],
  };
}

/** @throws Error with the number of the line that is no shard */
export function readShards(lines: string, name: string): DeliveryShard[] {
  return parseShards(SHARD, lines, name);
}

/** @returns why these shards cannot be added up; undefined when they can */
export function conflictIn(shards: readonly DeliveryShard[]): string | undefined {
  const conflict = sourceConflict(shards);
  if (conflict !== undefined) return conflict;
  const seen = new Set<string>();
  for (const { beganMs, mode, seed } of shards) {
    const run = `${mode}, seed ${seed}, begun ${new Date(beganMs).toISOString()}`;
    if (seen.has(run)) return `this run is in there twice: ${run}`;
    seen.add(run);
  }
  return undefined;
}
