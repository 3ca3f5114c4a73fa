// Group commit across all groups of a node (raft.md §1.6). One round is in flight; it syncs everything that was dirty
// when it began, a few files at a time, and each target learns of its own sync at once, not when the slowest is done.
// Whatever arrives meanwhile is the next round, so rounds grow by themselves when the disk is slow; nothing lingers.
// Targets whose group does not wait for the disk are lazy: they join within LAZY_FLUSH_MS or LAZY_FLUSH_BYTES.
import type { Cancel, Clock } from "../base/clock.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";

/** Something that can be made durable. Reports its own completion before the promise resolves. */
export interface FlushTarget {
  flush(): Promise<void>;
}

/** An unflushed acknowledgement is on disk this much later at most. Part of the promise of flush=async. */
export const LAZY_FLUSH_MS = 100;
/** Or as soon as one log has this much unflushed. */
export const LAZY_FLUSH_BYTES: number = 256 * 1024;
/** Syncs in flight at once; each holds one thread of libuv's pool. */
const CONCURRENCY_MAX = 8;

interface Lazy {
  bytes: number;
  readonly dueMs: number;
}

export class FlushScheduler {
  readonly #clock: Clock;
  readonly #metrics: ReplicaMetrics;
  readonly #onError: (error: unknown) => void;
  readonly #urgent = new Set<FlushTarget>();
  readonly #lazy = new Map<FlushTarget, Lazy>();
  #isRoundInFlight = false;
  #isStopped = false;
  #timer: Cancel | undefined;

  /** @param onError a sync failed; called once, the scheduler does nothing afterwards (an fsync is never retried) */
  constructor(clock: Clock, metrics: ReplicaMetrics, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#metrics = metrics;
    this.#onError = onError;
  }

  /** Joins the next round; start() begins it. */
  markUrgent(target: FlushTarget): void {
    this.#lazy.delete(target);
    this.#urgent.add(target);
  }

  /** Joins a round within the lazy limits. */
  markLazy(target: FlushTarget, bytes: number): void {
    if (this.#urgent.has(target)) return;
    let lazy = this.#lazy.get(target);
    if (lazy === undefined) {
      lazy = { bytes: 0, dueMs: this.#clock.monotonicMs() + LAZY_FLUSH_MS };
      this.#lazy.set(target, lazy);
      this.#armTimer(LAZY_FLUSH_MS);
    }
    lazy.bytes += bytes;
    if (lazy.bytes >= LAZY_FLUSH_BYTES) this.markUrgent(target);
  }

  /** Begins a round unless one is in flight or nothing is urgent. Called at the end of each turn. */
  start(): void {
    if (this.#isStopped || this.#isRoundInFlight || this.#urgent.size === 0) return;
    const targets = [...this.#urgent];
    this.#urgent.clear();
    this.#isRoundInFlight = true;
    this.#metrics.count("flush_rounds");
    this.#metrics.observe("flush_round_groups", targets.length);
    this.#round(targets).then(
      () => {
        this.#isRoundInFlight = false;
        this.start();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  forget(target: FlushTarget): void {
    this.#urgent.delete(target);
    this.#lazy.delete(target);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.();
    this.#urgent.clear();
    this.#lazy.clear();
  }

  async #round(targets: readonly FlushTarget[]): Promise<void> {
    const [first] = targets;
    if (targets.length === 1 && first !== undefined) return first.flush();
    const queue = targets[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const target of queue) {
        if (this.#isStopped) return;
        await target.flush();
      }
    };
    const workers = Math.min(CONCURRENCY_MAX, targets.length);
    await Promise.all(Array.from({ length: workers }, worker));
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    this.stop();
    this.#onError(error);
  }

  #armTimer(delayMs: number): void {
    if (this.#timer !== undefined || this.#isStopped) return;
    this.#timer = this.#clock.schedule(delayMs, () => {
      this.#timer = undefined;
      this.#promoteDue();
      this.start();
    });
  }

  /** Insertion order is order of age: the first that is not due ends the walk. */
  #promoteDue(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [target, lazy] of [...this.#lazy]) {
      if (lazy.dueMs > nowMs) {
        this.#armTimer(lazy.dueMs - nowMs);
        return;
      }
      this.markUrgent(target);
    }
  }
}
