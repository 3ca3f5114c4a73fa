// Worker processes that simulate: each takes the next run when it is free. Used by run.ts and the shrinker.
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { compile } from "./compile.ts";
import type { Job, JobAnswer } from "./jobs.ts";
import type { SimulationOptions, SimulationResult } from "./simulate.ts";

interface Waiting {
  readonly job: Job;
  readonly onLine: ((line: string) => void) | undefined;
  readonly resolve: (result: SimulationResult) => void;
  readonly reject: (error: Error) => void;
}

/** Room for the young: nearly everything that a run makes is garbage soon. */
const NODE_OPTIONS = ["--max-semi-space-size=64", "--single-threaded-gc"];

export class Pool {
  readonly #script: string;
  readonly #idle: ChildProcess[] = [];
  readonly #all = new Set<ChildProcess>();
  readonly #queue: Waiting[] = [];
  readonly #busy = new Map<ChildProcess, Waiting>();
  #jobs = 0;

  constructor(root: string, size: number) {
    this.#script = join(compile(root), "test/simulation/worker.js");
    for (let number = 0; number < size; number += 1) this.#start();
  }

  get size(): number {
    return this.#all.size;
  }

  /** @throws Error when the harness itself failed */
  run({ onLine, onHistory: _, ...options }: SimulationOptions): Promise<SimulationResult> {
    return new Promise((resolve, reject) => {
      const job = { number: this.#jobs++, options, isStory: onLine !== undefined };
      this.#queue.push({ job, onLine, resolve, reject });
      this.#next();
    });
  }

  close(): void {
    for (const child of this.#all) child.disconnect();
    this.#all.clear();
  }

  #start(): void {
    const child = fork(this.#script, [], { execArgv: NODE_OPTIONS, serialization: "advanced" });
    this.#all.add(child);
    this.#idle.push(child);
    child.on("message", (message) => this.#answered(child, message as JobAnswer));
    child.on("exit", (code, signal) => this.#died(child, signal ?? String(code)));
  }

  #next(): void {
    while (this.#idle.length > 0) {
      const waiting = this.#queue.shift();
      if (waiting === undefined) return;
      const child = this.#idle.pop();
      if (child === undefined) return;
      this.#busy.set(child, waiting);
      child.send(waiting.job);
    }
  }

  #answered(child: ChildProcess, answer: JobAnswer): void {
    const waiting = this.#busy.get(child);
    if (waiting === undefined || waiting.job.number !== answer.number) return;
    if ("line" in answer) {
      waiting.onLine?.(answer.line);
      return;
    }
    this.#busy.delete(child);
    this.#idle.push(child);
    if ("result" in answer) waiting.resolve(answer.result);
    else waiting.reject(new Error(answer.failure));
    this.#next();
  }

  /** What it was about to do counts as failed; another worker takes its place. */
  #died(child: ChildProcess, how: string): void {
    if (!this.#all.delete(child)) return;
    const waiting = this.#busy.get(child);
    this.#busy.delete(child);
    const at = this.#idle.indexOf(child);
    if (at >= 0) this.#idle.splice(at, 1);
    waiting?.reject(new Error(`a worker ended: ${how}`));
    this.#start();
    this.#next();
  }
}
