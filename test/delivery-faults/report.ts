// What a run says in the end: seed, counts by mode, anomalies, problems; as a table or as one line of JSON.
import Table from "cli-table3";
import { anomalyCount } from "../chaos/verdict.ts";
import type { ModeResult } from "./mode-run.ts";
import type { DeliveryOptions } from "./options.ts";

export function printReport(
  results: readonly ModeResult[],
  problems: readonly string[],
  options: DeliveryOptions,
  seconds: number,
): void {
  const outcome = problems.length === 0 ? "passed" : "failed";
  if (options.json) {
    const modes = results.map(({ verdict, ...rest }) => ({
      ...{ ...rest, sent: verdict.sent, acknowledged: verdict.acknowledged },
      anomalies: verdict.counts,
    }));
    const report = { outcome, seed: options.seed, seconds, problems, modes };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  const lines = [
    countTable(results),
    ...results.flatMap(({ mode, verdict }) =>
      verdict.anomalies
        .slice(0, 10)
        .map(({ detail, id, kind }) => `ANOMALY  ${mode}: ${id} ${kind}: ${detail}`),
    ),
    ...problems.map((text) => `PROBLEM  ${text}`),
    `${outcome.toUpperCase()} in ${Math.round(seconds)} s, seed ${options.seed}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

function countTable(results: readonly ModeResult[]): string {
  const table = new Table({
    head: ["what", ...results.map(({ mode }) => mode)],
    style: { head: [], border: [], compact: true },
  });
  const row = (name: string, count: (result: ModeResult) => number | string): void => {
    table.push([name, ...results.map(count)]);
  };
  row(
    "leaders killed, each with effect",
    ({ rounds }) => rounds.filter((one) => one.hasBitten).length,
  );
  row("worst take-over, ms", ({ rounds }) => worst(rounds.map((one) => one.tookOverMs)));
  row("consumers killed", ({ consumerKills }) => consumerKills);
  row("  that worked on messages", ({ consumerBites }) => consumerBites);
  row("messages sent", ({ verdict }) => verdict.sent);
  row("  acknowledged", ({ verdict }) => verdict.acknowledged);
  row("messages handed out", ({ delivered }) => delivered);
  row("  begun again, not called failed", ({ returned }) => returned);
  row("acknowledged out of order", ({ shuffled }) => shuffled);
  row("messages confirmed", ({ confirmed }) => confirmed);
  row("  during the faults, %", ({ confirmedDuring, verdict }) =>
    ((100 * confirmedDuring) / Math.max(1, verdict.sent)).toFixed(1),
  );
  row("settlements refused as stale", ({ refused }) => refused);
  row("dead letters", ({ deadLetters }) => deadLetters);
  row("parked or stopped, through a kill", ({ survived }) => survived);
  row("  released", ({ released }) => released);
  row("order looked at, deliveries", ({ examined }) => examined["order-broken"] ?? 0);
  row("seconds", ({ seconds }) => Math.round(seconds));
  row("anomalies", ({ verdict }) => anomalyCount(verdict));
  for (const kind of new Set(results.flatMap(({ verdict }) => Object.keys(verdict.counts)))) {
    row(
      `  ${kind}`,
      ({ verdict }) => Object.entries(verdict.counts).find(([one]) => one === kind)?.[1] ?? 0,
    );
  }
  return table.toString();
}

function worst(times: readonly number[]): number {
  return Math.round(Math.max(0, ...times));
}
