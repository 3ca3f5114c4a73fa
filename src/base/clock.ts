// Time is a port. This is the only file of the product that touches Date, performance and timers;
// simulations inject a virtual clock with the same contract.

/** Cancels a scheduled call; harmless when it already ran. */
export type Cancel = () => void;

export interface Clock {
  /** Monotonic milliseconds (fractional), origin unspecified. For every duration, deadline and timeout. */
  monotonicMs(): number;
  /** Wall clock, milliseconds since 1970 (integer). For timestamps that people or retention see, never for leases. */
  wallMs(): number;
  /** Calls `run` once, not before `delayMs` have passed. The timer keeps the process alive. */
  schedule(delayMs: number, run: () => void): Cancel;
  /** Calls `run` once this turn's pending input was read (setImmediate). Used to batch work. */
  defer(run: () => void): void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  defer(run) {
    setImmediate(run);
  },
};

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
