// The saved form of what consumers do: one guard for each field of each event in delivery-events.ts. Part of the table in
// history-format.ts.
import type { DeliveryEvent } from "./delivery-events.ts";
import {
  flag,
  type Guard,
  listOf,
  number,
  oneOf,
  optional,
  type Shape,
  shaped,
  text,
  whole,
} from "./format-guards.ts";

type Shapes = {
  readonly [T in DeliveryEvent["type"]]: Shape<Extract<DeliveryEvent, { readonly type: T }>>;
};

const PLACE = { topic: text, partition: whole, offset: whole };
const TOKEN = {
  ...{ atMs: number, subscription: text, consumer: text, topic: text, partition: whole },
  ...{ leaderEpoch: whole, delivery: whole },
};
const SPAN = { atMs: number, beganMs: number, subscription: text };
const RECORD = {
  ...{ offset: whole, value: text, key: optional(text) },
  ...{ handedOut: optional(whole), failed: optional(whole) },
};

/** Pairs of first offset and count. */
const ranges: Guard = (value) =>
  Array.isArray(value) &&
  value.length % 2 === 0 &&
  value.every((item, at) => Number.isSafeInteger(item) && (at % 2 === 0 || Number(item) > 0));

const filter: Guard = (value) =>
  shaped({ values: listOf(text) })(value) || shaped({ markers: listOf(text) })(value);

export const DELIVERY_SHAPES: Shapes = {
  subscription: {
    ...{ atMs: number, subscription: text, topics: listOf(text) },
    mode: oneOf("shared", "keyed", "fifo", "exclusive"),
    start: oneOf("earliest", "declared"),
    onFailure: oneOf("stop", "park", "skip"),
    ...{ attemptsMax: whole, ackDeadlineMs: number, deadLetterTopic: optional(text) },
    filter: optional(filter),
  },
  deliver: { ...TOKEN, isResumed: optional(flag), records: listOf(shaped(RECORD)) },
  handler: { ...TOKEN, phase: oneOf("begin", "end"), ranges, isOk: optional(flag) },
  settlement: {
    ...{ ...TOKEN, number: whole, ranges },
    verdict: oneOf("ack", "nack", "reject", "release", "extend"),
  },
  settled: {
    ...{ atMs: number, consumer: text, number: whole, reason: optional(text) },
    outcome: oneOf("confirmed", "refused", "unknown"),
  },
  lost: { ...TOKEN, ranges, cause: text },
  reset: { ...SPAN, ...PLACE, outcome: oneOf("done", "unknown") },
  pause: { ...SPAN, isPaused: flag },
  unpark: { ...SPAN, ...PLACE, skipsMessage: flag },
  consumer: {
    ...{ atMs: number, subscription: text, consumer: text, reportsBegun: optional(flag) },
    phase: oneOf(
      ...["started", "disconnected", "unreachable", "reachable", "closing", "closed", "killed"],
    ),
  },
  dead: {
    ...{ atMs: number, subscription: text, ...PLACE, value: text },
    ...{ deadTopic: text, deadPartition: whole, deadOffset: whole, failed: optional(whole) },
  },
  cursor: {
    ...{ atMs: number, subscription: text, ...PLACE, beganMs: optional(number) },
    ...{ leaderEpoch: optional(whole), unsettled: optional(ranges), isFinal: optional(flag) },
  },
  settle: {
    ...{ atMs: number, subscription: text, consumer: text, ...PLACE },
    verdict: oneOf("ack", "nack"),
  },
};
