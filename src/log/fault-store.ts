// Wraps any keyed store and makes it fail or dawdle on demand. Used by tests and the simulator.
import { type Clock, sleep } from "../base/clock.ts";
import { type KeyedStore, type KeyedWrite, StorageError } from "./ports.ts";

export interface StoreFault {
  readonly operation: "batch" | "get" | "range" | "removeRange";
  /** Operations of that kind that are let through first. Default 0. */
  readonly after?: number;
  /** How many operations are hit. Default 1; Infinity: until heal(). */
  readonly times?: number;
  readonly effect:
    | { readonly kind: "fail"; readonly as: "io" | "full" | "corrupt" }
    | { readonly kind: "slow"; readonly ms: number; readonly clock: Clock };
}

interface FaultState {
  readonly fault: StoreFault;
  letThrough: number;
  hits: number;
}

export class FaultStore implements KeyedStore {
  readonly #inner: KeyedStore;
  #faults: FaultState[] = [];
  /** Slow batches must not overtake each other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(inner: KeyedStore) {
    this.#inner = inner;
  }

  /** Returns how often the fault has hit so far. */
  inject(fault: StoreFault): () => number {
    const state: FaultState = { fault, letThrough: fault.after ?? 0, hits: 0 };
    this.#faults.push(state);
    return () => state.hits;
  }

  /** Lifts all faults. */
  heal(): void {
    this.#faults = [];
  }

  batch(writes: readonly KeyedWrite[], options: { readonly sync: boolean }): Promise<void> {
    return this.#enqueue(async () => {
      await this.#meet("batch");
      await this.#inner.batch(writes, options);
    });
  }

  async get(key: string): Promise<Buffer | undefined> {
    await this.#meet("get");
    return this.#inner.get(key);
  }

  range(prefix: string): AsyncIterable<readonly [string, Buffer]> {
    const met = this.#meet("range");
    // A rejection is seen by the first step of the iteration; until then it must not count as unhandled.
    met.catch(() => undefined);
    return after(met, this.#inner.range(prefix));
  }

  removeRange(prefix: string): Promise<void> {
    return this.#enqueue(async () => {
      await this.#meet("removeRange");
      await this.#inner.removeRange(prefix);
    });
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#inner.close();
  }

  async #meet(operation: StoreFault["operation"]): Promise<void> {
    for (const state of this.#faults) {
      const { fault } = state;
      if (fault.operation !== operation || state.hits >= (fault.times ?? 1)) continue;
      if (state.letThrough > 0) {
        state.letThrough -= 1;
        continue;
      }
      state.hits += 1;
      const { effect } = fault;
      if (effect.kind === "fail") {
        throw new StorageError(effect.as, "fault-store", "injected failure");
      }
      await sleep(effect.clock, effect.ms);
      return;
    }
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const run = this.#queue.then(work);
    this.#queue = run.catch(() => undefined);
    return run;
  }
}

async function* after<T>(ready: Promise<void>, values: AsyncIterable<T>): AsyncGenerator<T> {
  await ready;
  yield* values;
}
