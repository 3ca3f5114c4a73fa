// The command line of run.ts.
import { parseArgs } from "node:util";
import { FAULT_KINDS, type FaultKind, isFaultKind } from "./faults/kinds.ts";

export interface RunOptions {
  readonly seeds: number;
  readonly from: number;
  /** Worker processes. */
  readonly jobs: number;
  /** Seeds may draw subscriptions and consumers; not with --plain. */
  readonly consumers: boolean;
  /** Instead of what each seed draws. */
  readonly kinds: readonly FaultKind[] | undefined;
  /** File that gets a line of evidence. */
  readonly shard: string | undefined;
  readonly shrink: number | undefined;
  /** Name of the scenario that a shrunk seed becomes. */
  readonly save: string | undefined;
  readonly scenario: string | undefined;
  readonly verbose: boolean;
  readonly json: boolean;
}

/** @throws Error for what makes no sense */
export function readOptions(): RunOptions {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "50" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: "2" },
      faults: { type: "string" },
      plain: { type: "boolean", default: false },
      shard: { type: "string" },
      shrink: { type: "string" },
      save: { type: "string" },
      scenario: { type: "string" },
      verbose: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const { json, plain, save, scenario, shard, verbose } = values;
  const shrink = values.shrink === undefined ? undefined : wholeNumber("shrink", values.shrink, 0);
  return {
    seeds: wholeNumber("seeds", values.seeds, 1),
    from: wholeNumber("from", values.from, 0),
    jobs: wholeNumber("jobs", values.jobs, 1),
    consumers: !plain,
    kinds: kindsOf(values.faults),
    shard,
    shrink,
    save,
    scenario,
    verbose,
    json,
  };
}

function wholeNumber(name: string, text: string, least: number): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new Error(`--${name} must be a whole number from ${least} on`);
}

function kindsOf(text: string | undefined): readonly FaultKind[] | undefined {
  const kinds = text?.split(",").map((kind) => kind.trim());
  if (kinds === undefined || kinds.every(isFaultKind)) return kinds;
  throw new Error(`--faults must be some of: ${FAULT_KINDS.join(", ")}`);
}
