// What a handler throws to say more than "failed": for good, or not before a time. Anything else that it throws is a plain
// failure, which the subscription's retry policy answers.
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { FlotillaError } from "./flotilla-error.ts";

/** The last moment that a Date can tell. */
const TIME_MS_MAX = 8.64e15;

/** The message can never succeed: it goes to the dead letters at once (or its key is parked, as the subscription says). */
export class Reject extends Error {
  override readonly name = "Reject";
}

/** When to try again, instead of what the subscription's retry policy says. */
export type RetryTime =
  | { readonly delayMs: number; readonly atMs?: undefined }
  /** Ms since 1970. */
  | { readonly atMs: number; readonly delayMs?: undefined };

/** The message failed; it is tried again at the time that is given. It counts as a failure like any other. */
export class RetryLater extends Error {
  override readonly name = "RetryLater";
  readonly time: RetryTime;

  /** @throws FlotillaError INVALID_REQUEST: the time is not a number of milliseconds */
  constructor(time: RetryTime, message = "try again later", options?: ErrorOptions) {
    super(message, options);
    checkRetryTime(time);
    this.time = time;
  }
}

/** How a message is settled. */
export interface Decision {
  readonly kind: "ack" | "nack" | "reject" | "release";
  /** NACK: ms since 1970; 0: as the retry policy says. */
  readonly retryAtMs: number;
  readonly error: string;
}

export const ACK: Decision = Object.freeze({ kind: "ack", retryAtMs: 0, error: "" });
export const RELEASE: Decision = Object.freeze({ kind: "release", retryAtMs: 0, error: "" });

/** @throws FlotillaError INVALID_REQUEST naming the field */
export function checkRetryTime({ atMs, delayMs }: RetryTime): void {
  if (delayMs !== undefined) milliseconds("delayMs", delayMs);
  if (atMs !== undefined) milliseconds("atMs", atMs);
}

/** Of a time that nobody has checked only what the wire carries is kept: nothing is thrown here. */
export function nack(error: unknown, time: RetryTime | undefined, wallMs: number): Decision {
  const atMs = time?.delayMs === undefined ? time?.atMs : wallMs + time.delayMs;
  // 0 means "as the policy says".
  const isTime = atMs !== undefined && !Number.isNaN(atMs);
  const retryAtMs = isTime ? Math.min(TIME_MS_MAX, Math.max(1, Math.floor(atMs))) : 0;
  return { kind: "nack", retryAtMs, error: errorText(error) };
}

export function reject(error: unknown): Decision {
  return { kind: "reject", retryAtMs: 0, error: errorText(error) };
}

/** What an error that left a handler says about its message. */
export function decisionOf(error: unknown, wallMs: number): Decision {
  if (error instanceof Reject) return reject(error);
  return nack(error, error instanceof RetryLater ? error.time : undefined, wallMs);
}

/** For people, cut to what the protocol carries; never empty for a failure that said something. */
function errorText(error: unknown): string {
  if (error === undefined) return "";
  return describe(error).slice(0, SUBSCRIPTION_LIMITS.errorCharacters);
}

/** Anything can be thrown, also what cannot be made a text. */
function describe(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return "an error without a text";
  }
}

function milliseconds(field: string, value: number): void {
  if (typeof value === "number" && value >= 0 && value <= TIME_MS_MAX) return;
  const limit = `0 to ${TIME_MS_MAX}`;
  const text = `${field} must be ${limit} ms`;
  throw new FlotillaError("INVALID_REQUEST", text, { field, limit });
}
