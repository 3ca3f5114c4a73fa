// npm run evidence:delivery [-- --src HASH|present] [FILES]: adds up the shards in docs/evidence/delivery (or those given), and
// refuses to mix shards of different sources. Exits 1 when it refuses, or when the evidence is against the source.
import { join } from "node:path";
import Table from "cli-table3";
import { treeHash } from "../../simulation/tree-hash.ts";
import { chosenShards } from "../../support/shard-files.ts";
import { conflictIn, readShards } from "./shard.ts";
import { MODES, type ModeTotals, problemsOf, ROWS, shortcomingsOf, sumMode } from "./totals.ts";

const ROOT = join(import.meta.dirname, "../../..");
const DIRECTORY = "docs/evidence/delivery";

function main(): number {
  const present = treeHash(join(ROOT, "src"));
  const choice = { root: ROOT, directory: DIRECTORY, present, read: readShards, conflictIn };
  const shards = chosenShards(choice);
  if (shards === undefined) return 1;
  const [{ src }] = shards;
  print(
    `${shards.length} shards about source ${src}${src === present ? " (the present one)" : ""}`,
  );
  print(`test/delivery-faults: ${[...new Set(shards.map(({ tests }) => tests))].join(", ")}`);
  const totals = MODES.map((mode) => sumMode(mode, shards));
  print(tableOf(totals));
  for (const what of totals.flatMap(shortcomingsOf)) print(`NOT YET  ${what}`);
  const problems = totals.flatMap(problemsOf);
  for (const problem of problems) print(`PROBLEM  ${problem}`);
  return problems.length === 0 ? 0 : 1;
}

function tableOf(totals: readonly ModeTotals[]): string {
  const table = new Table({
    head: ["what", ...totals.map(({ mode }) => mode)],
    style: { head: [], border: [], compact: true },
  });
  for (const [name, cell] of ROWS) table.push([name, ...totals.map(cell)]);
  return table.toString();
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main();
