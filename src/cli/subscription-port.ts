// What the commands about subscriptions need from the SDK. Part of client-port.ts. Types only.
import type { Filter } from "../model/filter.ts";
import type {
  FailurePolicy,
  SubscriptionMode,
  SubscriptionStart,
  TopicSelection,
} from "../model/subscription.ts";
import type { StartAt } from "./options.ts";

export interface PartitionPlace {
  readonly topic: string;
  readonly partition: number;
}

export type TopicChoice =
  | readonly string[]
  | { readonly patterns: readonly string[] }
  | { readonly regex: string };

export interface RetryWish {
  readonly attempts?: number | undefined;
  readonly delaysMs?: readonly number[] | undefined;
  readonly initialMs?: number | undefined;
  readonly maxMs?: number | undefined;
  readonly multiplier?: number | undefined;
  readonly jitter?: number | undefined;
}

/** What is undefined stays as it is, or has its default. */
export interface SubscriptionChanges {
  readonly topics?: TopicChoice | undefined;
  /** As JSON text, or as data. */
  readonly filter?: Filter | string | undefined;
  readonly retry?: RetryWish | undefined;
  readonly deadLetter?: boolean | string | undefined;
  readonly onFailure?: FailurePolicy | undefined;
  readonly ackDeadlineMs?: number | undefined;
}

export interface NewSubscription extends SubscriptionChanges {
  readonly name: string;
  readonly topics: TopicChoice;
  readonly mode: SubscriptionMode | undefined;
  readonly start: "earliest" | "latest" | { readonly timeMs: number } | undefined;
  readonly paused: boolean;
}

export interface SubscriptionDetails {
  readonly subscriptionId: string;
  readonly version: number;
  readonly name: string;
  readonly topics: TopicSelection;
  readonly filter: Filter;
  readonly mode: SubscriptionMode;
  readonly retry: {
    readonly attempts: number;
    readonly delaysMs: readonly number[];
    readonly initialMs: number;
    readonly maxMs: number;
    readonly multiplier: number;
    readonly jitter: number;
  };
  readonly deadLetterTopic: string | undefined;
  readonly onFailure: FailurePolicy;
  readonly ackDeadlineMs: number;
  readonly start: SubscriptionStart;
  /** 0: not paused; Number.MAX_SAFE_INTEGER: until resumed. */
  readonly pausedUntilMs: number;
}

export interface PartitionProgress extends PartitionPlace {
  readonly attached: boolean;
  readonly cursor: number;
  readonly highWatermark: number;
  readonly unsettledMessages: number;
  readonly unsettledBytes: number;
  /** 0: none. */
  readonly oldestUnsettledMs: number;
  readonly outstandingMessages: number;
  readonly retryingMessages: number;
  readonly parkedKeys: number;
  readonly droppedMessages: number;
  readonly consumers: number;
  readonly activeConsumer: string;
  /** 0: not stopped. */
  readonly stoppedAtPlusOne: number;
}

export interface Progress {
  readonly partitions: readonly PartitionProgress[];
  /** No leader answered. */
  readonly unknown: readonly PartitionPlace[];
}

export interface SeekAnswer extends PartitionPlace {
  readonly from: number;
  readonly to: number;
  readonly skippedMessages: number;
  readonly repeatedMessages: number;
}

export interface FailedAttempt {
  readonly timeMs: number;
  readonly cause: string;
  readonly error: string;
}

export interface Explanation {
  readonly fate?: string | undefined;
  readonly sentence: string;
  readonly handedOut: number;
  readonly failed: number;
  readonly failures: readonly FailedAttempt[];
  readonly key?: Uint8Array | undefined;
  /** Of a message that died into its topic. */
  readonly deadLetter?: PartitionPlace & { readonly offset: number };
}

export interface ParkedKey extends PartitionPlace {
  readonly key?: Uint8Array | undefined;
  readonly offset: number;
  readonly sinceMs: number;
  readonly failures: readonly FailedAttempt[];
}

export interface MessageName extends PartitionPlace {
  readonly offset: number;
}

/** Partitions of a subscription: all, those of a topic, or one. */
export interface PartitionChoice {
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
}

export interface SubscriptionsPort {
  create(
    subscription: NewSubscription,
    validateOnly: boolean,
  ): Promise<{ readonly subscriptionId: string; readonly topics: readonly string[] }>;
  /** All pages. */
  list(wish: {
    readonly prefix: string;
    readonly topic: string | undefined;
  }): Promise<readonly SubscriptionDetails[]>;
  describe(name: string): Promise<{
    readonly subscription: SubscriptionDetails;
    readonly topics: readonly { readonly name: string; readonly partitions: number }[];
  }>;
  alter(
    name: string,
    changes: SubscriptionChanges,
    version: number | undefined,
  ): Promise<{ readonly version: number }>;
  /** @param untilMs undefined: until it is resumed */
  pause(name: string, untilMs: number | undefined): Promise<void>;
  resume(name: string): Promise<void>;
  delete(name: string): Promise<void>;
  progress(name: string): Promise<Progress>;
  seek(
    name: string,
    to: StartAt,
    where: PartitionChoice,
    dryRun: boolean,
  ): Promise<readonly SeekAnswer[]>;
  explain(name: string, message: MessageName): Promise<Explanation>;
  parkedKeys(name: string, where: PartitionChoice): Promise<readonly ParkedKey[]>;
  release(name: string, message: MessageName, skipMessage: boolean): Promise<void>;
}
