// The replicated commands about subscriptions, and their checked JSON form. Part of metadata-commands.ts.
import type { RetryPolicy } from "../model/subscription.ts";
import {
  SUBSCRIPTION_LIMITS as LIMITS,
  type SubscriptionDefinition,
  type SubscriptionStart,
  type TopicSelection,
} from "../model/subscription.ts";
import { type Fields, integer, list, malformed, object, text, word } from "./command-fields.ts";

/** The proposer has checked the definition; the free name and the number of subscriptions are checked at apply. */
export interface CreateSubscription {
  readonly type: "create-subscription";
  /** Drawn by the proposer: makes a repeated proposal recognisable. */
  readonly subscriptionId: string;
  readonly definition: SubscriptionDefinition;
}

/** Another definition of the same name. Mode and start must be as they are. */
export interface AlterSubscription {
  readonly type: "alter-subscription";
  readonly subscriptionId: string;
  /** What it replaces; 0: whatever it is. */
  readonly version: number;
  readonly definition: SubscriptionDefinition;
}

export interface DeleteSubscription {
  readonly type: "delete-subscription";
  readonly subscriptionId: string;
}

export type SubscriptionCommand = CreateSubscription | AlterSubscription | DeleteSubscription;

export const SUBSCRIPTION_DECODERS: {
  readonly [Type in SubscriptionCommand["type"]]: (
    fields: Fields,
  ) => Extract<SubscriptionCommand, { readonly type: Type }>;
} = {
  "create-subscription": (fields) => ({
    type: "create-subscription",
    subscriptionId: idOf(fields),
    definition: definitionOf(object(fields, "definition")),
  }),
  "alter-subscription": (fields) => ({
    type: "alter-subscription",
    subscriptionId: idOf(fields),
    version: integer(fields, "version", 0, Number.MAX_SAFE_INTEGER),
    definition: definitionOf(object(fields, "definition")),
  }),
  "delete-subscription": (fields) => ({
    type: "delete-subscription",
    subscriptionId: idOf(fields),
  }),
};

function idOf(fields: Fields): string {
  return text(fields, "subscriptionId", 1, 64);
}

/** Wide ranges: what is allowed may change between versions of the software, what can be read may not. */
function definitionOf(fields: Fields): SubscriptionDefinition {
  return {
    name: text(fields, "name", 1, 255),
    topics: topicsOf(object(fields, "topics")),
    filter: text(fields, "filter", 0, 131_072),
    mode: word(fields, "mode", ["shared", "keyed", "fifo", "exclusive"]),
    retry: retryOf(object(fields, "retry")),
    deadLetterTopic:
      fields["deadLetterTopic"] === undefined ? undefined : text(fields, "deadLetterTopic", 1, 255),
    onFailure: word(fields, "onFailure", ["stop", "park", "skip"]),
    ackDeadlineMs: integer(fields, "ackDeadlineMs", 1, Number.MAX_SAFE_INTEGER),
    start: startOf(object(fields, "start")),
    pausedUntilMs: integer(fields, "pausedUntilMs", 0, Number.MAX_SAFE_INTEGER),
  };
}

function topicsOf(fields: Fields): TopicSelection {
  const kind = word(fields, "kind", ["names", "patterns", "regex"]);
  switch (kind) {
    case "names":
      return { kind, names: textsOf(fields, "names", LIMITS.namesMax) };
    case "patterns":
      return { kind, patterns: textsOf(fields, "patterns", LIMITS.patternsMax) };
    case "regex":
      return { kind, regex: text(fields, "regex", 1, LIMITS.regexCharacters) };
  }
}

function textsOf(fields: Fields, name: string, countMax: number): readonly string[] {
  return list(fields, name, 1, countMax).map((value) => {
    if (typeof value !== "string" || value === "" || value.length > 255) throw malformed(name);
    return value;
  });
}

function retryOf(fields: Fields): RetryPolicy {
  return {
    attemptsMax: integer(fields, "attemptsMax", 1, 1_000_000),
    delaysMs: list(fields, "delaysMs", 0, LIMITS.delays).map((value) => {
      if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
        throw malformed("delaysMs");
      }
      return value;
    }),
    initialMs: integer(fields, "initialMs", 0, Number.MAX_SAFE_INTEGER),
    maxMs: integer(fields, "maxMs", 0, Number.MAX_SAFE_INTEGER),
    multiplierPercent: integer(fields, "multiplierPercent", 100, 1_000_000),
    jitterPercent: integer(fields, "jitterPercent", 0, 100),
  };
}

function startOf(fields: Fields): SubscriptionStart {
  const kind = word(fields, "kind", ["earliest", "latest", "time"]);
  if (kind !== "time") return { kind };
  return { kind, timeMs: integer(fields, "timeMs", 0, Number.MAX_SAFE_INTEGER) };
}
