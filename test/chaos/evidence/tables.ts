// Totals as tables, for one run and for the sum of many.
import Table from "cli-table3";
import { type MixedTotals, type PowerTotals, quantile, slowKinds, sumKinds } from "./totals.ts";

export function mixedTables(totals: MixedTotals): string {
  return [kindTable(totals), countTable(totals), ...slowKinds(totals)].join("\n");
}

function kindTable({ faults }: MixedTotals): string {
  const head = ["fault", "made", "bit", "leader losses", "next ack p50 ms", "p99", "worst"];
  const table = plainTable([...head, "resumed p50 ms", "worst", "fewest acks"]);
  for (const [kind, counts] of Object.entries(faults).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { acknowledgedMin, bit, failOverMs, leaderLosses, made, partitions, resumedMs } = counts;
    const losses = leaderLosses === 0 ? "0" : `${leaderLosses} (${partitions} partitions)`;
    const times = [0.5, 0.99, 1].map((share) =>
      failOverMs.length === 0 ? "–" : quantile(failOverMs, share),
    );
    const resumed = [quantile(resumedMs, 0.5), quantile(resumedMs, 1)];
    table.push([kind, made, bit, losses, ...times, ...resumed, acknowledgedMin]);
  }
  return table.toString();
}

function countTable(totals: MixedTotals): string {
  const { bit, kindsBit, leaderLosses, made } = sumKinds(totals);
  const table = plainTable(["what", "count"]);
  table.push(["links", totals.transports.join(", ")]);
  table.push(["minutes of faults", Math.round(totals.minutes * 10) / 10]);
  table.push(["faults that bit", `${bit} of ${made}`], ["kinds that bit", kindsBit]);
  table.push(["leader losses", leaderLosses]);
  table.push(...endRows(totals));
  table.push(["read meanwhile", totals.liveReads]);
  table.push(["replicas compared byte by byte", totals.replicasCompared]);
  table.push(...anomalyRows(totals));
  return table.toString();
}

export function powerTable(totals: PowerTotals): string {
  const table = plainTable([`power cuts of all brokers, all/${totals.flush}`, "count"]);
  table.push(["power cuts", totals.cuts], ...endRows(totals));
  table.push(["acknowledged and lost", totals.lost]);
  if (totals.flush === "async") {
    table.push(["cuts that cost something", totals.cutsWithLoss]);
    table.push(["oldest loss, ms before the cut", Math.round(totals.oldestLostMs)]);
    table.push(["most bytes lost of one partition", totals.lostBytesMax]);
  }
  table.push(...anomalyRows(totals));
  return table.toString();
}

type Row = [string, string | number];

function endRows(
  totals: Pick<MixedTotals, "sent" | "acknowledged" | "failed" | "unknown" | "read">,
): Row[] {
  return [
    ["sent", totals.sent],
    ["acknowledged", totals.acknowledged],
    ["failed, not applied", totals.failed - totals.unknown],
    ["failed, outcome unknown", totals.unknown],
    ["read back", totals.read],
  ];
}

function anomalyRows({ anomalies }: Pick<MixedTotals, "anomalies">): Row[] {
  const counts = Object.entries(anomalies);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return [["anomalies", total], ...counts.map(([kind, count]): Row => [`  ${kind}`, count])];
}

/** Without colours: the output often goes to a file. */
function plainTable(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [], compact: true } });
}
