// Runs a subject: first the corpus, then inputs from a seed. A failure is an error of another kind than the decoder's own, an
// input that was written to, a decoder that takes too long, or one that takes memory out of proportion.
import * as fc from "fast-check";
import { inputsOf } from "./inputs.ts";
import type { Subject } from "./subject.ts";

export interface Failure {
  readonly subject: string;
  readonly seed: number;
  readonly input: Buffer;
  readonly message: string;
}

/** A loaded machine must not fail a run: a hang lasts for ever, anything quadratic for minutes. */
const RUN_MS_MAX = 5000;
/** Memory that an input of 64 KiB may take: a hundred bytes for each of its bytes, and room for a first use. */
const RUN_BYTES_MAX = 64 * 1024 * 1024;

export async function replay(
  subject: Subject,
  corpus: readonly { readonly name: string; readonly bytes: Buffer }[],
): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (const { bytes, name } of corpus) {
    const message = await problemOf(subject, bytes);
    if (message === undefined) continue;
    failures.push({ subject: subject.name, seed: 0, input: bytes, message: `${name}: ${message}` });
  }
  return failures;
}

/** @param runs inputs; a subject that costs more gets fewer */
export async function fuzz(
  subject: Subject,
  seed: number,
  runs: number,
): Promise<Failure | undefined> {
  const { shapes } = subject;
  const inputs = shapes === undefined ? inputsOf(subject) : fc.oneof(inputsOf(subject), shapes);
  const property = fc.asyncProperty(inputs, async (input) => {
    const message = await problemOf(subject, input);
    if (message !== undefined) throw new Error(message);
  });
  const numRuns = Math.max(1, Math.ceil(runs / (subject.cost ?? 1)));
  const result = await fc.check(property, { seed, numRuns });
  if (!result.failed) return undefined;
  const [input] = result.counterexample ?? [Buffer.alloc(0)];
  const cause: unknown = result.errorInstance;
  const message = cause instanceof Error ? cause.message : String(cause);
  return { subject: subject.name, seed, input, message };
}

async function problemOf(subject: Subject, input: Buffer): Promise<string | undefined> {
  const given = Buffer.from(input);
  const heldBefore = heldBytes();
  const sinceMs = performance.now();
  try {
    await subject.run(given);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const tookMs = performance.now() - sinceMs;
  if (tookMs > RUN_MS_MAX) return `took ${tookMs.toFixed(0)} ms for ${input.length} bytes`;
  const held = heldBytes() - heldBefore;
  if (held > RUN_BYTES_MAX) return `took ${held} bytes of memory for ${input.length} bytes`;
  if (!given.equals(input)) return "the decoder wrote to its input";
  return undefined;
}

function heldBytes(): number {
  const { external, heapUsed } = process.memoryUsage();
  return external + heapUsed;
}
