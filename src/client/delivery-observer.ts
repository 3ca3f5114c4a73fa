// Who wants to know what a consumer receives before anybody works on it. For tests: handlers see messages only when they are
// begun, which hides in which order and how often they were handed out.
import type { Attempts } from "./delivery-place.ts";
import type { DeliveryToken } from "./delivery-token.ts";
import type { ReceivedBatch } from "./received-batch.ts";

/** Messages of one batch in the consumer's hands. Ranges are pairs: first offset, count. */
export interface ObservedDelivery {
  readonly batch: ReceivedBatch;
  readonly token: DeliveryToken;
  attempts(offset: number): Attempts;
  waitingRanges(): readonly number[];
  runningRanges(): readonly number[];
  /** Aborted when the message is lost. */
  signal(offset: number): AbortSignal;
}

export interface DeliveryObserver {
  /** What waits of it has just arrived. */
  arrived(delivery: ObservedDelivery): void;
  /** Some of it does not wait any more: it runs; or it was given back, or is lost. */
  left(delivery: ObservedDelivery): void;
  /** Another leader goes on with something that is held: its token is a new one. */
  resumed(): void;
}
