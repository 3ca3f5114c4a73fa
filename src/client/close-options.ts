// How long closing may take. Called by what applications close: producers and consumers.
import { WAIT_MS_MAX, whole } from "./checked-number.ts";

export interface CloseOptions {
  /**
   * What is still under way then is given up, ms: a consumer loses what is worked on (default 30000), a producer's unanswered
   * sends fail with CLOSED (default: their delivery timeout).
   */
  readonly timeoutMs?: number | undefined;
}

/** @throws FlotillaError INVALID_REQUEST */
export function closeTimeoutMs({ timeoutMs }: CloseOptions, usualMs: number): number {
  return timeoutMs === undefined ? usualMs : whole("timeoutMs", timeoutMs, 0, WAIT_MS_MAX);
}
