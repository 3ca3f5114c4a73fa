// A shard of evidence: one line of JSON that says which seeds ran on which source, and what came of it. Shards are added
// up by evidence.ts; only those of one and the same source may be.
import { join } from "node:path";
import { z } from "zod";
import { parseShards, sourceConflict } from "../support/shard-files.ts";
import { ANOMALY_KINDS, addExamined } from "./examined.ts";
import { FAULT_KINDS } from "./faults/kinds.ts";
import { COUNTED } from "./simulate.ts";
import { newTotals, type Totals, virtualHours } from "./totals.ts";
import { treeHash } from "./tree-hash.ts";

const VERSION = 1;
const count = z.number().int().nonnegative();
const seeds = z.array(count);

const SHARD = z.object({
  version: z.literal(VERSION),
  /** Git's hash of the directory src, and of the simulator. */
  src: z.string(),
  simulation: z.string(),
  /** Version of Node.js; orders of callbacks differ a little between major versions. Older shards do not tell. */
  node: z.string().optional(),
  /** Inclusive. */
  from: count,
  to: count,
  counted: count,
  failed: seeds,
  uncounted: seeds,
  /** The first seed gave the same trace twice. */
  isRepeatable: z.boolean(),
  virtualHours: z.number(),
  counts: z.record(z.string(), z.number()),
  faults: z.record(z.string(), z.object({ begun: count, bit: count })),
  leaderlessMsMax: z.number(),
  seconds: z.number(),
  /** By kind of anomaly. Older shards do not tell. */
  examined: z.record(z.string(), count).optional(),
});
export type Shard = z.infer<typeof SHARD>;

export interface ShardRun {
  readonly root: string;
  readonly node: string;
  readonly from: number;
  readonly isRepeatable: boolean;
  readonly seconds: number;
}

export function shardOf(
  totals: Totals,
  { from, isRepeatable, node, root, seconds }: ShardRun,
): Shard {
  return {
    version: VERSION,
    src: treeHash(join(root, "src")),
    simulation: treeHash(join(root, "test/simulation")),
    node,
    from,
    to: from + totals.seeds - 1,
    counted: totals.counted,
    failed: totals.failed,
    uncounted: totals.uncounted,
    isRepeatable,
    virtualHours: virtualHours(totals),
    counts: totals.counts,
    faults: totals.faults,
    leaderlessMsMax: Math.round(totals.leaderlessMsMax),
    seconds: Math.round(seconds),
    examined: totals.examined,
  };
}

/** @throws Error with the number of the line that is no shard */
export function readShards(lines: string, name: string): Shard[] {
  return parseShards(SHARD, lines, name);
}

/** @returns why these shards cannot be added up; undefined when they can */
export function conflictIn(shards: readonly Shard[]): string | undefined {
  const conflict = sourceConflict(shards);
  if (conflict !== undefined) return conflict;
  const sorted = [...shards].sort((a, b) => a.from - b.from);
  for (const [at, shard] of sorted.entries()) {
    const before = sorted[at - 1];
    if (before === undefined || before.to < shard.from) continue;
    return `seeds ${shard.from} to ${Math.min(before.to, shard.to)} are in two shards`;
  }
  return undefined;
}

export function sumUp(shards: readonly Shard[]): Totals {
  const totals = newTotals();
  for (const shard of shards) {
    totals.seeds += shard.to - shard.from + 1;
    totals.counted += shard.counted;
    totals.failed.push(...shard.failed);
    totals.uncounted.push(...shard.uncounted);
    for (const name of COUNTED) {
      totals.counts[name] += shard.counts[name] ?? 0;
      if (shard.counts[name] === undefined) totals.untold.add(name);
    }
    addExamined(totals.examined, shard.examined ?? {});
    for (const kind of ANOMALY_KINDS) {
      if (shard.examined?.[kind] === undefined) totals.untold.add(kind);
    }
    for (const kind of FAULT_KINDS) {
      if (shard.faults[kind] === undefined) totals.untold.add(kind);
      totals.faults[kind].begun += shard.faults[kind]?.begun ?? 0;
      totals.faults[kind].bit += shard.faults[kind]?.bit ?? 0;
    }
    totals.leaderlessMsMax = Math.max(totals.leaderlessMsMax, shard.leaderlessMsMax);
  }
  return totals;
}
