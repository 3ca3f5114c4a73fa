// What a run says at the end: seed, counts, fail-over times, problems; as tables or as one line of JSON.
import Table from "cli-table3";
import { FAULT_KINDS } from "./leader-faults.ts";
import type { MajorityLoss } from "./majority-loss.ts";
import type { ChaosOptions } from "./options.ts";
import type { PowerCuts } from "./power-cut.ts";
import type { RollingRestart } from "./rolling-restart.ts";
import type { Round } from "./rounds.ts";
import { anomalyCount, type Verdict } from "./verdict.ts";

export type Outcome = "passed" | "failed" | "incomplete";

export interface Report {
  readonly outcome: Outcome;
  readonly options: ChaosOptions;
  readonly seconds: number;
  readonly rounds: readonly Round[];
  readonly rolling: RollingRestart | undefined;
  readonly majority: MajorityLoss | undefined;
  readonly verdict: Verdict | undefined;
  readonly replicasCompared: number;
  readonly worstStallMs: number;
  /** Pauses of the testing process itself of more than three seconds, ms. */
  readonly standstills: readonly number[];
  readonly powerCuts: PowerCuts | undefined;
  /** Why parts were left out although they were asked for. */
  readonly skipped: readonly string[];
  readonly problems: readonly string[];
}

type Times = Readonly<Record<"count" | "p50ms" | "p99ms" | "worstMs", number>>;

export function printReport(report: Report): void {
  const text = report.options.json ? `${JSON.stringify(jsonOf(report))}\n` : tablesOf(report);
  process.stdout.write(text);
}

function jsonOf(report: Report): Record<string, unknown> {
  const { options, verdict, powerCuts, ...rest } = report;
  return {
    ...rest,
    seed: options.seed,
    rate: options.rate,
    partitions: options.partitions,
    failOver: failOverTimes(report.rounds),
    verdict: verdict && { ...verdict, anomalies: verdict.counts, counts: undefined },
    powerCuts: powerCuts && {
      cuts: powerCuts.cuts,
      broken: powerCuts.broken,
      verdict: powerCuts.verdict && {
        ...powerCuts.verdict,
        anomalies: powerCuts.verdict.counts,
        counts: undefined,
      },
    },
  };
}

function tablesOf(report: Report): string {
  const parts = [
    report.rounds.length > 0 ? roundTable(report.rounds) : "",
    report.rounds.length > 0 ? failOverTable(report.rounds) : "",
    countTable(report),
    ...anomalyExamples(report),
    ...report.problems.map((text) => `PROBLEM  ${text}`),
    ...report.standstills.map(
      (ms) => `NOTE     the test itself stood still for ${ms} ms: times of then are its own`,
    ),
    ...report.skipped.map((text) => `SKIPPED  ${text}`),
    `${report.outcome.toUpperCase()} in ${Math.round(report.seconds)} s, seed ${report.options.seed}`,
  ];
  return `${parts.filter((part) => part !== "").join("\n")}\n`;
}

function roundTable(rounds: readonly Round[]): string {
  const head = ["round", "fault", "node", "partitions", "epochs", "acks/s before", "worst ms"];
  const table = plainTable(head);
  for (const [i, round] of rounds.entries()) {
    const epochs = round.partitions.map((one) => `${one.epochBefore}→${one.epochAfter}`);
    const worst = Math.max(...round.partitions.map((one) => one.failOverMs));
    const numbers = round.partitions.map((one) => one.partition).join(" ");
    const rate = Math.round(round.rateBefore);
    table.push([
      i + 1,
      round.kind,
      round.nodeId,
      numbers,
      epochs.join(" "),
      rate,
      Math.round(worst),
    ]);
  }
  return table.toString();
}

function failOverTable(rounds: readonly Round[]): string {
  const table = plainTable(["fail-over by fault", "partitions", "p50 ms", "p99 ms", "worst ms"]);
  for (const [kind, times] of Object.entries(failOverTimes(rounds))) {
    table.push([kind, times.count, times.p50ms, times.p99ms, times.worstMs]);
  }
  return table.toString();
}

function countTable(report: Report): string {
  const { verdict, rolling, majority, powerCuts } = report;
  const table = plainTable(["what", "count"]);
  if (verdict !== undefined) table.push(...verdictRows("", verdict));
  if (report.replicasCompared > 0)
    table.push(["replicas compared byte by byte", report.replicasCompared]);
  if (report.worstStallMs > 0) {
    table.push(["longest pause of this process itself, ms", Math.round(report.worstStallMs)]);
  }
  if (rolling !== undefined) {
    table.push(["rolling restart: sends", rolling.sentMeanwhile]);
    table.push(["rolling restart: failed sends", rolling.failedSends]);
    table.push(["rolling restart: leaders spread after, ms", Math.round(rolling.spreadMs)]);
  }
  if (majority !== undefined) {
    table.push(["majority lost: refused", majority.refusedCount]);
    for (const [reason, count] of Object.entries(majority.refused))
      table.push([`  ${reason}`, count]);
    table.push(["majority lost: acknowledged", majority.acknowledged]);
    table.push(["majority lost: resumed after, ms", Math.round(majority.resumedMs)]);
  }
  if (powerCuts !== undefined) {
    table.push(["power cuts", powerCuts.cuts.length]);
    table.push(...lossRows(powerCuts));
    if (powerCuts.verdict !== undefined)
      table.push(...verdictRows("power cuts: ", powerCuts.verdict));
    if (powerCuts.broken !== undefined)
      table.push(["power cuts: did not come back", powerCuts.broken]);
  }
  return table.toString();
}

function lossRows({ cuts }: PowerCuts): [string, number][] {
  const losses = cuts.map(({ loss }) => loss);
  const lost = losses.reduce((sum, loss) => sum + loss.lost, 0);
  const rows: [string, number][] = [["power cuts: acknowledged and gone", lost]];
  if (lost === 0) return rows;
  const oldestMs = Math.max(...losses.map((loss) => loss.oldestMs));
  rows.push(["power cuts: oldest loss, ms before the cut", Math.round(oldestMs)]);
  const bytes = Math.max(...losses.map(({ bytesMax }) => bytesMax));
  rows.push(["power cuts: most bytes lost of one partition", bytes]);
  return rows;
}

/** Without colours: the output often goes to a file. */
function plainTable(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [], compact: true } });
}

function verdictRows(prefix: string, verdict: Verdict): [string, number][] {
  const rows: [string, number][] = [
    [`${prefix}sent`, verdict.sent],
    [`${prefix}acknowledged`, verdict.acknowledged],
    [`${prefix}recognized as duplicates`, verdict.duplicateReceipts],
    [`${prefix}failed, not applied`, verdict.failed - verdict.unknown],
    [`${prefix}failed, outcome unknown`, verdict.unknown],
    [`${prefix}read back`, verdict.read],
    [`${prefix}anomalies`, anomalyCount(verdict)],
  ];
  for (const [kind, count] of Object.entries(verdict.counts)) {
    rows.push([`  ${kind}`, count]);
  }
  return rows;
}

function anomalyExamples(report: Report): string[] {
  const all = [
    ...(report.verdict?.anomalies ?? []),
    ...(report.powerCuts?.verdict?.anomalies ?? []),
  ];
  return all.slice(0, 10).map(({ detail, id, kind }) => `ANOMALY  ${id} ${kind}: ${detail}`);
}

function failOverTimes(rounds: readonly Round[]): Record<string, Times> {
  const times: Record<string, Times> = {};
  for (const kind of [...FAULT_KINDS, "all"]) {
    const chosen = rounds.filter((round) => kind === "all" || round.kind === kind);
    const list = chosen.flatMap((round) => round.partitions.map((one) => one.failOverMs));
    if (list.length === 0) continue;
    list.sort((a, b) => a - b);
    const at = (share: number): number =>
      Math.round(list[Math.min(list.length - 1, Math.ceil(list.length * share) - 1)] ?? 0);
    times[kind] = { count: list.length, p50ms: at(0.5), p99ms: at(0.99), worstMs: at(1) };
  }
  return times;
}
