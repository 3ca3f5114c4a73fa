// What the delivery room counts, as a port: the composition root makes instruments of it. Gauges (unsettled and its
// age, outstanding, parked, sessions) are read from the host when they are scraped.
import type { BrokerError } from "../model/errors.ts";

/** What a consumer said; what it only reports is not counted. */
export type SettledHow = "ack" | "nack" | "reject" | "release" | "extend";

/** Of a move to the dead letter topic; what failed is tried again. */
export type DeadLetterResult = "moved" | "failed";

export interface DeliveryMetrics {
  /** Messages handed out; `again`: of those, how many not for the first time. */
  delivered(subscription: string, messages: number, again: number): void;
  /** A settlement was taken. */
  settled(how: SettledHow): void;
  /** Messages that a consumer lost before it settled them. */
  lost(cause: "deadline" | "revoked" | "seek", messages: number): void;
  /** A move to the dead letter topic ended. */
  deadLetter(subscription: string, result: DeadLetterResult): void;
  /** A stream or a settlement was refused. */
  refused(error: BrokerError): void;
  /** The subscription does not exist any more: its series go. */
  forget(subscription: string): void;
}

/** For tests and tools that do not measure. */
export const noDeliveryMetrics: DeliveryMetrics = {
  delivered: () => undefined,
  settled: () => undefined,
  lost: () => undefined,
  deadLetter: () => undefined,
  refused: () => undefined,
  forget: () => undefined,
};
