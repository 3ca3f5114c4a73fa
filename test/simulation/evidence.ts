// npm run evidence [-- --src HASH|present] [FILES]: adds up the shards in docs/evidence/simulation (or those given), and
// refuses to mix shards of different sources. Exits 1 when it refuses, or when the evidence is against the source.
import { join } from "node:path";
import { chosenShards } from "../support/shard-files.ts";
import { EVERYTHING_SEEDS_MIN, emptinessOf } from "./emptiness.ts";
import { conflictIn, readShards, type Shard, sumUp } from "./shard.ts";
import { tableOf } from "./totals.ts";
import { treeHash } from "./tree-hash.ts";

const ROOT = join(import.meta.dirname, "../..");
const DIRECTORY = "docs/evidence/simulation";

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
  return show(shards, present);
}

function show(shards: readonly Shard[], present: string): number {
  const totals = sumUp(shards);
  const src = shards[0]?.src ?? "";
  const isRepeatable = shards.every((shard) => shard.isRepeatable);
  const simulators = new Set(shards.map(({ simulation }) => simulation.slice(0, 12)));
  const versions = new Set(shards.map(({ node }) => node ?? "not told"));
  print(
    tableOf(totals, [
      ["shards", String(shards.length)],
      ["first seed of each shard repeats itself", isRepeatable ? "yes" : "NO"],
      ["source", `${src} (${src === present ? "the present one" : "not the present one"})`],
      ["versions of the simulator", [...simulators].join(", ")],
      ["versions of Node.js", [...versions].join(", ")],
    ]),
  );
  const isMuch = totals.seeds >= EVERYTHING_SEEDS_MIN;
  const lacks = isMuch ? emptinessOf(totals) : [];
  for (const lack of lacks) print(`the sum proves too little: ${lack}`);
  return totals.failed.length === 0 && lacks.length === 0 && isRepeatable ? 0 : 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main();
