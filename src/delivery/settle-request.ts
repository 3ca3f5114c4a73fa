// What a consumer asks for in a settlement, checked. Called by push sessions before anything is looked up.
import { BrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { Settlement, SettlementKind } from "./dispatch-types.ts";

/** Pairs per settlement. More: INVALID_REQUEST. */
export const SETTLE_RANGES_MAX = 4096;
/** Settlements of one message of a stream. Each one beyond is refused with INVALID_REQUEST; the stream goes on. */
export const SETTLES_PER_MESSAGE_MAX = 8192;

/** Shape of the protocol's Settle. */
export interface SettleMessage {
  readonly number: number;
  readonly channel: number;
  readonly deliveryNumber: number;
  readonly kind?: SettlementKind | undefined;
  readonly ranges: readonly number[];
  readonly cumulative: boolean;
  readonly retryAtMs: number;
  readonly error: string;
}

export interface SettleRequest extends Settlement {
  readonly channel: number;
}

const NO_RANGES: readonly OffsetRange[] = [];

/** @throws BrokerError INVALID_REQUEST that names the field */
export function checkSettle(message: SettleMessage): SettleRequest {
  const { number, channel, deliveryNumber, cumulative, error, kind, retryAtMs } = message;
  if (number < 1) throw invalid("settle.number", "a number from 1 on");
  if (kind === undefined) throw invalid("settle.kind", "one of those that the protocol names");
  if (deliveryNumber < 1) throw invalid("settle.deliveryNumber", "a number from 1 on");
  if (cumulative && kind !== "ack") throw invalid("settle.cumulative", "only for ACK");
  if (retryAtMs !== 0 && kind !== "nack") throw invalid("settle.retryAtMs", "only for NACK");
  if (error.length > SUBSCRIPTION_LIMITS.errorCharacters) {
    throw invalid("settle.error", `at most ${SUBSCRIPTION_LIMITS.errorCharacters} characters`);
  }
  return {
    number,
    channel,
    deliveryNumber,
    kind,
    ranges: rangesOf(message.ranges, "settle.ranges"),
    isCumulative: cumulative,
    retryAtMs,
    error,
  };
}

/**
 * From pairs of first offset and count.
 * @throws BrokerError INVALID_REQUEST unless they are ascending and apart
 */
export function rangesOf(pairs: readonly number[], field: string): readonly OffsetRange[] {
  if (pairs.length === 0) return NO_RANGES;
  if (pairs.length % 2 !== 0) throw invalid(field, "pairs of first offset and count");
  if (pairs.length > 2 * SETTLE_RANGES_MAX) throw invalid(field, `${SETTLE_RANGES_MAX} pairs`);
  const ranges: [Offset, Offset][] = [];
  let end = 0;
  for (let at = 0; at < pairs.length; at += 2) {
    const from = pairs[at] ?? 0;
    const to = from + (pairs[at + 1] ?? 0);
    if (to <= from || !Number.isSafeInteger(to)) throw invalid(field, "a count from 1 on");
    if (from < end) throw invalid(field, "ascending and apart");
    end = to;
    ranges.push([from, to]);
  }
  return ranges;
}

export function invalid(field: string, limit: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} is not valid: ${limit}`, { field, limit });
}
