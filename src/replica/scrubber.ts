// Walks over all segments of a node, the newest ones too, slowly, again and again, and verifies their checksums, so that
// damage is found and repaired while the other replicas are whole, not when somebody reads there. Started by the replica set.
import { type Clock, sleep } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { TaskGroup } from "../base/task-group.ts";
import type { LogIndex } from "../model/positions.ts";
import type { Replica } from "./replica.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";

/** Nodes that start together do not scrub together. */
const START_MS_MAX = 10 * 60_000;

export interface ScrubOptions {
  /** 0: no scrubbing. */
  readonly bytesPerSecond: number;
  /** From the begin of one walk to that of the next, unless it takes longer. */
  readonly intervalMs: number;
}

export interface ScrubDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: ReplicaMetrics;
  readonly replicas: () => readonly Replica[];
  readonly onFailure: (error: unknown) => void;
}

export class Scrubber {
  readonly #deps: ScrubDeps;
  readonly #options: ScrubOptions;
  readonly #tasks: TaskGroup;
  /** When what was read so far is paid for. */
  #paidMs = 0;

  constructor(deps: ScrubDeps, options: ScrubOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#tasks = new TaskGroup((_, error) => deps.onFailure(error));
  }

  start(): void {
    if (this.#options.bytesPerSecond === 0) return;
    this.#tasks.spawn("scrub", (signal) => this.#run(signal));
  }

  /** Ends within one piece. Idempotent. */
  close(): Promise<void> {
    return this.#tasks.close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, metrics, random } = this.#deps;
    const { intervalMs } = this.#options;
    await sleep(clock, random.next() * Math.min(intervalMs, START_MS_MAX), signal);
    for (;;) {
      const startedMs = clock.monotonicMs();
      for (const replica of this.#inTurn()) await this.#walk(replica, signal);
      metrics.count("scrub_rounds");
      const restMs = startedMs + intervalMs - clock.monotonicMs();
      await sleep(clock, Math.max(restMs, 1), signal);
    }
  }

  /** From a random one on: where nodes restart more often than a walk lasts, the last ones have their turn, too. */
  #inTurn(): readonly Replica[] {
    const replicas = this.#deps.replicas();
    const start = replicas.length === 0 ? 0 : this.#deps.random.integer(0, replicas.length);
    return [...replicas.slice(start), ...replicas.slice(0, start)];
  }

  async #walk(replica: Replica, signal: AbortSignal): Promise<void> {
    for (const { firstIndex } of replica.segments()) {
      await this.#examine(replica, firstIndex, signal);
    }
  }

  async #examine(replica: Replica, firstIndex: LogIndex, signal: AbortSignal): Promise<void> {
    const { metrics } = this.#deps;
    await replica.scrub(firstIndex, async (bytes) => {
      await this.#pay(bytes, signal);
      metrics.count("scrub_bytes", bytes);
    });
  }

  /** Waits until so many bytes may be read. */
  async #pay(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    this.#paidMs = Math.max(this.#paidMs, nowMs) + (bytes / this.#options.bytesPerSecond) * 1000;
    if (this.#paidMs > nowMs) await sleep(clock, this.#paidMs - nowMs, signal);
  }
}
