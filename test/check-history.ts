// npm run check-history -- FILE [--final-reader NAME] [--json]: judges a saved history again, with the rules in its header.
// Ends with 0 when nothing is found, 1 when something is, 2 when the file cannot be judged.
import { parseArgs } from "node:util";
import Table from "cli-table3";
import {
  type AnomalyKind,
  CATALOGUE,
  type CheckReport,
  checkHistory,
  HistoryFormatError,
  readHistory,
} from "../src/testkit/index.ts";
import { linesOf } from "./support/save-history.ts";

const SHOWN_MAX = 20;
const USAGE = "usage: npm run check-history -- FILE [--final-reader NAME] [--json]";

function main(): void {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { "final-reader": { type: "string" }, json: { type: "boolean", default: false } },
  });
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) throw new Error(USAGE);
  const report = checkHistory(readHistory(linesOf(file)), { finalReader: values["final-reader"] });
  print(values.json ? JSON.stringify(report) : tablesOf(report));
  if (Object.keys(report.counts).length > 0) process.exitCode = 1;
}

function tablesOf(report: CheckReport): string {
  const { acknowledged, anomalies, events, failed, read, sent, unknown } = report;
  const counts = plainTable(["what", "count"]);
  for (const row of Object.entries({ events, sent, acknowledged, failed, unknown, read })) {
    counts.push(row);
  }
  const kinds = plainTable(["", "anomaly", "found", "facts looked at"]);
  for (const [kind, { id, title }] of Object.entries(CATALOGUE)) {
    if (!isKind(kind)) continue;
    const looked = report.examined[kind] ?? 0;
    kinds.push([id, `${kind}: ${title}`, report.counts[kind] ?? 0, looked === 0 ? "NONE" : looked]);
  }
  const shown = anomalies.slice(0, SHOWN_MAX).map(({ detail, events: proof, id, kind }) => {
    const lines = proof.map((event) => event + 1).join(", ");
    return `ANOMALY  ${id} ${kind}: ${detail} (lines ${lines})`;
  });
  const more = Object.values(report.counts).reduce((sum, count) => sum + count, 0) - shown.length;
  if (more > 0) shown.push(`and ${more} more`);
  return [counts.toString(), kinds.toString(), ...shown].join("\n");
}

function isKind(text: string): text is AnomalyKind {
  return text in CATALOGUE;
}

function plainTable(head: string[]): Table.Table {
  return new Table({ head, style: { head: [], border: [], compact: true } });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  main();
} catch (error) {
  const isExpected = error instanceof HistoryFormatError || error instanceof Error;
  process.stderr.write(`${isExpected ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
