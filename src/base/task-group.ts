/**
 * Owner of background tasks: the only sanctioned fire-and-forget. A task that fails is reported to `onFailure`
 * (a lifecycle that ended is told through the task's own AbortSignal, not by failing it).
 */
export class TaskGroup {
  readonly #running = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  readonly #onFailure: (name: string, error: unknown) => void;

  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Aborted by close(); long waits inside tasks must observe it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  spawn(name: string, run: (signal: AbortSignal) => Promise<void>): void {
    if (this.#abort.signal.aborted) return;
    const task = run(this.#abort.signal).catch((error: unknown) => {
      if (!this.#abort.signal.aborted) this.#onFailure(name, error);
    });
    this.#running.add(task);
    void task.then(() => this.#running.delete(task));
  }

  /** Aborts all tasks and waits until each has ended. Idempotent. */
  async close(): Promise<void> {
    this.#abort.abort(new Error("closed"));
    await Promise.all(this.#running);
  }
}
