// The command line of run.ts.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { CONTROLS } from "./catalogue.ts";
import type { Control } from "./control.ts";

export interface ControlOptions {
  readonly controls: readonly Control[];
  /** 1 to this one, ascending, are tried. */
  readonly seeds: number;
  /** Processes at a time. */
  readonly jobs: number;
  readonly list: boolean;
  readonly json: boolean;
  /** The report goes to docs/evidence. */
  readonly save: boolean;
}

/** As many as scripts/test runs of the simulator. */
const SEEDS = 300;
/** Caught by the first seeds, by very different checks. */
const SMOKE = ["ack-before-flush", "high-watermark-early"];
const SMOKE_SEEDS = 3;

/** @throws Error for what makes no sense */
export function readOptions(args: readonly string[]): ControlOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      seeds: { type: "string" },
      jobs: { type: "string" },
      smoke: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      save: { type: "boolean", default: false },
    },
  });
  const { json, list, only, save, smoke } = values;
  if (save && (smoke || only !== undefined)) throw new Error("--save is for a run of all controls");
  const names = smoke ? SMOKE : only?.split(",").map((name) => name.trim());
  return {
    controls: names === undefined ? CONTROLS : names.map(controlOf),
    seeds: wholeNumber("seeds", values.seeds, smoke ? SMOKE_SEEDS : SEEDS),
    jobs: wholeNumber("jobs", values.jobs, Math.min(2, availableParallelism())),
    list,
    json,
    save,
  };
}

function controlOf(name: string): Control {
  const control = CONTROLS.find((candidate) => candidate.name === name);
  if (control !== undefined) return control;
  throw new Error(`no control is named ${name}; --list shows those that are`);
}

function wholeNumber(name: string, text: string | undefined, fallback: number): number {
  const number = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new Error(`--${name} must be a whole number from 1 on`);
}
