// What a handler throws to say more than "failed": for good, or not before a time. Anything else that it throws is a plain
// failure, which the subscription's retry policy answers.
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";

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

  constructor(time: RetryTime, message = "try again later", options?: ErrorOptions) {
    super(message, options);
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

export function nack(error: unknown, time: RetryTime | undefined, wallMs: number): Decision {
  const atMs = time?.delayMs === undefined ? time?.atMs : wallMs + time.delayMs;
  // 0 would mean "as the policy says".
  const retryAtMs = atMs === undefined ? 0 : Math.max(1, Math.floor(atMs));
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
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, SUBSCRIPTION_LIMITS.errorCharacters);
}
