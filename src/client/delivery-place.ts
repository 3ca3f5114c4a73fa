// What a delivery and the place where it was received say to each other. Implemented by consumer-channel.ts.
import type { Decision } from "./handler-outcome.ts";

/** Where a delivery came from and where its settlements go: a partition on a stream. */
export interface DeliveryPlace<Delivery> {
  readonly topicId: string;
  readonly leaderEpoch: number;
  readonly layoutEpoch: number;
  readonly ackDeadlineMs: number;
  /** Something of the delivery is to be sent. */
  touch(delivery: Delivery): void;
  /** So many messages do not wait any more: they were taken, or lost. */
  left(delivery: Delivery, count: number): void;
  /** A message that somebody had was decided, or is lost: then without decision. */
  freed(delivery: Delivery, offset: number, decision?: Decision): void;
  /** What waited of the delivery from `offset` on was not begun, and is not going to be. */
  heldBack(delivery: Delivery, offset: number): void;
  /** Nothing of it is left to be done. */
  over(delivery: Delivery): void;
}

/** How often a message was handed out, and failed. */
export interface Attempts {
  readonly handedOut: number;
  readonly failed: number;
}

export const FIRST_ATTEMPT: Attempts = Object.freeze({ handedOut: 1, failed: 0 });
