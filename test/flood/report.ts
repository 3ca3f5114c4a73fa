// A flood's verdict and its table. Bounds: the brokers' memory, the good client, and no attack without effect.
import type { Effect } from "./attack.ts";
import { ATTACKS } from "./attacks/all.ts";
import type { FloodReport } from "./flood.ts";
import { COLUMNS, rowsOf } from "./resource-watch.ts";
import { sumOf, type Tally } from "./tally.ts";

export interface Bounds {
  /** Resident memory of each broker at any time. MiB. */
  readonly rssMib: number;
  readonly p99Ms: number;
}

const MIB = 1024 * 1024;

/** What is wrong; empty when nothing is. */
export function problemsOf(report: FloodReport, bounds: Bounds): string[] {
  const { good, peaks } = report;
  const problems: string[] = [];
  for (const [node, peak] of peaks) {
    const mib = peak / MIB;
    if (mib > bounds.rssMib) problems.push(`broker ${node} had ${mib.toFixed(0)} MiB`);
  }
  if (report.samples === 0 || peaks.size === 0) problems.push("memory was never measured");
  for (const { detail } of report.resources.leaks) problems.push(detail);
  for (const [name, brokers] of Object.entries(report.resources.compared)) {
    if (brokers < peaks.size)
      problems.push(`${name} of idle brokers was compared for ${brokers} only`);
  }
  for (const node of report.ended) problems.push(`broker ${node} ended`);
  if (good.lost > 0) problems.push(`${good.lost} acknowledged messages were never read`);
  if (good.neverConsumed > 0) {
    problems.push(`${good.neverConsumed} acknowledged messages were never consumed`);
  }
  if (good.consumedP99Ms > bounds.p99Ms)
    problems.push(`the good consumer's p99 is ${good.consumedP99Ms.toFixed(0)} ms`);
  if (good.readTwice > 0) problems.push(`${good.readTwice} messages were read twice`);
  if (good.failed > 0) problems.push(`${good.failed} good sends failed`);
  if (good.p99Ms > bounds.p99Ms)
    problems.push(`the good client's p99 is ${good.p99Ms.toFixed(0)} ms`);
  if (report.pressure.size === 0) problems.push("no health page ever named a reason");
  for (const [name, tally] of report.attacks) {
    const problem = vacuous(name, tally);
    if (problem !== undefined) problems.push(problem);
  }
  return [...problems, ...report.errors];
}

function vacuous(name: string, tally: Tally): string | undefined {
  const attack = ATTACKS.find((candidate) => candidate.name === name);
  if (tally.connected === 0 || tally.sent === 0) return `${name} never got through`;
  const had = (attack?.effects ?? []).some((effect) => amount(tally, effect) > 0);
  return had ? undefined : `${name} had no effect (${(attack?.effects ?? []).join(" or ")})`;
}

function amount(tally: Tally, effect: Effect): number {
  return effect === "refused" ? sumOf(tally.refused) : tally[effect];
}

export function render(report: FloodReport, bounds: Bounds): string {
  const { good } = report;
  const lines = [
    row(["attack", "connected", "sent", "answered", "cut", "refused and failed"]),
    row(["---", "---:", "---:", "---:", "---:", "---"]),
    ...[...report.attacks].map(([name, tally]) =>
      row([
        name,
        ...[tally.connected, tally.sent, tally.answered, tally.cut].map(String),
        [...counts(tally.refused), ...counts(tally.failed).map((text) => `(${text})`)].join(", "),
      ]),
    ),
    "",
    `brokers: peak RSS ${peaks(report)} MiB (bound ${bounds.rssMib}), ${report.samples} samples`,
    "",
    row(["broker", ...COLUMNS]),
    row(["---", ...COLUMNS.map(() => "---:")]),
    ...rowsOf(report.resources.samples).map(row),
    "",
    `refusals by limit: ${sorted(report.refusals)}`,
    `health said: ${sorted(report.pressure)}; ${report.unansweredLooks} looks unanswered`,
    `good client: ${good.due} due, ${good.acknowledged} acknowledged, ${good.failed} failed, ${good.lost} lost, ${good.readTwice} read twice`,
    `  latency p50 ${good.p50Ms.toFixed(1)} ms, p99 ${good.p99Ms.toFixed(0)} ms (bound ${bounds.p99Ms}), worst ${good.worstMs.toFixed(0)} ms, ${good.leaderChanges} leader changes; own worst stall ${good.worstStallMs.toFixed(0)} ms`,
    `good consumer: ${good.neverConsumed} never consumed, ${good.consumedTwice} more than once; from due to handler p50 ${good.consumedP50Ms.toFixed(1)} ms, p99 ${good.consumedP99Ms.toFixed(0)} ms (bound ${bounds.p99Ms})`,
    report.processors,
    ...Object.entries(good.failures).map(([name, count]) => `  failed: ${count} ${name}`),
  ];
  return lines.join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function counts(record: Readonly<Record<string, number>>): string[] {
  return Object.entries(record).map(([name, count]) => `${count} ${name}`);
}

function peaks(report: FloodReport): string {
  return [...report.peaks.values()].map((peak) => (peak / MIB).toFixed(0)).join(", ");
}

function sorted(map: ReadonlyMap<string, number>): string {
  const entries = [...map].sort(([, left], [, right]) => right - left);
  return entries.map(([name, count]) => `${name} ${count}`).join(", ") || "nothing";
}
