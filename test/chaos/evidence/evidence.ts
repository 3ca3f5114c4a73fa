// npm run evidence:chaos [-- --src HASH|present] [FILES]: adds up the shards in docs/evidence/chaos (or those given), and
// refuses to mix shards of different sources. Exits 1 when it refuses, when the evidence is against the source, and as long
// as it is not all that is demanded.
import { join } from "node:path";
import { treeHash } from "../../simulation/tree-hash.ts";
import { chosenShards } from "../../support/shard-files.ts";
import { conflictIn, type MixedShard, type PowerShard, readShards, type Shard } from "./shard.ts";
import { mixedTables, powerTable } from "./tables.ts";
import { againstIt, FLUSHES, lackingIn, slowKinds, sumMixed, sumPower } from "./totals.ts";

const ROOT = join(import.meta.dirname, "../../..");
const DIRECTORY = "docs/evidence/chaos";

function main(): number {
  const present = treeHash(join(ROOT, "src"));
  const shards = chosenShards({
    root: ROOT,
    directory: DIRECTORY,
    present,
    read: readShards,
    conflictIn,
  });
  if (shards === undefined) return 1;
  const [{ src }] = shards;
  print(
    `${shards.length} shards about source ${src}${src === present ? " (the present one)" : ""}`,
  );
  const problems = [...showMixed(shards), ...showPower(shards)];
  const lacking = lackingIn(shards);
  for (const what of lacking) print(`NOT YET  ${what}`);
  for (const problem of problems) print(`PROBLEM  ${problem}`);
  return problems.length === 0 && lacking.length === 0 ? 0 : 1;
}

function showMixed(shards: readonly Shard[]): readonly string[] {
  const mixed = shards.filter((shard): shard is MixedShard => shard.type === "mixed");
  if (mixed.length === 0) return [];
  const totals = sumMixed(mixed);
  print(mixedTables(totals));
  for (const what of totals.skipped) print(`SKIPPED  ${what}`);
  return [...againstIt(totals), ...slowKinds(totals)];
}

function showPower(shards: readonly Shard[]): readonly string[] {
  const cuts = shards.filter((shard): shard is PowerShard => shard.type === "power-cuts");
  return FLUSHES.flatMap((flush) => {
    const own = cuts.filter((shard) => shard.flush === flush);
    if (own.length === 0) return [];
    const totals = sumPower(flush, own);
    print(powerTable(totals));
    return againstIt(totals);
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main();
