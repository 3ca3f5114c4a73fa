// npm run test:simulation -- --seeds N [--from SEED] [--faults "kill,pause"] [--verbose] [--json]: runs whole clusters on
// virtual time, a seed each, the first one twice. Exits 1 when a seed violates a promise, proves too little, or does not
// repeat itself.
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { saveHistory } from "../support/save-history.ts";
import { FAULT_KINDS, type FaultKind, isFaultKind } from "./faults.ts";
import { type SimulationResult, simulate } from "./simulate.ts";

interface Options {
  readonly seeds: number;
  readonly from: number;
  /** Instead of what each seed draws. */
  readonly kinds: readonly FaultKind[] | undefined;
  readonly verbose: boolean;
  readonly json: boolean;
}

interface Totals {
  seeds: number;
  failed: number[];
  uncounted: number[];
  virtualMs: number;
  elections: number;
  operations: number;
  acks: number;
  reads: number;
  images: number;
  rebuilds: number;
  readonly begun: Map<FaultKind, number>;
  readonly bitten: Map<FaultKind, number>;
}

const MS_PER_HOUR = 3_600_000;

async function main(): Promise<void> {
  const options = readOptions();
  const startMs = performance.now();
  const totals = newTotals();
  let isRepeatable = true;
  for (let seed = options.from; seed < options.from + options.seeds; seed += 1) {
    const result = await runSeed(seed, options);
    if (seed === options.from) isRepeatable = await repeats(result, options);
    add(totals, result);
  }
  const seconds = (performance.now() - startMs) / 1000;
  report(totals, options, seconds, isRepeatable);
  if (totals.failed.length > 0 || totals.uncounted.length > 0 || !isRepeatable) {
    process.exitCode = 1;
  }
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "50" },
      from: { type: "string", default: "1" },
      faults: { type: "string" },
      verbose: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const seeds = Number(values.seeds);
  const from = Number(values.from);
  if (!Number.isSafeInteger(seeds) || seeds < 1 || !Number.isSafeInteger(from) || from < 0) {
    throw new Error("--seeds must be a number from 1 on, --from a number from 0 on");
  }
  const kinds = values.faults?.split(",").map((kind) => kind.trim());
  if (kinds?.every(isFaultKind) === false) {
    throw new Error(`--faults must be some of: ${FAULT_KINDS.join(", ")}`);
  }
  return { seeds, from, kinds, verbose: values.verbose, json: values.json };
}

/** Shows each seed's story with --verbose and a single seed. */
async function runSeed(seed: number, options: Options): Promise<SimulationResult> {
  const { json, kinds, seeds, verbose } = options;
  const isStory = verbose && seeds === 1 && !json;
  const startMs = performance.now();
  const result = await simulate({ seed, kinds, onLine: isStory ? print : undefined });
  if (!json) {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    if (verbose) {
      const { acks, elections, events, operations, traceHash } = result;
      const counts = `${operations} sends, ${acks} acks, ${elections} elections, ${events} events`;
      print(`seed ${seed}: trace ${traceHash}, ${counts}, faults ${faults(result)}, ${seconds} s`);
    }
    showProblems(result, options);
  }
  return result;
}

function showProblems(result: SimulationResult, { kinds }: Options): void {
  const { seed, shortcomings, violations } = result;
  if (violations.length === 0 && shortcomings.length === 0) return;
  for (const violation of violations) print(`seed ${seed} VIOLATION ${violation}`);
  for (const shortcoming of shortcomings) print(`seed ${seed} does not count: ${shortcoming}`);
  if (violations.length > 0) {
    const file = join(tmpdir(), `flotilla-simulation-${seed}.jsonl`);
    saveHistory(file, result.history.lines());
    print(`judge it again: npm run check-history -- ${file}`);
  }
  const faults = kinds === undefined ? "" : ` --faults "${kinds.join(",")}"`;
  print(`replay: npm run test:simulation -- --seeds 1 --from ${seed}${faults} --verbose`);
}

async function repeats(first: SimulationResult, { json, kinds }: Options): Promise<boolean> {
  const again = await simulate({ seed: first.seed, kinds });
  if (again.traceHash === first.traceHash) return true;
  if (!json) {
    const hashes = `${first.traceHash} and ${again.traceHash}`;
    print(`seed ${first.seed} is not deterministic: trace hashes ${hashes}`);
  }
  return false;
}

function newTotals(): Totals {
  return {
    seeds: 0,
    failed: [],
    uncounted: [],
    virtualMs: 0,
    elections: 0,
    operations: 0,
    acks: 0,
    reads: 0,
    images: 0,
    rebuilds: 0,
    begun: new Map(),
    bitten: new Map(),
  };
}

function add(totals: Totals, result: SimulationResult): void {
  totals.seeds += 1;
  if (result.violations.length > 0) totals.failed.push(result.seed);
  else if (result.shortcomings.length > 0) totals.uncounted.push(result.seed);
  for (const name of [
    "virtualMs",
    "elections",
    "operations",
    "acks",
    "reads",
    "images",
    "rebuilds",
  ] as const) {
    totals[name] += result[name];
  }
  for (const kind of FAULT_KINDS) {
    totals.begun.set(kind, (totals.begun.get(kind) ?? 0) + (result.begun.get(kind) ?? 0));
    totals.bitten.set(kind, (totals.bitten.get(kind) ?? 0) + (result.bitten.get(kind) ?? 0));
  }
}

function report(totals: Totals, { json }: Options, seconds: number, isRepeatable: boolean): void {
  const { acks, elections, failed, images, operations, reads, rebuilds, seeds, uncounted } = totals;
  const virtualHours = Number((totals.virtualMs / MS_PER_HOUR).toFixed(2));
  const counts = { seeds, virtualHours, operations, acks, reads, elections, images, rebuilds };
  if (json) {
    const begun = Object.fromEntries(totals.begun);
    const bitten = Object.fromEntries(totals.bitten);
    const verdict = { failed, uncounted, isRepeatable, seconds: Number(seconds.toFixed(1)) };
    print(JSON.stringify({ ...counts, begun, bitten, ...verdict }));
    return;
  }
  const table = new Table({
    head: ["what", "count"],
    style: { head: [], border: [], compact: true },
  });
  for (const [name, count] of Object.entries(counts)) table.push([LABELS[name] ?? name, count]);
  for (const kind of FAULT_KINDS) {
    const begun = totals.begun.get(kind) ?? 0;
    table.push([`fault: ${kind}`, `${totals.bitten.get(kind) ?? 0} bit of ${begun}`]);
  }
  table.push(["first seed repeats itself", isRepeatable ? "yes" : "NO"]);
  table.push(["seeds with violations", listOr0(failed)]);
  table.push(["seeds that do not count", listOr0(uncounted)]);
  table.push(["seconds", seconds.toFixed(1)]);
  print(table.toString());
}

const LABELS: Readonly<Record<string, string>> = {
  virtualHours: "virtual hours",
  operations: "sends",
  acks: "acknowledged",
  reads: "records read",
  images: "images installed",
  rebuilds: "states rebuilt",
};

function listOr0(seeds: readonly number[]): string {
  return seeds.length === 0 ? "0" : `${seeds.length}: ${seeds.join(", ")}`;
}

function faults({ bitten }: SimulationResult): string {
  return [...bitten].map(([kind, count]) => `${kind} ${count}`).join(", ");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
