// Adds results up and shows them. Used by run.ts and evidence.ts.
import Table from "cli-table3";
import type { AnomalyKind } from "../../src/testkit/index.ts";
import { addExamined } from "./examined.ts";
import { FAULT_KINDS, type FaultKind } from "./faults/kinds.ts";
import { COUNTED, type Counted, type SimulationResult } from "./simulate.ts";

export interface FaultCount {
  begun: number;
  bit: number;
}

export interface Totals {
  seeds: number;
  /** Seeds that prove something and violate nothing. */
  counted: number;
  readonly failed: number[];
  readonly uncounted: number[];
  readonly counts: Record<Counted, number>;
  readonly faults: Record<FaultKind, FaultCount>;
  leaderlessMsMax: number;
  /** How many facts the judge looked at, by kind of anomaly. */
  readonly examined: Partial<Record<AnomalyKind, number>>;
  /** Names of counts, kinds of faults and of anomalies that some shard says nothing about. */
  readonly untold: Set<string>;
}

const MS_PER_HOUR = 3_600_000;
const LABELS: Readonly<Record<Exclude<Counted, "virtualMs">, string>> = {
  events: "events",
  sends: "sends",
  acks: "acknowledged",
  reads: "records read",
  verdicts: "verdicts on weak sends",
  subscriptions: "subscriptions",
  deliveries: "messages delivered to handlers",
  settlements: "settlements confirmed",
  redeliveries: "messages delivered again",
  staleSettlements: "settlements refused as stale, by broker or SDK",
  deadLetters: "dead letters",
  leadersWithLeasesOut: "new leaders while messages were out",
  consumingSeeds: "seeds that consume",
  provenConsumingSeeds: "seeds that consume enough to count",
  elections: "elections",
  truncations: "log ends cut",
  boots: "starts of brokers",
  imagesSaved: "images saved",
  imagesInstalled: "images installed",
  rebuilds: "states recovered from image and log",
  metadataCompared: "metadata compared between nodes",
  damagedLeaders: "leaders that found damage of theirs",
  forcedLeaders: "partitions of which an operator forced the leader",
  divergences: "readers told that what they had read is gone",
  changesCompared: "changes of members that followed another one in a log",
};

export function newTotals(): Totals {
  const counts = Object.fromEntries(COUNTED.map((name) => [name, 0]));
  const faults = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, { begun: 0, bit: 0 }]));
  return {
    seeds: 0,
    counted: 0,
    failed: [],
    uncounted: [],
    counts: counts as Totals["counts"],
    faults: faults as Totals["faults"],
    leaderlessMsMax: 0,
    examined: {},
    untold: new Set(),
  };
}

export function addResult(totals: Totals, result: SimulationResult): void {
  totals.seeds += 1;
  if (result.violations.length > 0) totals.failed.push(result.seed);
  else if (result.shortcomings.length > 0) totals.uncounted.push(result.seed);
  else totals.counted += 1;
  for (const name of COUNTED) totals.counts[name] += result.counts[name];
  for (const kind of FAULT_KINDS) {
    totals.faults[kind].begun += result.begun[kind] ?? 0;
    totals.faults[kind].bit += result.bitten[kind] ?? 0;
  }
  addExamined(totals.examined, result.examined);
  totals.leaderlessMsMax = Math.max(totals.leaderlessMsMax, result.leaderlessMs);
}

export function virtualHours({ counts }: Pick<Totals, "counts">): number {
  return Number((counts.virtualMs / MS_PER_HOUR).toFixed(2));
}

/** @param verdicts further rows, at the end */
export function tableOf(totals: Totals, verdicts: readonly (readonly [string, string])[]): string {
  const table = new Table({
    head: ["what", "count"],
    style: { head: [], border: [], compact: true },
  });
  const { bit, begun } = sumOf(totals.faults);
  table.push(["seeds", totals.seeds], ["seeds that count", totals.counted]);
  table.push(["virtual hours", virtualHours(totals)]);
  for (const name of COUNTED) {
    if (name !== "virtualMs") table.push([LABELS[name], totals.counts[name]]);
  }
  table.push(["faults", `${bit} bit of ${begun}`]);
  for (const kind of FAULT_KINDS) {
    const { begun: some, bit: effective } = totals.faults[kind];
    table.push([`fault: ${kind}`, `${effective} bit of ${some}`]);
  }
  table.push([
    "longest time to leaders after all faults, or force, ms",
    Math.round(totals.leaderlessMsMax),
  ]);
  table.push(["seeds with violations", listOr0(totals.failed)]);
  table.push(["seeds that do not count", listOr0(totals.uncounted)]);
  const examined = Object.values(totals.examined).reduce((all, looked) => all + looked, 0);
  table.push(["facts that the judge looked at", examined]);
  for (const [name, text] of verdicts) table.push([name, text]);
  return table.toString();
}

export function sumOf(faults: Totals["faults"]): FaultCount {
  const sum = { begun: 0, bit: 0 };
  for (const { begun, bit } of Object.values(faults)) {
    sum.begun += begun;
    sum.bit += bit;
  }
  return sum;
}

function listOr0(seeds: readonly number[]): string {
  const sorted = [...seeds].sort((a, b) => a - b);
  return sorted.length === 0 ? "0" : `${sorted.length}: ${sorted.join(", ")}`;
}
