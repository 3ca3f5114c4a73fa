// Pauses between attempts: they double and have chance in them, so that clients do not come back all at once.
import type { Random } from "../base/random.ts";

const FIRST_MS = 20;
/** For failures that an election or a restart ends: answers are cheap, waiting costs availability. */
export const ROUTING_PAUSE_MS_MAX = 250;
/** For failures that load causes. */
export const LOAD_PAUSE_MS_MAX = 1000;

/** @param attempt 0 for the first pause @returns ms, between half of the step and the whole step */
export function backoffMs(random: Random, attempt: number, maxMs: number): number {
  const stepMs = Math.min(maxMs, FIRST_MS * 2 ** Math.min(attempt, 10));
  return stepMs / 2 + random.next() * (stepMs / 2);
}
