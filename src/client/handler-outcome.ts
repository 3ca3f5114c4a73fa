// What a handler throws to say more than "failed": for good, or not before a time. Anything else that it throws is a plain
// failure, which the subscription's retry policy answers.
import { BrokerError } from "../model/errors.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { asFlotillaError } from "./flotilla-error.ts";

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

  /** @throws FlotillaError INVALID_REQUEST unless the time is a finite number from 0 on; brokers cut delays to seven days */
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

/** @throws FlotillaError INVALID_REQUEST (`field`, `limit`) */
export function checkRetryTime({ atMs, delayMs }: RetryTime): void {
  const field = delayMs === undefined ? "atMs" : "delayMs";
  const value = delayMs ?? atMs;
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return;
  const limit = "a finite number from 0 on, ms";
  const error = new BrokerError("INVALID_REQUEST", `${field} must be ${limit}`, { field, limit });
  throw asFlotillaError(error, "not-applied");
}

/** @param time checked */
export function nack(error: unknown, time: RetryTime | undefined, wallMs: number): Decision {
  const atMs = time?.delayMs === undefined ? time?.atMs : wallMs + time.delayMs;
  // 0 would mean "as the policy says".
  const retryAtMs = atMs === undefined ? 0 : Math.max(1, Math.floor(atMs));
  return {
    kind: "nack",
    retryAtMs: Math.min(retryAtMs, Number.MAX_SAFE_INTEGER),
    error: errorText(error),
  };
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
  return textOf(error).slice(0, SUBSCRIPTION_LIMITS.errorCharacters);
}

/** Applications may throw anything, also what has no text. */
function textOf(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return "an error that cannot be made a text";
  }
}
