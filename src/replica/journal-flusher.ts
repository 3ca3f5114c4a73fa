// The node's hard-state journal as one flush target: terms and votes of all groups that changed while a sync was running
// share the next one. Callbacks run when the record saved before the request is on disk.
import type { Clock } from "../base/clock.ts";
import type { HardStateJournal, HardStateRecord } from "../log/ports.ts";
import type { FlushScheduler, FlushTarget } from "./flush-scheduler.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";

interface Waiting {
  readonly onDurable: () => void;
  readonly onFailed: (error: Error) => void;
}

export class JournalFlusher implements FlushTarget {
  readonly #journal: HardStateJournal;
  readonly #scheduler: FlushScheduler;
  readonly #clock: Clock;
  readonly #metrics: ReplicaMetrics;
  #waiting: Waiting[] = [];
  /** Something was saved that nobody waits for. */
  #isDirty = false;
  /** No sync follows any more, and why. */
  #failure: Error | undefined;

  constructor(
    journal: HardStateJournal,
    scheduler: FlushScheduler,
    clock: Clock,
    metrics: ReplicaMetrics,
  ) {
    this.#journal = journal;
    this.#scheduler = scheduler;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** Saves and asks for a sync; the round begins with the turn's end or the scheduler's next start(). */
  save(
    record: HardStateRecord,
    onDurable: () => void,
    onFailed: Waiting["onFailed"] = () => undefined,
  ): void {
    if (this.#failure !== undefined) {
      onFailed(this.#failure);
      return;
    }
    this.#journal.save(record);
    this.#waiting.push({ onDurable, onFailed });
    this.#scheduler.markUrgent(this);
  }

  /** Saves what is merely good to know; on disk within the scheduler's lazy limit. */
  saveLazily(record: HardStateRecord): void {
    this.#journal.save(record);
    this.#isDirty = true;
    this.#scheduler.markLazy(this, 0);
  }

  /** Saves and resolves when the record is on disk; rejects when the node's storage failed, or has ended. */
  saveDurably(record: HardStateRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.save(record, resolve, reject);
      this.#scheduler.start();
    });
  }

  /** The node failed or ended: nobody may take what was saved for durable any more. What is saved later is refused. */
  fail(error: Error): void {
    this.#failure ??= error;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { onFailed } of waiting) onFailed(error);
  }

  async flush(): Promise<void> {
    const due = this.#waiting;
    this.#waiting = [];
    if (due.length === 0 && !this.#isDirty) return;
    this.#isDirty = false;
    const startedMs = this.#clock.monotonicMs();
    try {
      await this.#journal.sync();
    } catch (error) {
      this.#waiting.unshift(...due);
      // Whoever is told of this failure would do the same, unless the node ended before.
      if (this.#failure !== undefined) this.fail(this.#failure);
      throw error;
    }
    this.#metrics.observe("journal_flush_ms", this.#clock.monotonicMs() - startedMs);
    for (const { onDurable } of due) onDurable();
  }
}
