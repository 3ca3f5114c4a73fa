// How a stream tells a broker what its consumer still holds from leaders that are gone.
import { CHANNELS_PER_SESSION_MAX } from "../model/limits.ts";
import type { HeldMessages } from "../rpc/generated/flotilla-v1.ts";
import type { ConsumerChannel } from "./consumer-channel.ts";
import type { HeldDelivery } from "./held-delivery.ts";

/** Numbers and deliveries that `held` of one request may name; the protocol bounds the elements of a message. */
export const HELD_ELEMENTS_MAX = 8192;

/**
 * As much as one request may say.
 * @param isAll these are all of their partition: what is more is given up, since nobody would let the consumer go on with it
 */
export function heldMessages(deliveries: readonly HeldDelivery[], isAll: boolean): HeldMessages[] {
  const held: HeldMessages[] = [];
  let elements = 0;
  for (const delivery of deliveries) {
    const ranges = delivery.heldRanges();
    elements += 1 + ranges.length;
    if (elements > HELD_ELEMENTS_MAX || held.length >= CHANNELS_PER_SESSION_MAX) {
      // Otherwise it is said, or lost, when the channel of its partition is introduced.
      if (isAll) delivery.giveUp(undefined);
      continue;
    }
    const { batch, leaderEpoch, number: deliveryNumber, topicId } = delivery;
    held.push({ topicId, partition: batch.partition, leaderEpoch, deliveryNumber, ranges });
  }
  return held;
}

/** How many elements of a request it takes. */
export function elementsOf(held: readonly HeldMessages[]): number {
  return held.reduce((sum, { ranges }) => sum + 1 + ranges.length, 0);
}

export function nothingHeld({ partition, topicId }: ConsumerChannel): HeldMessages {
  return { topicId, partition, leaderEpoch: 0, deliveryNumber: 0, ranges: [] };
}
