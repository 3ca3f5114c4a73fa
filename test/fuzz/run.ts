// npm run test:fuzz -- --seed S --runs N [--only SUBJECT …] [--keep]: exit status 1 when something was found. See README.md.
import { Command, InvalidArgumentError } from "commander";
import { corpusOf, keep } from "./corpus.ts";
import { type Failure, fuzz, replay } from "./fuzz.ts";
import type { Subject } from "./subject.ts";
import { SUBJECTS } from "./subjects/all.ts";
import { openSocketSubjects } from "./subjects/sockets.ts";

const program = new Command("test:fuzz")
  .description("Damaged and made-up inputs for every decoder, and for a broker behind a socket.")
  .option("--seed <number>", "repeats a run", whole)
  .option("--runs <count>", "inputs per subject; costly subjects get fewer", whole, 20_000)
  .option("--only <subjects...>", "some subjects", [])
  .option("--keep", "put what was found into the corpus", false)
  .parse();
const options = program.opts<{ seed?: number; runs: number; only: string[]; keep: boolean }>();
const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);

console.log(`seed ${seed}`);
const sockets = await openSocketSubjects();
const failures: Failure[] = [];
for (const subject of [...SUBJECTS, ...sockets.subjects]) {
  if (options.only.length === 0 || options.only.includes(subject.name)) await look(subject);
}
await sockets.close();
console.log(failures.length === 0 ? "nothing found" : `${failures.length} found`);
process.exit(failures.length === 0 ? 0 : 1);

async function look(subject: Subject): Promise<void> {
  const corpus = corpusOf(subject.name);
  const sinceMs = performance.now();
  const found = await replay(subject, corpus);
  const failure = await fuzz(subject, seed, options.runs);
  if (failure !== undefined) found.push(failure);
  const seconds = ((performance.now() - sinceMs) / 1000).toFixed(1);
  console.log(
    `${subject.name}: ${corpus.length} of the corpus, ${seconds} s, ${found.length} found`,
  );
  for (const item of found) {
    console.log(`  ${item.message}\n  input ${item.input.toString("base64")}`);
    if (options.keep) console.log(`  kept in ${keep(item)}`);
  }
  failures.push(...found);
}

function whole(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("must be a whole number");
}
