// npm run evidence [-- --src HASH|present] [FILES]: adds up the shards in docs/evidence/simulation (or those given), and
// refuses to mix shards of different sources. Exits 1 when it refuses, or when the evidence is against the source.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { conflictIn, readShards, type Shard, sumUp } from "./shard.ts";
import { tableOf } from "./totals.ts";
import { treeHash } from "./tree-hash.ts";

const ROOT = join(import.meta.dirname, "../..");
const DIRECTORY = "docs/evidence/simulation";

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
  return show(shards, present);
}

function show(shards: readonly Shard[], present: string): number {
  const totals = sumUp(shards);
  const src = shards[0]?.src ?? "";
  const isRepeatable = shards.every((shard) => shard.isRepeatable);
  const simulators = new Set(shards.map(({ simulation }) => simulation.slice(0, 12)));
  print(
    tableOf(totals, [
      ["shards", String(shards.length)],
      ["first seed of each shard repeats itself", isRepeatable ? "yes" : "NO"],
      ["source", `${src} (${src === present ? "the present one" : "not the present one"})`],
      ["versions of the simulator", [...simulators].join(", ")],
    ]),
  );
  return totals.failed.length === 0 && isRepeatable ? 0 : 1;
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
