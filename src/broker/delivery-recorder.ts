// Turns what the delivery room counts into instruments of the registry.
import type {
  DeadLetterResult,
  DeliveryMetrics,
  SettledHow,
} from "../delivery/delivery-metrics.ts";
import type { Cell, Instruments } from "../observe/metrics.ts";
import type { OverloadLog } from "./overload-log.ts";
import { countOverload } from "./partition-recorder.ts";

const BY_SUBSCRIPTION = ["deliveries", "redeliveries"] as const;
const DEAD_LETTER_RESULTS: readonly DeadLetterResult[] = ["moved", "failed"];

export function createDeliveryRecorder(
  instruments: Instruments,
  overloads: OverloadLog,
): DeliveryMetrics {
  const settlements: Record<SettledHow, Cell> = {
    ack: instruments.settlements.with("ack"),
    nack: instruments.settlements.with("nack"),
    reject: instruments.settlements.with("reject"),
    release: instruments.settlements.with("release"),
    extend: instruments.settlements.with("extend"),
  };
  return {
    delivered(subscription, messages, again) {
      instruments.deliveries.with(subscription).add(messages);
      if (again > 0) instruments.redeliveries.with(subscription).add(again);
    },
    settled: (how) => settlements[how].add(1),
    lost: (cause, messages) => instruments.lostMessages.with(cause).add(messages),
    deadLetter: (subscription, result) => instruments.deadLetters.with(subscription, result).add(1),
    refused(error) {
      instruments.deliveryRefusals.with(error.reason).add(1);
      countOverload(instruments, overloads, error);
    },
    forget: (subscription) => forgetSubscription(instruments, subscription),
  };
}

/** It does not exist any more: nothing of it is shown. */
export function forgetSubscription(instruments: Instruments, subscription: string): void {
  for (const key of BY_SUBSCRIPTION) instruments[key].remove(subscription);
  for (const result of DEAD_LETTER_RESULTS) instruments.deadLetters.remove(subscription, result);
}
