// Runs the simulator's seeds in ascending order on a patched tree until one of them violates something; and the same seeds
// on its unpatched twin, which must violate nothing. Used by run.ts.
import type { Control } from "./control.ts";
import type { SeedOutcome } from "./seed-process.ts";
import { checkOf, shorten } from "./violations.ts";

/** What runs a seed; a SeedProcess outside the tests. */
export interface SeedRunner {
  run(seed: number): Promise<SeedOutcome>;
}

export interface Caught {
  readonly seed: number;
  /** Number of the check, see violations.ts. */
  readonly check: string;
  readonly title: string;
  readonly violation: string;
  /** One of the checks that ought to see it. */
  readonly isExpected: boolean;
}

export interface Hunted {
  readonly control: Control;
  readonly caught: Caught | undefined;
  readonly seedsRun: number;
  readonly seconds: number;
  /** Seeds that gave no result, and why. */
  readonly failures: readonly string[];
}

export interface HuntOptions {
  readonly seeds: readonly number[];
  readonly nowMs: () => number;
  readonly onSeed: (seed: number) => void;
}

/** A seed that crashes or hangs the simulator itself catches nothing; more than a few of them end the hunt. */
const FAILURES_MAX = 3;

export async function hunt(
  control: Control,
  runner: SeedRunner,
  { nowMs, onSeed, seeds }: HuntOptions,
): Promise<Hunted> {
  const startMs = nowMs();
  const failures: string[] = [];
  let caught: Caught | undefined;
  let seedsRun = 0;
  for (const seed of seeds) {
    onSeed(seed);
    const outcome = await runner.run(seed);
    seedsRun += 1;
    if ("failure" in outcome) failures.push(`seed ${seed}: ${shorten(outcome.failure)}`);
    else caught = caughtBy(control, seed, outcome.result.violations);
    if (caught !== undefined || failures.length > FAILURES_MAX) break;
  }
  return { control, caught, seedsRun, seconds: (nowMs() - startMs) / 1000, failures };
}

/** The violations of one event may be several: one that was expected goes before the others. */
function caughtBy(
  { expects }: Control,
  seed: number,
  violations: readonly string[],
): Caught | undefined {
  const found = violations.map((violation) => ({ violation, check: checkOf(violation) }));
  const expected = found.find(({ check }) => expects.includes(check.id));
  const first = expected ?? found[0];
  if (first === undefined) return undefined;
  const { check, violation } = first;
  const shown = { violation: shorten(violation), isExpected: expected !== undefined };
  return { seed, check: check.id, title: check.title, ...shown };
}

/** @returns what the twin violates, by seed; a seed without a result counts as one that fails */
export async function runTwin(
  seeds: readonly number[],
  runners: readonly SeedRunner[],
  onSeed: (seed: number) => void,
): Promise<Map<number, string>> {
  const failed = new Map<number, string>();
  const queue = seeds[Symbol.iterator]();
  const work = async (runner: SeedRunner): Promise<void> => {
    for (const seed of queue) {
      onSeed(seed);
      const outcome = await runner.run(seed);
      const problem = "failure" in outcome ? outcome.failure : outcome.result.violations[0];
      if (problem !== undefined) failed.set(seed, shorten(problem));
    }
  };
  await Promise.all(runners.map(work));
  return failed;
}
