// How a stream tells a broker what its consumer still holds from leaders that are gone.
import { CHANNELS_PER_SESSION_MAX } from "../model/limits.ts";
import type { HeldMessages } from "../rpc/generated/flotilla-v1.ts";
import type { ConsumerChannel } from "./consumer-channel.ts";
import type { HeldDelivery } from "./held-delivery.ts";

/** Numbers and deliveries that `held` of one request may name; the protocol bounds the elements of a message. */
const HELD_ELEMENTS_MAX = 8192;

/** What is more than a request may say is given up: nobody would let the consumer go on with it. */
export function heldMessages(deliveries: readonly HeldDelivery[]): HeldMessages[] {
  const held: HeldMessages[] = [];
  let elements = 0;
  for (const delivery of deliveries) {
    const ranges = delivery.heldRanges();
    elements += 1 + ranges.length;
    if (elements > HELD_ELEMENTS_MAX || held.length >= CHANNELS_PER_SESSION_MAX) {
      delivery.giveUp(undefined);
      continue;
    }
    const { batch, leaderEpoch, number: deliveryNumber, topicId } = delivery;
    held.push({ topicId, partition: batch.partition, leaderEpoch, deliveryNumber, ranges });
  }
  return held;
}

export function nothingHeld({ partition, topicId }: ConsumerChannel): HeldMessages {
  return { topicId, partition, leaderEpoch: 0, deliveryNumber: 0, ranges: [] };
}
