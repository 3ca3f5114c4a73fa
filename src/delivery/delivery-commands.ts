// Replicated commands about subscriptions of one partition, as leaders propose and DeliveryState applies them. Here: what
// they say, their form as JSON, and how much one may hold. delivery-encoder.ts writes them, delivery-decoder.ts reads them.
//
//   attach  {v, type, id, version, startOffset, createdIndex}
//   detach  {v, type, id}
//   seek    {v, type, id, offset}; under which leader it stands, its entry's term says
//   deliver {v, type, updates: [{id, seeks?, settle?, release?, fail?, dead?, park?, left?, joined?, complete?}]}
//     seeks    how many seeks its leader had applied when it decided this; absent: 0
//     settle   [gap, count, …]: offsets from the end of the range before (at first from 0), and how many; gaps of all but
//              the first range are ≥ 1, counts too
//     release  [{offset, action: "retry" | "dead" | "settle"}]
//     fail     [{offset, notBeforeMs, timeMs, cause, error?}]
//     dead     [{offset, timeMs?, cause?, error?}]
//     park     [{offset, sinceMs, key?: base64, partition?: true}]
//     left, joined  [hash of a consumer's id, …], ascending
//     complete true
import { KEY_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import type { PresenceNote } from "./presence-table.ts";

/** Offsets [from, to). */
export type OffsetRange = readonly [from: Offset, to: Offset];

/** Why a message failed. */
export type FailureCause = "nack" | "reject" | "deadline" | "session-lost";

export interface FailedAttempt {
  /** ms since 1970. */
  readonly timeMs: number;
  readonly cause: FailureCause;
  /** What the consumer said, at most SUBSCRIPTION_LIMITS.errorCharacters (cut by the encoder). */
  readonly error: string;
}

/** One more failure of a message that will be tried again. */
export interface FailUpdate {
  readonly offset: Offset;
  /** When it may go out again, ms since 1970. */
  readonly notBeforeMs: number;
  readonly attempt: FailedAttempt;
}

/** A message failed for good: it waits for its move to the dead letter topic, and is settled afterwards. */
export interface DeadUpdate {
  readonly offset: Offset;
  /** The failure that killed it, counted with this command; undefined: it was counted before. */
  readonly attempt: FailedAttempt | undefined;
}

export interface ParkUpdate {
  readonly offset: Offset;
  /** undefined: the messages without a key. */
  readonly key: Buffer | undefined;
  /** partition: nothing at all goes out until it is released. */
  readonly scope: "key" | "partition";
  readonly sinceMs: number;
}

export interface ReleaseUpdate {
  /** The offset that parked. */
  readonly offset: Offset;
  /** What becomes of that message: tried again with its failures forgotten, dead, or settled. */
  readonly action: "retry" | "dead" | "settle";
}

/**
 * What happened to one subscription. Applied in the order of the fields. Only offsets of messages that were written before
 * the command count. Settled offsets can not fail, die or be parked; settling forgets failures and parked entries.
 */
export interface SubscriptionUpdate extends PresenceNote {
  readonly id: string;
  /**
   * `SubscriptionState.seeks` when it was decided; 0 by default. What was decided before a seek and stands behind it in the
   * log would undo it: only its PresenceNote counts.
   */
  readonly seeks?: number;
  /** In any order, may overlap. */
  readonly settle?: readonly OffsetRange[];
  readonly release?: readonly ReleaseUpdate[];
  readonly fail?: readonly FailUpdate[];
  readonly dead?: readonly DeadUpdate[];
  readonly park?: readonly ParkUpdate[];
}

export type DeliveryCommand =
  /** Keeps a cursor from `startOffset` on; a newer `version` of one that is attached is only noted. */
  | {
      readonly type: "attach";
      readonly id: string;
      readonly version: number;
      readonly startOffset: Offset;
      readonly createdIndex: LogIndex;
    }
  | { readonly type: "detach"; readonly id: string }
  /** Below `offset` everything is settled, above it nothing, and failures and parked keys are forgotten. */
  | { readonly type: "seek"; readonly id: string; readonly offset: Offset }
  | { readonly type: "deliver"; readonly updates: readonly SubscriptionUpdate[] };

/** What was not done to a message because of a limit; everything else of its update was. */
export interface RefusedItem {
  readonly id: string;
  readonly what: "fail" | "dead" | "park";
  readonly offset: Offset;
}

/**
 * done: it took effect. no-op: nothing changed. limit: SUBSCRIPTION_LIMITS.perPartition are attached, or a `deliver` had items
 * that a limit refused (the rest took effect). not-attached: no such subscription here (a `deliver` goes on with the others).
 */
export interface DeliveryReply {
  readonly outcome: "done" | "no-op" | "limit" | "not-attached";
  /** deliver: at most one per item. */
  readonly refused?: readonly RefusedItem[];
  /** deliver: ids of updates without effect. */
  readonly notAttached?: readonly string[];
  /** seek: the cursor before and now. */
  readonly from?: Offset;
  readonly to?: Offset;
}

/** Ranges of one `deliver` command, inclusive; splitUpdates keeps to it. */
export const DELIVER_RANGES_MAX = 100_000;
/**
 * Failures, dead, parked and released messages, and consumers that came or left, of one `deliver` command, inclusive: at most some
 * megabytes with keys and texts.
 */
export const DELIVER_ITEMS_MAX = 1000;
/** Updates of one `deliver` command, inclusive. */
export const DELIVER_UPDATES_MAX = SUBSCRIPTION_LIMITS.perPartition;

/** A longer key can not be parked (reply: refused); the partition can. */
export function isParkable(key: Buffer | undefined): boolean {
  return key === undefined || key.length <= KEY_BYTES_MAX;
}
