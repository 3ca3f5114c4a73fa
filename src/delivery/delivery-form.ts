// How handed-out messages look on a stream: the stored batch, a smaller batch of just these records, or plain messages.
// Called by push sessions for each delivery.
import type { Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import { decodeBatch } from "../model/record-batch-decoder.ts";
import { type OffsetRanges, selectRecords } from "../model/record-batch-selection.ts";

/** Shape of the protocol's Message. */
export interface DeliveredMessage {
  readonly partition: number;
  readonly offset: Offset;
  readonly leaderEpoch: number;
  readonly timestampMs: number;
  readonly key: Buffer | undefined;
  readonly value: Buffer | undefined;
  readonly headers: readonly { readonly name: string; readonly value: Buffer }[];
}

/** What of the protocol's Delivery carries the messages. */
export interface DeliveryContent {
  readonly batch: Buffer;
  /** Pairs: first offset, count. Empty: the whole batch. */
  readonly ranges: readonly number[];
  readonly messages: readonly DeliveredMessage[];
}

/** The batch of a delivery that has none. */
export const NOTHING: Buffer = Buffer.alloc(0);

/**
 * The stored bytes when at least half of them are wanted: what is sent in vain costs less than another batch.
 * @param ranges within the batch, ascending; not empty
 * @throws BrokerError MALFORMED_BATCH when the records are nonsense and had to be looked at
 */
export function asBatch(batch: Buffer, ranges: OffsetRanges): DeliveryContent {
  const header = readBatchHeader(batch);
  const count = header?.recordCount ?? 0;
  const wanted = countOf(ranges);
  if (wanted >= count) return { batch, ranges: [], messages: [] };
  if (wanted * 2 >= count) return { batch, ranges: pairsOf(ranges), messages: [] };
  return { batch: selectRecords(batch, ranges), ranges: pairsOf(ranges), messages: [] };
}

/** @throws BrokerError MALFORMED_BATCH */
export function asMessages(
  partition: number,
  batch: Buffer,
  ranges: OffsetRanges,
): DeliveryContent {
  const leaderEpoch = readBatchHeader(batch)?.leaderEpoch ?? 0;
  const messages: DeliveredMessage[] = [];
  let at = 0;
  for (const { offset, timestampMs, key, value, headers } of decodeBatch(batch)) {
    while ((ranges[at]?.[1] ?? Number.POSITIVE_INFINITY) <= offset) at += 1;
    const range = ranges[at];
    if (range === undefined) break;
    if (offset < range[0]) continue;
    const sent = headers.map((header) => ({ name: header.name, value: Buffer.from(header.value) }));
    messages.push({ partition, offset, leaderEpoch, timestampMs, key, value, headers: sent });
  }
  return { batch: NOTHING, ranges: [], messages };
}

/** Bytes of credit that it costs: what its consumer can count, too. */
export function costOf({ batch, messages }: DeliveryContent): number {
  let bytes = batch.length;
  for (const { headers, key, value } of messages) {
    bytes += (key?.length ?? 0) + (value?.length ?? 0);
    for (const header of headers) bytes += Buffer.byteLength(header.name) + header.value.length;
  }
  return bytes;
}

/** Pairs of first offset and count, as the protocol has them. */
export function pairsOf(ranges: OffsetRanges): number[] {
  const pairs: number[] = [];
  for (const [from, to] of ranges) pairs.push(from, to - from);
  return pairs;
}

export function countOf(ranges: OffsetRanges): number {
  let count = 0;
  for (const [from, to] of ranges) count += to - from;
  return count;
}
