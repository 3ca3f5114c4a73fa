// A process that simulates seeds on one compiled tree, one after the other, with a limit on the time that a seed takes: a
// broken build may never end. Used by hunt.ts; what runs in it is the simulator's own worker.
import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Job, JobAnswer } from "../simulation/jobs.ts";
import type { SimulationResult } from "../simulation/simulate.ts";

const EXEC_ARGV = ["--max-semi-space-size=64"];

/** A run that gave no result says why. */
export type SeedOutcome = { readonly result: SimulationResult } | { readonly failure: string };

export class SeedProcess {
  readonly #script: string;
  readonly #temporary: string;
  readonly #limitMs: number;
  #child: ChildProcess | undefined;
  #jobs = 0;

  /** @param tree a directory that Builds made */
  constructor(tree: string, limitMs: number) {
    this.#script = join(tree, "test/simulation/worker.js");
    // Histories of violations go there, and with the tree.
    this.#temporary = join(tree, "tmp");
    this.#limitMs = limitMs;
    mkdirSync(this.#temporary, { recursive: true });
  }

  run(seed: number): Promise<SeedOutcome> {
    const child = this.#started();
    const job: Job = { number: this.#jobs++, options: { seed }, isStory: false };
    return new Promise((resolve) => {
      const finish = (outcome: SeedOutcome): void => {
        clearTimeout(timer);
        child.off("message", onMessage);
        child.off("exit", onExit);
        resolve(outcome);
      };
      const onMessage = (message: unknown): void => {
        const answer = message as JobAnswer;
        if (answer.number !== job.number || "line" in answer) return;
        finish(answer);
      };
      const onExit = (code: number | null, signal: string | null): void => {
        this.#child = undefined;
        finish({ failure: `the process ended: ${signal ?? String(code)}` });
      };
      const timer = setTimeout(() => {
        this.close();
        finish({ failure: `no result after ${this.#limitMs / 1000} s` });
      }, this.#limitMs);
      child.on("message", onMessage);
      child.on("exit", onExit);
      child.send(job);
    });
  }

  close(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  #started(): ChildProcess {
    this.#child ??= fork(this.#script, [], {
      execArgv: EXEC_ARGV,
      serialization: "advanced",
      env: { ...process.env, TMPDIR: this.#temporary },
    });
    return this.#child;
  }
}
