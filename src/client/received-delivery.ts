// From a delivery as it came off the wire to one that the consumer holds: its batch is checked, its bounds worked out.
import { BrokerError } from "../model/errors.ts";
import { checkSelection, readBatchHeader } from "../model/record-batch.ts";
import type { Delivery } from "../rpc/generated/flotilla-v1.ts";
import type { ConsumerChannel } from "./consumer-channel.ts";
import type { Attempts } from "./delivery-place.ts";
import { HeldDelivery } from "./held-delivery.ts";
import { ReceivedBatch } from "./received-batch.ts";

/** @throws BrokerError CORRUPT_BATCH, MALFORMED_BATCH */
export function receivedDelivery(
  channel: ConsumerChannel,
  delivery: Delivery,
  isVerified: boolean,
  nowMs: number,
): HeldDelivery {
  const { batch: bytes, deliveryNumber } = delivery;
  const problem = isVerified ? checkSelection(bytes) : undefined;
  const header = readBatchHeader(bytes);
  if (problem !== undefined || header === undefined) throw damaged(channel, problem);
  const { baseOffset, leaderEpoch, recordCount } = header;
  // Of a batch of a few records only, which ranges name, the last offset is further away than their number says.
  const span = header.lastOffsetDelta + 1;
  const ranges = delivery.ranges.length > 0 ? delivery.ranges : [baseOffset, span];
  const lastFrom = ranges.at(-2) ?? baseOffset;
  const { topic, partition } = channel;
  const endOffset = Math.min(baseOffset + span, lastFrom + (ranges.at(-1) ?? 0));
  const firstOffset = Math.max(baseOffset, ranges[0] ?? baseOffset);
  if (endOffset <= firstOffset) throw damaged(channel, undefined);
  const place = { firstOffset, endOffset, highWatermark: 0 };
  const origin = { topic, partition, baseOffset, recordCount, leaderEpoch, ...place };
  const batch = new ReceivedBatch(origin, bytes);
  const attempts = attemptsOf(delivery);
  return new HeldDelivery(batch, ranges, channel, deliveryNumber, attempts, nowMs);
}

/** How many messages it brings. */
export function messagesOf({ batch, ranges }: Delivery): number {
  let count = 0;
  for (let i = 1; i < ranges.length; i += 2) count += ranges[i] ?? 0;
  return ranges.length > 0 ? count : (readBatchHeader(batch)?.recordCount ?? 0);
}

function attemptsOf({ redeliveries }: Delivery): ReadonlyMap<number, Attempts> | undefined {
  if (redeliveries.length === 0) return undefined;
  return new Map(
    redeliveries.map(({ failed, handedOut, offset }) => [offset, { failed, handedOut }]),
  );
}

function damaged(
  { partition, topic }: ConsumerChannel,
  problem:
    | { readonly reason: "CORRUPT_BATCH" | "MALFORMED_BATCH"; readonly field: string }
    | undefined,
): BrokerError {
  const { reason, field } = problem ?? { reason: "MALFORMED_BATCH", field: "batchLength" };
  return new BrokerError(reason, `a batch of ${topic}/${partition} arrived damaged: ${field}`, {
    field,
    topic,
    partition,
  });
}
