// npm run evidence:chaos [-- --src HASH|present] [FILES]: adds up the shards in docs/evidence/chaos (or those given), and
// refuses to mix shards of different sources. Exits 1 when it refuses, or when the evidence is against the source.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { treeHash } from "../../simulation/tree-hash.ts";
import { conflictIn, type MixedShard, type PowerShard, readShards, type Shard } from "./shard.ts";
import { mixedTables, powerTable } from "./tables.ts";
import { shortcomingsOf, slowKinds, sumMixed, sumPower } from "./totals.ts";

const ROOT = join(import.meta.dirname, "../../..");
const DIRECTORY = "docs/evidence/chaos";
const CUTS = 200;

function main(): number {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { src: { type: "string" } },
  });
  const present = treeHash(join(ROOT, "src"));
  const wanted = values.src === "present" ? present : values.src;
  const files = positionals.length > 0 ? positionals : filesOf(join(ROOT, DIRECTORY));
  const all = files.flatMap((file) => readShards(readFileSync(file, "utf8"), file));
  const shards = all.filter(({ src }) => wanted === undefined || src.startsWith(wanted));
  if (shards.length === 0) {
    print(`no shards in ${positionals.length > 0 ? positionals.join(", ") : DIRECTORY}`);
    return 1;
  }
  const conflict = conflictIn(shards);
  if (conflict !== undefined) {
    print(`these shards cannot be added up: ${conflict}`);
    return 1;
  }
  const src = shards[0]?.src ?? "";
  print(
    `${shards.length} shards about source ${src}${src === present ? " (the present one)" : ""}`,
  );
  const problems = [...showMixed(shards), ...showPower(shards)];
  for (const problem of problems) print(`PROBLEM  ${problem}`);
  return problems.length === 0 ? 0 : 1;
}

function showMixed(shards: readonly Shard[]): readonly string[] {
  const mixed = shards.filter((shard): shard is MixedShard => shard.type === "mixed");
  if (mixed.length === 0) return [];
  const totals = sumMixed(mixed);
  print(mixedTables(totals));
  for (const what of totals.skipped) print(`SKIPPED  ${what}`);
  for (const what of shortcomingsOf(totals)) print(`NOT YET  ${what}`);
  return [...totals.problems, ...slowKinds(totals)];
}

function showPower(shards: readonly Shard[]): readonly string[] {
  const cuts = shards.filter((shard): shard is PowerShard => shard.type === "power-cuts");
  return (["sync", "async"] as const).flatMap((flush) => {
    const own = cuts.filter((shard) => shard.flush === flush);
    if (own.length === 0) return [];
    const totals = sumPower(flush, own);
    print(powerTable(totals));
    if (totals.cuts < CUTS) print(`NOT YET  ${totals.cuts} power cuts of ${CUTS}`);
    return totals.problems;
  });
}

function filesOf(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
  return names.sort().map((name) => join(directory, name));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main();
