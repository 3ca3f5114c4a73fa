// A run of power cuts as a shard of evidence.
import { type PowerShard, SHARD_VERSION } from "./evidence/shard.ts";
import { endsOf, hashes } from "./mixed/mixed-shard.ts";
import type { ChaosOptions } from "./options.ts";
import type { PowerCuts } from "./power-cut.ts";

export function powerShardOf(
  { cuts, verdict }: PowerCuts,
  { flush, seed }: Pick<ChaosOptions, "flush" | "seed">,
  seconds: number,
  problems: readonly string[],
): PowerShard {
  const losses = cuts.map(({ loss }) => loss);
  return {
    version: SHARD_VERSION,
    type: "power-cuts",
    ...hashes(),
    seed,
    seconds: Math.round(seconds),
    flush,
    cuts: cuts.length,
    ...endsOf(verdict === undefined ? [] : [verdict]),
    lost: losses.reduce((sum, { lost }) => sum + lost, 0),
    cutsWithLoss: losses.filter(({ lost }) => lost > 0).length,
    oldestLostMs: Math.round(Math.max(0, ...losses.map(({ oldestMs }) => oldestMs))),
    lostBytesMax: Math.max(0, ...losses.map(({ bytesMax }) => bytesMax)),
    problems: [...problems],
    skipped: [],
  };
}
