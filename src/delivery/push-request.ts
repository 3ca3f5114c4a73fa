// What a consumer says on its stream, and the checks of how it opens it. Called by push sessions and the host.
import { canonicalFilter } from "../filter/canonical-filter.ts";
import { BrokerError } from "../model/errors.ts";
import {
  CHANNELS_PER_SESSION_MAX,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
} from "../model/limits.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import { SUBSCRIPTION_LIMITS, type SubscriptionRow } from "../model/subscription.ts";
import type { HeldDelivery } from "./dispatch-types.ts";
import { invalid, rangesOf, type SettleMessage } from "./settle-request.ts";

/** Offsets that `held` of one message may name: looking at each takes time. What claims say beyond counts as not held. */
export const HELD_OFFSETS_MAX = 1_000_000;
const TOPIC_ID_CHARACTERS_MAX = 36;
/** About what a claim, and each range of it, takes in memory. */
const CLAIM_BYTES = 200;
const RANGE_BYTES = 80;

/** Shape of the protocol's SubscribeRequest. */
export interface SubscribeMessage {
  readonly open?: OpenMessage | undefined;
  readonly creditMessages: number;
  readonly creditBytes: number;
  readonly settle: readonly SettleMessage[];
  readonly drain: boolean;
  readonly held: readonly HeldMessages[];
}

/** Shape of the protocol's SubscribeOpen. */
export interface OpenMessage {
  readonly subscription: string;
  readonly consumerId: string;
  readonly protocolVersion: number;
  readonly form?: "messages" | "batches" | undefined;
  readonly reportsBegun: boolean;
  readonly expectedFilter: string;
  readonly held: readonly HeldMessages[];
}

/** Shape of the protocol's HeldMessages. */
export interface HeldMessages {
  readonly topicId: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly deliveryNumber: number;
  /** Pairs: first offset, count. Empty: nothing. */
  readonly ranges: readonly number[];
}

export interface CheckedHeld extends HeldDelivery {
  readonly topicId: string;
  readonly partition: number;
}

export interface CheckedOpen {
  readonly consumerId: string;
  readonly form: "messages" | "batches";
  readonly reportsBegun: boolean;
  /** Canonical; undefined: whatever it is. */
  readonly expectedFilter: string | undefined;
  readonly held: readonly CheckedHeld[];
}

/** @throws BrokerError INVALID_REQUEST | UNSUPPORTED_VERSION */
export function checkOpen(open: OpenMessage): CheckedOpen {
  const { consumerId, expectedFilter, form = "messages", protocolVersion, reportsBegun } = open;
  if (protocolVersion < PROTOCOL_VERSION_MIN || protocolVersion > PROTOCOL_VERSION_MAX) {
    const message = `protocol version ${protocolVersion} is not spoken here`;
    throw new BrokerError("UNSUPPORTED_VERSION", message, {
      versionMin: PROTOCOL_VERSION_MIN,
      versionMax: PROTOCOL_VERSION_MAX,
    });
  }
  const charactersMax = SUBSCRIPTION_LIMITS.consumerIdCharacters;
  if (consumerId === "" || consumerId.length > charactersMax) {
    throw invalid("open.consumerId", `1 to ${charactersMax} characters`);
  }
  return {
    consumerId,
    form,
    reportsBegun,
    expectedFilter: expectedFilter === "" ? undefined : canonicalFilter(expectedFilter),
    held: checkHeld(open.held, "open.held"),
  };
}

/** @throws BrokerError INVALID_REQUEST */
export function checkHeld(held: readonly HeldMessages[], field: string): readonly CheckedHeld[] {
  if (held.length > CHANNELS_PER_SESSION_MAX) throw invalid(field, `${CHANNELS_PER_SESSION_MAX}`);
  let left = HELD_OFFSETS_MAX;
  return held.map(({ leaderEpoch, partition, ranges: pairs, topicId }) => {
    if (topicId.length > TOPIC_ID_CHARACTERS_MAX) throw invalid(`${field}.topicId`, "a topic's id");
    const ranges = rangesOf(pairs, `${field}.ranges`);
    if (leaderEpoch < 1 && ranges.length > 0) {
      throw invalid(`${field}.leaderEpoch`, "a number from 1 on");
    }
    const count = ranges.reduce((sum, [from, to]) => sum + (to - from), 0);
    // Still an answer to the channel: ordered modes wait for one.
    if (count > left) return { topicId, partition, leaderEpoch, ranges: [] };
    left -= count;
    return { topicId, partition, leaderEpoch, ranges };
  });
}

/**
 * Takes what claims of `open` need for as long as the stream lives from the node's memory for streams.
 * @returns bytes, to be given back
 * @throws BrokerError OVERLOADED
 */
export function takeForHeld(
  held: readonly CheckedHeld[],
  memory: MemoryBudget | undefined,
): number {
  const bytes = held.reduce(
    (sum, { ranges }) => sum + CLAIM_BYTES + RANGE_BYTES * ranges.length,
    0,
  );
  if (bytes > 0 && memory?.tryTake("streams", bytes) === false) throw memory.refusal("streams");
  return bytes;
}

/** Those of one partition. */
export function heldBy(
  held: readonly CheckedHeld[],
  topicId: string,
  partition: number,
): readonly CheckedHeld[] {
  return held.filter((one) => one.partition === partition && one.topicId === topicId);
}

/** The subscription has another filter than its consumer expects; undefined: it has not. */
export function filterMismatch(open: CheckedOpen, row: SubscriptionRow): BrokerError | undefined {
  const { expectedFilter: expected } = open;
  const actual = row.definition.filter;
  if (expected === undefined || expected === actual) return undefined;
  const message = "the subscription has another filter than the consumer expects";
  return new BrokerError("FILTER_MISMATCH", message, { expected, actual });
}
