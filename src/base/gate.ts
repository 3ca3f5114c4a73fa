import { type Deferred, deferred } from "./deferred.ts";

/** Counts work in flight, so that close() can wait for it and refuse what comes later. */
export class Gate {
  #inFlight = 0;
  #closed = false;
  #drained: Deferred<void> | undefined;

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Enters if open; every `true` must be paired with one leave(). */
  tryEnter(): boolean {
    if (this.#closed) return false;
    this.#inFlight += 1;
    return true;
  }

  leave(): void {
    this.#inFlight -= 1;
    if (this.#closed && this.#inFlight === 0) this.#drained?.resolve();
  }

  /** Refuses newcomers; resolves when all that entered have left. Idempotent. */
  close(): Promise<void> {
    this.#closed = true;
    this.#drained ??= deferred<void>();
    if (this.#inFlight === 0) this.#drained.resolve();
    return this.#drained.promise;
  }
}
