// What becomes of a message that failed: when it is tried again, or that it is dead, or what it holds up. Pure.
import {
  type RetryPolicy,
  SUBSCRIPTION_LIMITS,
  type SubscriptionDefinition,
} from "../model/subscription.ts";

import type { Failure } from "./delivery-records.ts";

export type FailureFate =
  | { readonly kind: "retry"; readonly notBeforeMs: number }
  | { readonly kind: "dead" | "park" | "stop" };

export interface FailedMessage {
  /** This failure included. */
  readonly failed: number;
  readonly isRejected: boolean;
  /** Its mode gives it a place in an order. */
  readonly isOrdered: boolean;
  /** 0: as the policy says. */
  readonly retryAtMs: number;
}

/**
 * When a failed message may go out again. A leader whose clock was ahead may have noted a time that is far away for the next one:
 * whoever sees that the failure lies in its future waits for the delay that was meant, from the beginning of its leadership.
 */
export function dueMsOf(
  { attempts, notBeforeMs }: Pick<Failure, "attempts" | "notBeforeMs">,
  nowMs: number,
  leadingSinceMs: number,
): number {
  const failedMs = attempts.at(-1)?.timeMs ?? 0;
  if (failedMs <= nowMs) return notBeforeMs;
  return Math.min(notBeforeMs, leadingSinceMs + Math.max(0, notBeforeMs - failedMs));
}

/**
 * @param canParkKey false: as many keys are parked as may be
 * @param random uniform in [0, 1)
 */
export function planFailure(
  definition: SubscriptionDefinition,
  message: FailedMessage,
  canParkKey: boolean,
  nowMs: number,
  random: number,
): FailureFate {
  const { retry, onFailure, deadLetterTopic } = definition;
  const isExhausted = message.isRejected || message.failed >= retry.attemptsMax;
  if (!isExhausted) {
    const planned = nowMs + retryDelayMs(retry, message.failed, random);
    const asked = Math.min(message.retryAtMs, nowMs + SUBSCRIPTION_LIMITS.delayMs);
    return { kind: "retry", notBeforeMs: message.retryAtMs > 0 ? Math.max(nowMs, asked) : planned };
  }
  if (message.isOrdered && onFailure === "stop") return { kind: "stop" };
  if (message.isOrdered && onFailure === "park") return { kind: canParkKey ? "park" : "stop" };
  if (deadLetterTopic !== undefined) return { kind: "dead" };
  return { kind: "retry", notBeforeMs: nowMs + withJitter(longestMs(retry), retry, random) };
}

/** @param failed from 1 */
export function retryDelayMs(retry: RetryPolicy, failed: number, random: number): number {
  if (retry.delaysMs.length > 0) {
    const at = Math.min(failed, retry.delaysMs.length) - 1;
    return withJitter(retry.delaysMs[at] ?? 0, retry, random);
  }
  const grown = retry.initialMs * (retry.multiplierPercent / 100) ** (failed - 1);
  return withJitter(Math.min(grown, retry.maxMs), retry, random);
}

function longestMs(retry: RetryPolicy): number {
  return retry.delaysMs.length > 0 ? Math.max(...retry.delaysMs) : retry.maxMs;
}

function withJitter(delayMs: number, retry: RetryPolicy, random: number): number {
  return Math.round(delayMs * (1 - (retry.jitterPercent / 100) * random));
}
