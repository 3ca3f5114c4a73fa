// Adds shards up, and says what the sum still lacks of what is demanded. Used by evidence.ts, and for one run by the report.
import { FAULT_KINDS } from "../faults/kinds.ts";
import type { KindCounts, MixedShard, PowerShard, Shard } from "./shard.ts";

/** Power cuts that are demanded of each flush. */
const CUTS = 200;
export const FLUSHES = ["sync", "async"] as const;

type Ends = Pick<Shard, "sent" | "acknowledged" | "failed" | "unknown" | "read">;

interface Common extends Ends {
  readonly shards: number;
  readonly seconds: number;
  readonly anomalies: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
  readonly skipped: readonly string[];
}

export interface MixedTotals extends Common {
  readonly minutes: number;
  readonly transports: readonly string[];
  readonly liveReads: number;
  readonly replicasCompared: number;
  readonly faults: Readonly<Record<string, KindCounts>>;
}

export interface PowerTotals extends Common {
  readonly flush: "sync" | "async";
  readonly cuts: number;
  readonly lost: number;
  readonly cutsWithLoss: number;
  readonly oldestLostMs: number;
  readonly lostBytesMax: number;
}

export function sumMixed(shards: readonly MixedShard[]): MixedTotals {
  const faults: Record<string, KindCounts> = {};
  for (const shard of shards) {
    for (const [kind, counts] of Object.entries(shard.faults)) {
      const known = faults[kind];
      faults[kind] = known === undefined ? counts : addKinds(known, counts);
    }
  }
  return {
    ...sumCommon(shards),
    minutes: sumOf(shards, ({ minutes }) => minutes),
    transports: [...new Set(shards.map(({ transport }) => transport))],
    liveReads: sumOf(shards, ({ liveReads }) => liveReads),
    replicasCompared: sumOf(shards, ({ replicasCompared }) => replicasCompared),
    faults,
  };
}

/** @param shards all of one flush */
export function sumPower(flush: "sync" | "async", shards: readonly PowerShard[]): PowerTotals {
  return {
    ...sumCommon(shards),
    flush,
    cuts: sumOf(shards, ({ cuts }) => cuts),
    lost: sumOf(shards, ({ lost }) => lost),
    cutsWithLoss: sumOf(shards, ({ cutsWithLoss }) => cutsWithLoss),
    oldestLostMs: Math.max(0, ...shards.map(({ oldestLostMs }) => oldestLostMs)),
    lostBytesMax: Math.max(0, ...shards.map(({ lostBytesMax }) => lostBytesMax)),
  };
}

function sumCommon(shards: readonly Shard[]): Common {
  const anomalies: Record<string, number> = {};
  for (const shard of shards) {
    for (const [kind, count] of Object.entries(shard.anomalies)) {
      anomalies[kind] = (anomalies[kind] ?? 0) + count;
    }
  }
  return {
    shards: shards.length,
    seconds: sumOf(shards, ({ seconds }) => seconds),
    sent: sumOf(shards, ({ sent }) => sent),
    acknowledged: sumOf(shards, ({ acknowledged }) => acknowledged),
    failed: sumOf(shards, ({ failed }) => failed),
    unknown: sumOf(shards, ({ unknown }) => unknown),
    read: sumOf(shards, ({ read }) => read),
    anomalies,
    problems: shards.flatMap(({ problems, seed }) => problems.map((one) => `seed ${seed}: ${one}`)),
    skipped: [...new Set(shards.flatMap(({ skipped }) => skipped))],
  };
}

export function addKinds(a: KindCounts, b: KindCounts): KindCounts {
  return {
    made: a.made + b.made,
    bit: a.bit + b.bit,
    leaderLosses: a.leaderLosses + b.leaderLosses,
    partitions: a.partitions + b.partitions,
    failOverMs: [...a.failOverMs, ...b.failOverMs],
    resumedMs: [...a.resumedMs, ...b.resumedMs],
    acknowledgedMin: Math.min(a.acknowledgedMin, b.acknowledgedMin),
  };
}

export interface Sum {
  readonly made: number;
  readonly bit: number;
  readonly kindsBit: number;
  readonly leaderLosses: number;
}

export function sumKinds({ faults }: Pick<MixedTotals, "faults">): Sum {
  const all = Object.values(faults);
  return {
    made: sumOf(all, ({ made }) => made),
    bit: sumOf(all, ({ bit }) => bit),
    kindsBit: all.filter(({ bit }) => bit > 0).length,
    leaderLosses: sumOf(all, ({ leaderLosses }) => leaderLosses),
  };
}

/** Kinds whose p99 is above what they may take, in words. */
export function slowKinds({ faults }: Pick<MixedTotals, "faults">): string[] {
  return FAULT_KINDS.flatMap(({ boundMs, name }) => {
    const times = faults[name]?.failOverMs ?? [];
    const p99 = quantile(times, 0.99);
    if (boundMs === undefined || times.length === 0 || p99 <= boundMs) return [];
    return [
      `${name}: next acknowledged write after ${p99} ms (p99), at most ${boundMs} ms allowed`,
    ];
  });
}

/** What the evidence lacks before it is as much as is demanded, in words. */
export function shortcomingsOf(mixed: MixedTotals): string[] {
  const { bit, kindsBit, leaderLosses } = sumKinds(mixed);
  const wanted: readonly (readonly [string, number, number])[] = [
    ["minutes of faults", mixed.minutes, 60],
    ["faults that bit", bit, 200],
    ["kinds of faults that bit", kindsBit, 20],
    ["leader losses", leaderLosses, 100],
    ["acknowledged messages", mixed.acknowledged, 2_000_000],
  ];
  return wanted
    .filter(([, is, least]) => is < least)
    .map(([what, is, least]) => `${Math.round(is)} ${what} of ${least}`);
}

/** Kinds of shards without which there is no evidence, each with what it lacks, in words. */
export function lackingIn(shards: readonly Shard[]): string[] {
  const mixed = shards.filter((shard): shard is MixedShard => shard.type === "mixed");
  const cuts = shards.filter((shard): shard is PowerShard => shard.type === "power-cuts");
  return [
    ...shortcomingsOf(sumMixed(mixed)),
    ...FLUSHES.flatMap((flush) => {
      const totals = sumPower(
        flush,
        cuts.filter((shard) => shard.flush === flush),
      );
      const few =
        totals.cuts < CUTS ? [`${totals.cuts} power cuts of ${CUTS} in all/${flush}`] : [];
      const isVacuous = flush === "async" && totals.cuts >= CUTS && totals.cutsWithLoss === 0;
      return isVacuous ? ["no power cut in all/async that cost anything"] : few;
    }),
  ];
}

/** What speaks against the source. */
export function againstIt(totals: Common): string[] {
  const found = Object.entries(totals.anomalies).filter(([, count]) => count > 0);
  return [...totals.problems, ...found.map(([kind, count]) => `${count} ${kind}`)];
}

/** 0 for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1);
  return Math.round(sorted[Math.max(0, at)] ?? 0);
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}
