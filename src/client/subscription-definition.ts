// Definitions of subscriptions as applications write and read them, and their form on the wire. Checked by the broker: it
// knows the limits.
import type { Filter } from "../model/filter.ts";
import type {
  FailurePolicy,
  SubscriptionMode,
  SubscriptionStart,
  TopicSelection,
} from "../model/subscription.ts";
import * as wire from "../rpc/generated/flotilla-v1.ts";

/** One topic, several, patterns over the parts between "/" ("*" one part, "#" any number), or an RE2 expression. */
export type TopicChoice =
  | string
  | readonly string[]
  | { readonly patterns: readonly string[] }
  | { readonly regex: string };

export interface RetryOptions {
  /** Failures after which a message is dead, 1 to 1000; default 16. */
  readonly attempts?: number | undefined;
  /** Delay after the n-th failure, ms; the last one repeats. Default: exponential. */
  readonly delaysMs?: readonly number[] | undefined;
  /** First delay, ms; default 1000. */
  readonly initialMs?: number | undefined;
  /** Longest delay, ms; default 600000. */
  readonly maxMs?: number | undefined;
  /** From one delay to the next; default 2. */
  readonly multiplier?: number | undefined;
  /** Part of a delay that is drawn, 0 to 1; default 0.2. */
  readonly jitter?: number | undefined;
}

/** Retries as they are in force. */
export type RetryPlan = {
  readonly [Field in keyof RetryOptions]-?: NonNullable<RetryOptions[Field]>;
};

/** What of a subscription can be changed. */
export interface SubscriptionChanges {
  readonly topics?: TopicChoice | undefined;
  /** Which messages; default all of them. JSON text is taken as it is. */
  readonly filter?: Filter | string | undefined;
  readonly retry?: RetryOptions | undefined;
  /** Default true: "dlq/" and the subscription's name. A text names the topic; false: dead messages are tried for ever. */
  readonly deadLetter?: boolean | string | undefined;
  /** Of ordered messages that failed for the last time; default "park", in exclusive mode "stop". */
  readonly onFailure?: FailurePolicy | undefined;
  /** Time to settle a message, ms, 1000 to 43200000; default 30000. */
  readonly ackDeadlineMs?: number | undefined;
}

export interface NewSubscription extends SubscriptionChanges {
  readonly name: string;
  readonly topics: TopicChoice;
  /** Default "shared". */
  readonly mode?: SubscriptionMode | undefined;
  /** Where it begins in topics that exist already; default "earliest". */
  readonly start?: "earliest" | "latest" | { readonly timeMs: number } | undefined;
  /** Hands nothing out before it is resumed. */
  readonly paused?: boolean | undefined;
}

/** A subscription as it stands in the metadata. */
export interface Subscription {
  readonly subscriptionId: string;
  /** Grows with each change. */
  readonly version: number;
  readonly name: string;
  readonly topics: TopicSelection;
  readonly filter: Filter;
  readonly mode: SubscriptionMode;
  readonly retry: RetryPlan;
  /** Undefined: dead messages are tried for ever. */
  readonly deadLetterTopic: string | undefined;
  readonly onFailure: FailurePolicy;
  readonly ackDeadlineMs: number;
  readonly start: SubscriptionStart;
  /** Nothing is handed out before, ms since 1970; 0: not paused; PAUSED_UNTIL_RESUMED. */
  readonly pausedUntilMs: number;
}

export const PAUSED_UNTIL_RESUMED: number = Number.MAX_SAFE_INTEGER;

/** A new subscription on the wire. */
export function toWire(subscription: NewSubscription): wire.SubscriptionDefinition {
  const { mode = "shared", name, paused = false, start = "earliest" } = subscription;
  const bare = wire.SubscriptionDefinition.create({
    name,
    mode,
    start: typeof start === "string" ? { kind: start, timeMs: 0 } : { kind: "time", ...start },
    pausedUntilMs: paused ? PAUSED_UNTIL_RESUMED : 0,
  });
  return withChanges(bare, subscription);
}

/** What is not named stays as it is. */
export function withChanges(
  before: wire.SubscriptionDefinition,
  changes: SubscriptionChanges,
): wire.SubscriptionDefinition {
  const { ackDeadlineMs, deadLetter, filter, onFailure, retry, topics } = changes;
  return {
    ...before,
    topics: topics === undefined ? before.topics : topicsToWire(topics),
    filter: filter === undefined ? before.filter : filterToWire(filter),
    retry: retry === undefined ? before.retry : retryToWire(before.retry, retry),
    deadLetter: deadLetter === undefined ? before.deadLetter : deadLetterToWire(deadLetter),
    onFailure: onFailure ?? before.onFailure,
    ackDeadlineMs: ackDeadlineMs ?? before.ackDeadlineMs,
  };
}

function topicsToWire(topics: TopicChoice): wire.TopicSelection {
  if (typeof topics === "string") return wire.TopicSelection.create({ names: [topics] });
  if (isList(topics)) return wire.TopicSelection.create({ names: topics });
  return wire.TopicSelection.create(topics);
}

function isList(topics: TopicChoice): topics is readonly string[] {
  return Array.isArray(topics);
}

/** A filter as data, or as its JSON. */
export function filterToWire(filter: Filter | string): string {
  return typeof filter === "string" ? filter : JSON.stringify(filter);
}

function retryToWire(before: wire.RetryPolicy | undefined, retry: RetryOptions): wire.RetryPolicy {
  const { attempts, delaysMs, initialMs, jitter, maxMs, multiplier } = retry;
  const base = before ?? wire.RetryPolicy.create();
  return {
    attemptsMax: attempts ?? base.attemptsMax,
    delaysMs: delaysMs ?? base.delaysMs,
    initialMs: initialMs ?? base.initialMs,
    maxMs: maxMs ?? base.maxMs,
    multiplierPercent: percent(multiplier) ?? base.multiplierPercent,
    jitterPercent: percent(jitter) ?? base.jitterPercent,
  };
}

function percent(share: number | undefined): number | undefined {
  return share === undefined ? undefined : Math.round(share * 100);
}

function deadLetterToWire(deadLetter: boolean | string): wire.DeadLetterPolicy | undefined {
  // Absent: as the broker decides, which knows topics that are dead letters themselves.
  if (deadLetter === true) return undefined;
  if (deadLetter === false) return { enabled: false, topic: "" };
  return { enabled: true, topic: deadLetter };
}

/** @throws TypeError for an answer that leaves out what every broker says */
export function fromWire(message: wire.Subscription | undefined): Subscription {
  const { subscriptionId, version, definition } = message ?? wire.Subscription.create();
  const { deadLetter, mode, onFailure, retry, start, topics } = definition ?? {};
  if (
    definition === undefined ||
    topics === undefined ||
    mode === undefined ||
    retry === undefined ||
    onFailure === undefined
  ) {
    throw new TypeError("the broker's answer about a subscription is incomplete");
  }
  return {
    subscriptionId,
    version,
    name: definition.name,
    topics: selectionOf(topics),
    filter: filterOf(definition.filter),
    mode,
    retry: {
      attempts: retry.attemptsMax,
      delaysMs: retry.delaysMs,
      initialMs: retry.initialMs,
      maxMs: retry.maxMs,
      multiplier: retry.multiplierPercent / 100,
      jitter: (retry.jitterPercent ?? 0) / 100,
    },
    deadLetterTopic: deadLetter?.enabled === true ? deadLetter.topic : undefined,
    onFailure,
    ackDeadlineMs: definition.ackDeadlineMs,
    start: startOf(start),
    pausedUntilMs: definition.pausedUntilMs,
  };
}

const FILTER_KINDS: ReadonlySet<unknown> = new Set<Filter["kind"]>([
  "all",
  "tags",
  "sql",
  "fanout",
  "direct",
  "topic",
  "headers",
]);

/** @throws TypeError for a form that only newer brokers know */
function filterOf(json: string): Filter {
  if (json === "") return { kind: "all" };
  const value: unknown = JSON.parse(json);
  if (isFilter(value)) return value;
  throw new TypeError(`this version does not know the filter ${json.slice(0, 80)}`);
}

/** By its kind: the broker has checked the rest. */
function isFilter(value: unknown): value is Filter {
  return (
    typeof value === "object" && value !== null && "kind" in value && FILTER_KINDS.has(value.kind)
  );
}

function selectionOf({ names, patterns, regex }: wire.TopicSelection): TopicSelection {
  if (names.length > 0) return { kind: "names", names };
  return patterns.length > 0 ? { kind: "patterns", patterns } : { kind: "regex", regex };
}

function startOf(start: wire.StartPosition | undefined): SubscriptionStart {
  if (start?.kind === "time") return { kind: "time", timeMs: start.timeMs };
  return { kind: start?.kind === "latest" ? "latest" : "earliest" };
}
