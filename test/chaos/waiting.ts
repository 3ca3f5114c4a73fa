// Waiting for real processes: a bounded poll.
import { pause } from "../support/local-cluster.ts";

/** What one step of a wait counts at most: when this process itself was stopped for long, the rest is forgiven. */
const STEP_MS_MAX = 5000;

/** @throws Error naming what was waited for, after `timeoutMs`; errors of `isDone` count as "not yet" */
export async function waitUntil(
  what: string,
  timeoutMs: number,
  isDone: () => boolean | Promise<boolean>,
  everyMs = 50,
): Promise<void> {
  let waitedMs = 0;
  let lastError: unknown;
  while (waitedMs <= timeoutMs) {
    const startMs = performance.now();
    try {
      if (await isDone()) return;
    } catch (error) {
      lastError = error;
    }
    await pause(everyMs);
    waitedMs += Math.min(STEP_MS_MAX, performance.now() - startMs);
  }
  const because = lastError === undefined ? "" : `; last error: ${String(lastError)}`;
  throw new Error(`${what}: not within ${timeoutMs} ms${because}`);
}

/** Rejects when `promise` takes longer. */
export async function within<T>(what: string, timeoutMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
