// A run of mixed faults as a shard of evidence; its report is a table of the same.
import { join } from "node:path";
import { treeHash } from "../../simulation/tree-hash.ts";
import { type KindCounts, type MixedShard, SHARD_VERSION } from "../evidence/shard.ts";
import { addKinds } from "../evidence/totals.ts";
import type { Verdict } from "../verdict.ts";
import { type ActResult, type FaultRecord, hasBitten, type MixedResult } from "./result.ts";

const ROOT = join(import.meta.dirname, "../../..");

export function mixedShardOf(
  { acts, seconds, transport }: MixedResult,
  seed: number,
  problems: readonly string[],
  skipped: readonly string[],
): MixedShard {
  const verdicts = acts.flatMap(({ verdict }) => verdict ?? []);
  return {
    version: SHARD_VERSION,
    type: "mixed",
    ...hashes(),
    seed,
    seconds: Math.round(seconds),
    transport,
    minutes: sum(acts, minutesOf),
    ...endsOf(verdicts),
    liveReads: sum(acts, ({ liveReads }) => liveReads),
    replicasCompared: sum(acts, ({ replicasCompared }) => replicasCompared),
    faults: countsOf(acts.flatMap(({ faults }) => faults)),
    problems: [...problems],
    skipped: [...skipped],
  };
}

export function hashes(): Pick<MixedShard, "src" | "chaos"> {
  return { src: treeHash(join(ROOT, "src")), chaos: treeHash(join(ROOT, "test/chaos")) };
}

type Ends = Pick<MixedShard, "sent" | "acknowledged" | "failed" | "unknown" | "read" | "anomalies">;

export function endsOf(verdicts: readonly Verdict[]): Ends {
  const anomalies: Record<string, number> = {};
  for (const { counts } of verdicts) {
    for (const [kind, count] of Object.entries(counts)) {
      anomalies[kind] = (anomalies[kind] ?? 0) + count;
    }
  }
  return {
    sent: sum(verdicts, ({ sent }) => sent),
    acknowledged: sum(verdicts, ({ acknowledged }) => acknowledged),
    failed: sum(verdicts, ({ failed }) => failed),
    unknown: sum(verdicts, ({ unknown }) => unknown),
    read: sum(verdicts, ({ read }) => read),
    anomalies,
  };
}

function minutesOf({ faults }: ActResult): number {
  return sum(faults, ({ seconds }) => seconds) / 60;
}

function countsOf(faults: readonly FaultRecord[]): Record<string, KindCounts> {
  const counts: Record<string, KindCounts> = {};
  for (const fault of faults) {
    const known = counts[fault.kind];
    const added = countOf(fault);
    counts[fault.kind] = known === undefined ? added : addKinds(known, added);
  }
  return counts;
}

function countOf(fault: FaultRecord): KindCounts {
  const { acknowledged, failOverMs, lost, resumedMs } = fault;
  const isBit = hasBitten(fault);
  return {
    made: 1,
    bit: isBit ? 1 : 0,
    leaderLosses: isBit && lost > 0 ? 1 : 0,
    partitions: lost,
    failOverMs: failOverMs.map(Math.round),
    resumedMs: [Math.round(resumedMs)],
    acknowledgedMin: acknowledged,
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
