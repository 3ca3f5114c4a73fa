// What a subscription is, as data: it stands in the metadata, and leaders of partitions hand out by it. Checked where it
// enters (cluster room); the filter is checked by the filter room, which knows its forms.

/** In which order messages go out, and to how many consumers. docs/adr/0015 says what each promises. */
export type SubscriptionMode = "shared" | "keyed" | "fifo" | "exclusive";

/** What happens to an ordered message that failed for the last time. */
export type FailurePolicy = "stop" | "park" | "skip";

/** Exactly one form. */
export type TopicSelection =
  | { readonly kind: "names"; readonly names: readonly string[] }
  /** Over the parts between "/": "*" one part, "#" any number. */
  | { readonly kind: "patterns"; readonly patterns: readonly string[] }
  /** RE2 syntax, matched against the whole name. */
  | { readonly kind: "regex"; readonly regex: string };

/** Where a subscription begins in topics that are older than itself; in younger ones it begins at the earliest message. */
export type SubscriptionStart =
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  | { readonly kind: "time"; readonly timeMs: number };

export interface RetryPolicy {
  /** Failures after which a message is dead, 1 to 1000. */
  readonly attemptsMax: number;
  /** Delay after the n-th failure, ms; the last one repeats. Empty: exponential. */
  readonly delaysMs: readonly number[];
  readonly initialMs: number;
  readonly maxMs: number;
  /** From one delay to the next, percent, 100 to 1000. */
  readonly multiplierPercent: number;
  /** A delay is drawn between 100 − jitter and 100 percent of what it would be, 0 to 100. */
  readonly jitterPercent: number;
}

export interface SubscriptionDefinition {
  readonly name: string;
  readonly topics: TopicSelection;
  /** JSON of a Filter (filter room), canonical; "": every message. */
  readonly filter: string;
  readonly mode: SubscriptionMode;
  readonly retry: RetryPolicy;
  /** Name of the dead letter topic; undefined: dead messages are tried again for ever, at the longest delay. */
  readonly deadLetterTopic: string | undefined;
  /** Ordered modes only; "skip" in shared mode. */
  readonly onFailure: FailurePolicy;
  readonly ackDeadlineMs: number;
  readonly start: SubscriptionStart;
  /** Nothing is handed out before, ms since 1970; 0: not paused; Number.MAX_SAFE_INTEGER: until resumed. */
  readonly pausedUntilMs: number;
}

/** A subscription in the metadata, as leaders of partitions see it. */
export interface SubscriptionRow {
  /** UUID, never used again. */
  readonly subscriptionId: string;
  /** Index of the metadata entry that created it. */
  readonly createdIndex: number;
  /** Index of the metadata entry that last changed it: its version. */
  readonly version: number;
  readonly definition: SubscriptionDefinition;
}

/** Topics that hold dead letters begin with this; patterns and expressions never select them, only names do. */
export const DEAD_LETTER_PREFIX = "dlq/";

/** Topics of what is tried again: each is selected by the subscription that the rest names, and by no other. */
export const REDRIVE_PREFIX = "redrive/";

/** Where dead letters of the subscription of that name are tried again. */
export function redriveTopicOf(subscription: string): string {
  return `${REDRIVE_PREFIX}${subscription}`;
}

/** The subscription that remembers which dead letters of another one are dealt with: its settled messages. */
export function deadLetterLedgerOf(subscription: string): string {
  return `${DEAD_LETTER_PREFIX}${subscription}`;
}

/** Defaults of what a definition may leave out. */
export const SUBSCRIPTION_DEFAULTS = {
  attemptsMax: 16,
  initialMs: 1000,
  maxMs: 600_000,
  multiplierPercent: 200,
  jitterPercent: 20,
  ackDeadlineMs: 30_000,
} as const;

/** Inclusive limits; beyond: INVALID_REQUEST that names the field, or OVERLOADED where it is a number of things that exist. */
export const SUBSCRIPTION_LIMITS = {
  namesMax: 64,
  patternsMax: 16,
  regexCharacters: 256,
  attemptsMax: 1000,
  delays: 64,
  delayMs: 7 * 24 * 3600 * 1000,
  ackDeadlineMinMs: 1000,
  ackDeadlineMaxMs: 12 * 3600 * 1000,
  consumerIdCharacters: 128,
  errorCharacters: 256,
  /** Of a cluster. */
  subscriptions: 10_000,
  /** Attached to one partition. */
  perPartition: 1000,
  /** Failed messages that one subscription keeps per partition. At the limit nothing new is handed out until some are settled. */
  failures: 100_000,
  /** Of one subscription and partition. At the limit the partition stops. */
  parkedKeys: 10_000,
  /**
   * Consumers of one subscription that a leader of a partition notes by name: as many as a broker has streams (PUSH_SESSIONS_MAX).
   * Beyond, the next leader does not know for whom to wait, and waits a whole ack deadline.
   */
  notedConsumers: 10_000,
} as const;
