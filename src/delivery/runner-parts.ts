// What a delivery runner is made of, and how it sees push sessions.
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { BrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import type { DeliveryMetrics } from "./delivery-metrics.ts";
import type { ConsumerInfo, LostDelivery, OutgoingDelivery } from "./dispatch-types.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { DeliveryPartition } from "./ports.ts";
import type { ReadAhead, ReadSource } from "./read-ahead.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/** A push session, as a runner sees it. What it is told goes down its stream in the same turn. */
export interface RunnerConsumer {
  readonly info: ConsumerInfo;
  /** @throws BrokerError MALFORMED_BATCH when the form asks for messages and the batch can not be decoded */
  deliver(channel: number, delivery: OutgoingDelivery<Buffer>): void;
  resumed(
    channel: number,
    deliveryNumber: number,
    ranges: readonly (readonly [Offset, Offset])[],
  ): void;
  lost(channel: number, lost: LostDelivery): void;
  settled(number: number): void;
  refused(number: number, error: BrokerError): void;
  /** The channel is over. */
  ended(channel: number, error: BrokerError): void;
}

export interface RunnerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: DeliveryMetrics;
}

export interface RunnerParts {
  readonly partition: DeliveryPartition;
  readonly row: SubscriptionRow;
  readonly state: SubscriptionState;
  readonly dispatcher: Dispatcher<Buffer>;
  readonly reads: (source: ReadSource) => ReadAhead;
  /** Wall time that does not jump: leases must not end because somebody set the clock. */
  readonly nowMs: () => number;
  /** It has something to do: turn() and takeUpdate() are to be called. */
  readonly onDirty: () => void;
}
