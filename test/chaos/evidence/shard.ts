// A shard of evidence: one line of JSON that says which source ran, what was done to it and what came of it. Shards are
// added up by totals.ts; only those of one and the same source may be.
import { z } from "zod";
import { parseShards, sourceConflict } from "../../support/shard-files.ts";

const VERSION = 1;
const count = z.number().int().nonnegative();
const ms = z.number().nonnegative();
const text = z.string();

const KIND = z.object({
  made: count,
  /** It could be proved. */
  bit: count,
  /** Faults by which at least one partition lost its leader, and such partitions. */
  leaderLosses: count,
  partitions: count,
  /** From the fault to the next acknowledged write, per partition. */
  failOverMs: z.array(ms),
  /** From its end until every partition acknowledged a send begun after it, per fault. */
  resumedMs: z.array(ms),
  /** Fewest sends begun and acknowledged while it lasted. */
  acknowledgedMin: count,
});
export type KindCounts = z.infer<typeof KIND>;

const COMMON = {
  version: z.literal(VERSION),
  /** Git's hash of the directory src, and of these tests. */
  src: text,
  chaos: text,
  seed: count,
  seconds: z.number(),
  sent: count,
  acknowledged: count,
  failed: count,
  unknown: count,
  read: count,
  anomalies: z.record(text, count),
  problems: z.array(text),
  skipped: z.array(text),
};

const MIXED = z.object({
  ...COMMON,
  type: z.literal("mixed"),
  transport: z.enum(["namespaces", "proxies"]),
  /** Time in which faults were made. */
  minutes: z.number(),
  liveReads: count,
  replicasCompared: count,
  faults: z.record(text, KIND),
});
export type MixedShard = z.infer<typeof MIXED>;

const POWER = z.object({
  ...COMMON,
  type: z.literal("power-cuts"),
  flush: z.enum(["sync", "async"]),
  cuts: count,
  /** Acknowledged and gone; of all/async within the window, else it is an anomaly. */
  lost: count,
  /** Cuts that cost something. */
  cutsWithLoss: count,
  /** Longest time from an acknowledgement that was lost to the cut. */
  oldestLostMs: ms,
  /** Most bytes of one partition that one cut cost. */
  lostBytesMax: count,
});
export type PowerShard = z.infer<typeof POWER>;

const SHARD = z.discriminatedUnion("type", [MIXED, POWER]);
export type Shard = z.infer<typeof SHARD>;

export const SHARD_VERSION = VERSION;

/** @throws Error with the number of the line that is no shard */
export function readShards(lines: string, name: string): Shard[] {
  return parseShards(SHARD, lines, name);
}

/** @returns why these shards cannot be added up; undefined when they can */
export function conflictIn(shards: readonly Shard[]): string | undefined {
  const conflict = sourceConflict(shards);
  if (conflict !== undefined) return conflict;
  const seen = new Set<string>();
  for (const shard of shards) {
    const run = `${shard.type} ${shard.type === "mixed" ? "" : shard.flush} ${shard.seed} ${shard.seconds}`;
    if (seen.has(run)) return `the run of seed ${shard.seed} is in there twice`;
    seen.add(run);
  }
  return undefined;
}
