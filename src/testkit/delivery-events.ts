// What a test run may write down about subscriptions: who was given what, what became of it, and what was done to the
// subscription meanwhile. README.md describes each event for people; delivery-format.ts holds the same as a table.
import type { FailurePolicy, SubscriptionMode } from "../model/subscription.ts";

/** Which messages a subscription wants; without one: every message. */
export type DeliveryFilter =
  | { readonly values: readonly string[] }
  /** Those whose `send` carries one of these markers. */
  | { readonly markers: readonly string[] };

/** A subscription of the run. A later line of the same name is a change of it. */
export interface SubscriptionDeclared {
  readonly type: "subscription";
  readonly atMs: number;
  readonly subscription: string;
  readonly mode: SubscriptionMode;
  /** Names of the topics that it selects. */
  readonly topics: readonly string[];
  /** declared: only what was sent after this line must be delivered. */
  readonly start: "earliest" | "declared";
  readonly attemptsMax: number;
  readonly onFailure: FailurePolicy;
  readonly deadLetterTopic?: string | undefined;
  readonly ackDeadlineMs: number;
  readonly filter?: DeliveryFilter | undefined;
}

/** Everything about one delivery of one partition names these. */
interface Token {
  readonly subscription: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  /** Delivery number: grows within the leader epoch. */
  readonly delivery: number;
}

export interface DeliveredRecord {
  readonly offset: number;
  readonly value: string;
  readonly key?: string | undefined;
  /** What the delivery says about earlier attempts; left out: it says nothing. */
  readonly handedOut?: number | undefined;
  readonly failed?: number | undefined;
}

/** As a delivery number: a leader let the consumer go on with what is settled already, under no token. */
export const SETTLED_ALREADY: number = Number.MAX_SAFE_INTEGER;

/** Messages arrived at a consumer: written before they wait in any buffer of the consumer. */
export interface Delivered extends Token {
  readonly type: "deliver";
  readonly atMs: number;
  /** They were not sent again: the consumer goes on with what it holds, under this new token. */
  readonly isResumed?: boolean | undefined;
  readonly records: readonly DeliveredRecord[];
}

/** A handler began, or ended, with messages. Ranges, here and below: pairs of first offset and count. */
export interface HandlerSeen extends Token {
  readonly type: "handler";
  readonly atMs: number;
  readonly phase: "begin" | "end";
  readonly ranges: readonly number[];
  /** End: it succeeded. */
  readonly isOk?: boolean | undefined;
}

/** A consumer asks to settle messages: written before it is sent. */
export interface SettlementAsked extends Token {
  readonly type: "settlement";
  readonly atMs: number;
  /** Unique for this consumer. */
  readonly number: number;
  readonly verdict: "ack" | "nack" | "reject" | "release" | "extend";
  /** Everything that is meant, also by a cumulative acknowledgement. */
  readonly ranges: readonly number[];
}

/** What became of a settlement. One without this line: unknown. */
export interface SettlementAnswered {
  readonly type: "settled";
  readonly atMs: number;
  readonly consumer: string;
  readonly number: number;
  readonly outcome: "confirmed" | "refused" | "unknown";
  readonly reason?: string | undefined;
}

/** The broker told a consumer that it no longer holds these, or the consumer gave them up by itself. */
export interface LeaseLost extends Token {
  readonly type: "lost";
  readonly atMs: number;
  readonly ranges: readonly number[];
  /** "deadline", "revoked", "seek", "session". */
  readonly cause: string;
}

/** The subscription's position in a partition was moved. */
export interface SubscriptionReset {
  readonly type: "reset";
  readonly beganMs: number;
  readonly atMs: number;
  readonly subscription: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** unknown: it may happen at any time until the end. */
  readonly outcome: "done" | "unknown";
}

/** The subscription was paused, or goes on. */
export interface SubscriptionPaused {
  readonly type: "pause";
  readonly beganMs: number;
  readonly atMs: number;
  readonly subscription: string;
  readonly isPaused: boolean;
}

/** A parked key was let go, with the message that parked it or without. */
export interface KeyReleased {
  readonly type: "unpark";
  readonly beganMs: number;
  readonly atMs: number;
  readonly subscription: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly skipsMessage: boolean;
}

/**
 * A consumer began, lost its connection, or ended. Killed: written before it is done. Unreachable: from now on, until it is
 * reachable again, nothing arrives at it, so that what was handed out meanwhile is written down late; its connection may
 * break at both ends of that time.
 */
export interface ConsumerSeen {
  readonly type: "consumer";
  readonly atMs: number;
  readonly subscription: string;
  readonly consumer: string;
  readonly phase:
    | "started"
    | "disconnected"
    | "unreachable"
    | "reachable"
    | "closing"
    | "closed"
    | "killed";
  /** It says when it begins with a message: what it did not begin cannot count as failed. */
  readonly reportsBegun?: boolean | undefined;
}

/** A message was found in a dead letter topic. `scan` of that topic says that all of it was read. */
export interface DeadLetterSeen {
  readonly type: "dead";
  readonly atMs: number;
  readonly subscription: string;
  /** Where it came from. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
  /** Where it is now. */
  readonly deadTopic: string;
  readonly deadPartition: number;
  readonly deadOffset: number;
  readonly failed?: number | undefined;
}

/** How far a subscription is in a partition, as its leader said. */
export interface CursorSeen {
  readonly type: "cursor";
  readonly atMs: number;
  readonly subscription: string;
  readonly topic: string;
  readonly partition: number;
  /** The lowest offset that is not settled. */
  readonly offset: number;
  /** When it was asked; left out: at `atMs`. */
  readonly beganMs?: number | undefined;
  readonly leaderEpoch?: number | undefined;
  /** Ranges from the cursor on that are not settled. */
  readonly unsettled?: readonly number[] | undefined;
  /** The subscription has come to rest: this decides about loss. */
  readonly isFinal?: boolean | undefined;
}

/** Version 1's form of a settlement, which nothing was checked of. Read, and passed over. */
export interface DeliverySettled {
  readonly type: "settle";
  readonly atMs: number;
  readonly subscription: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly verdict: "ack" | "nack";
}

export type DeliveryEvent =
  | SubscriptionDeclared
  | Delivered
  | HandlerSeen
  | SettlementAsked
  | SettlementAnswered
  | LeaseLost
  | SubscriptionReset
  | SubscriptionPaused
  | KeyReleased
  | ConsumerSeen
  | DeadLetterSeen
  | CursorSeen
  | DeliverySettled;
