// Waiting for real processes: a bounded poll.
import { pause } from "../support/local-cluster.ts";

/** @throws Error naming what was waited for, after `timeoutMs`; errors of `isDone` count as "not yet" */
export async function waitUntil(
  what: string,
  timeoutMs: number,
  isDone: () => boolean | Promise<boolean>,
  everyMs = 50,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      if (await isDone()) return;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > endMs) {
      const because = lastError === undefined ? "" : `; last error: ${String(lastError)}`;
      throw new Error(`${what}: not within ${timeoutMs} ms${because}`);
    }
    await pause(everyMs);
  }
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
