// What the pool and its workers tell each other.
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SimulationOptions, SimulationResult } from "./simulate.ts";

export interface Job {
  readonly number: number;
  readonly options: Omit<SimulationOptions, "onLine" | "onHistory">;
  /** The lines of the story are wanted. */
  readonly isStory: boolean;
}

export type JobAnswer =
  | { readonly number: number; readonly line: string }
  | { readonly number: number; readonly result: SimulationResult }
  | { readonly number: number; readonly failure: string };

/** Where a worker leaves the history of a run that violated something. */
export function historyFileOf(seed: number): string {
  return join(tmpdir(), `flotilla-simulation-${seed}.jsonl`);
}
