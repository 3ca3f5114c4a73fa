// Time is a port. This is the only file of the product that touches Date, performance and timers;
// simulations inject a virtual clock with the same contract.

/** Cancels a scheduled call; harmless when it already ran. */
export type Cancel = () => void;

export interface Clock {
  /** Monotonic milliseconds (fractional), origin unspecified. For every duration, deadline and timeout. */
  monotonicMs(): number;
  /** Wall clock, milliseconds since 1970 (integer). For timestamps that people or retention see, never for leases. */
  wallMs(): number;
  /** Calls `run` once, not before `delayMs` (any number; Infinity: never) have passed. The timer keeps the process alive. */
  schedule(delayMs: number, run: () => void): Cancel;
  /**
   * Calls `run` once this turn's pending input was read. Used to batch work. What deferred calls defer themselves runs
   * after them in the same turn, as far as it is bounded; use schedule() to let the event loop turn in between.
   */
  defer(run: () => void): void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule,
  defer: deferred,
};

/** Node's timers reach no further: what is more would be one millisecond. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Node counts whole milliseconds, and is up to two of them early with a fraction: it is asked again then. */
function schedule(delayMs: number, run: () => void): Cancel {
  const dueMs = performance.now() + delayMs;
  const look = (): void => {
    const leftMs = dueMs - performance.now();
    if (leftMs > 0) timer = setTimeout(look, Math.min(Math.max(leftMs, 1), TIMER_MS_MAX));
    else run();
  };
  let timer = setTimeout(look, Math.min(delayMs, TIMER_MS_MAX));
  return () => clearTimeout(timer);
}

/**
 * Rounds of deferred calls per turn of the event loop. An acknowledgement takes two or three (commit, answer, send); each
 * turn that it does not wait for saves a poll of all sockets. The bound keeps work that begets work from starving I/O.
 */
const DEFERRED_ROUNDS_MAX = 4;
/** Nor longer than this, ms: shares of long work are meant to let sockets and timers in between. */
const DEFERRED_MS_MAX = 2;
let due: (() => void)[] = [];
let isDrainDue = false;

function deferred(run: () => void): void {
  due.push(run);
  if (isDrainDue) return;
  isDrainDue = true;
  setImmediate(drain);
}

function drain(): void {
  const endMs = performance.now() + DEFERRED_MS_MAX;
  for (let round = 0; round < DEFERRED_ROUNDS_MAX && due.length > 0; round += 1) {
    if (round > 0 && performance.now() > endMs) break;
    const runs = due;
    due = [];
    for (const [at, run] of runs.entries()) {
      try {
        run();
      } catch (error) {
        // What follows must run nevertheless; the error takes its usual way, as an uncaught one.
        due = [...runs.slice(at + 1), ...due];
        setImmediate(drain);
        throw error;
      }
    }
  }
  isDrainDue = due.length > 0;
  if (isDrainDue) setImmediate(drain);
}

/** Resolves after `delayMs`; rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(asError(signal.reason));
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(asError(signal?.reason));
    };
    const cancel = clock.schedule(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
