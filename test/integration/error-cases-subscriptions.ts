// Refusals of definitions of subscriptions. See error-cases.ts.
import { isBrokerError } from "../../src/model/errors.ts";
import {
  AlterSubscriptionRequest,
  CreateSubscriptionRequest,
  DeleteSubscriptionRequest,
  DescribeSubscriptionRequest,
  ListDeadLettersRequest,
  ListSubscriptionsRequest,
  PrepareRedriveRequest,
  RedriveDeadLettersRequest,
  SubscriptionDefinition,
  TopicSelection,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { deadLetterService, subscriptionService } from "../../src/rpc/methods.ts";
import { refusalOf } from "../support/wire-client.ts";
import { type Ends, type ErrorCase, TIMEOUT } from "./error-case.ts";

/** Of the table's topic "t"; without dead letters, so that it needs no topic of its own. */
function definition(fields: Partial<SubscriptionDefinition> = {}): SubscriptionDefinition {
  return SubscriptionDefinition.create({
    name: "s",
    topics: TopicSelection.create({ names: ["t"] }),
    mode: "shared",
    deadLetter: { enabled: false, topic: "" },
    ...fields,
  });
}

async function create({ controller }: Ends, fields: Partial<SubscriptionDefinition>) {
  const request = CreateSubscriptionRequest.create({ definition: definition(fields) });
  return controller.unary(subscriptionService.createSubscription, request, TIMEOUT);
}

/** Makes the subscription "s" once for all cases. */
export async function prepare(ends: Ends): Promise<void> {
  try {
    await create(ends, {});
  } catch (error) {
    if (!isBrokerError(error, "SUBSCRIPTION_EXISTS")) throw error;
  }
}

function badDefinition(
  title: string,
  wish: Partial<SubscriptionDefinition>,
  fields: NonNullable<ErrorCase["fields"]>,
): ErrorCase {
  return {
    reason: "INVALID_REQUEST",
    title,
    fields,
    refuse: async (ends) => refusalOf(create(ends, { name: "bad", ...wish })),
  };
}

function badAlteration(
  reason: ErrorCase["reason"],
  title: string,
  wish: Partial<SubscriptionDefinition>,
  fields: NonNullable<ErrorCase["fields"]>,
  version = 0,
): ErrorCase {
  return {
    reason,
    title,
    fields,
    prepare,
    refuse: async ({ controller }) => {
      const request = AlterSubscriptionRequest.create({ definition: definition(wish), version });
      return refusalOf(controller.unary(subscriptionService.alterSubscription, request, TIMEOUT));
    },
  };
}

const sql = (expression: string): string => JSON.stringify({ kind: "sql", expression });

export const SUBSCRIPTION_CASES: readonly ErrorCase[] = [
  {
    reason: "SUBSCRIPTION_EXISTS",
    title: "the name is taken",
    fields: { subscription: "s" },
    prepare,
    refuse: async (ends) => refusalOf(create(ends, {})),
  },
  badAlteration("VERSION_CONFLICT", "an older version", { ackDeadlineMs: 9999 }, {}, 1),
  badAlteration(
    "UNKNOWN_SUBSCRIPTION",
    "altered, never was",
    { name: "nobody" },
    {
      subscription: "nobody",
    },
  ),
  badAlteration("INVALID_REQUEST", "another mode", { mode: "keyed" }, { field: "mode" }),
  {
    reason: "UNKNOWN_SUBSCRIPTION",
    title: "deleted, never was",
    refuse: async ({ controller }) => {
      const request = DeleteSubscriptionRequest.create({ name: "nobody" });
      return refusalOf(controller.unary(subscriptionService.deleteSubscription, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_SUBSCRIPTION",
    title: "described by any broker, never was",
    refuse: async ({ follower: { connection } }) => {
      const request = DescribeSubscriptionRequest.create({ name: "nobody" });
      return refusalOf(
        connection.unary(subscriptionService.describeSubscription, request, TIMEOUT),
      );
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "subscriptions of no topic",
    fields: { topic: "nowhere" },
    refuse: async ({ follower: { connection } }) => {
      const request = ListSubscriptionsRequest.create({ topic: "nowhere" });
      return refusalOf(connection.unary(subscriptionService.listSubscriptions, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_TOPIC_OR_PARTITION",
    title: "a subscription of a topic that never was",
    fields: { topic: "nowhere" },
    refuse: async (ends) => {
      const topics = TopicSelection.create({ names: ["t", "nowhere"] });
      return refusalOf(create(ends, { name: "bad", topics }));
    },
  },
  badDefinition("a name of dead letters' ledgers", { name: "dlq/s" }, { field: "name" }),
  badDefinition(
    "somebody else's redriven messages",
    { topics: TopicSelection.create({ names: ["redrive/s"] }) },
    { field: "topics.names[0]" },
  ),
  {
    reason: "INVALID_REQUEST",
    title: "a redrive where there are no dead letters",
    fields: { field: "subscription" },
    prepare,
    refuse: async ({ controller }) => {
      const request = PrepareRedriveRequest.create({ subscription: "s" });
      return refusalOf(controller.unary(deadLetterService.prepareRedrive, request, TIMEOUT));
    },
  },
  {
    reason: "UNKNOWN_SUBSCRIPTION",
    title: "dead letters of nobody",
    fields: { subscription: "nobody" },
    refuse: async ({ follower: { connection } }) => {
      const request = ListDeadLettersRequest.create({ subscription: "nobody" });
      return refusalOf(connection.unary(deadLetterService.listDeadLetters, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "too many dead letters in one call",
    fields: { field: "limit", limit: "at most 256" },
    refuse: async ({ follower: { connection } }) => {
      const request = RedriveDeadLettersRequest.create({ subscription: "s", limit: 257 });
      return refusalOf(connection.unary(deadLetterService.redriveDeadLetters, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "a filter of dead letters that ends too early",
    fields: { field: "filter.expression", position: 13 },
    refuse: async ({ follower: { connection } }) => {
      const filter = sql("dead_reason =");
      const request = ListDeadLettersRequest.create({ subscription: "s", filter });
      return refusalOf(connection.unary(deadLetterService.listDeadLetters, request, TIMEOUT));
    },
  },
  badDefinition("a subscription without mode", { mode: undefined }, { field: "mode" }),
  badDefinition(
    "a filter that ends too early",
    { filter: sql("a =") },
    {
      field: "filter.expression",
      position: 3,
    },
  ),
  badDefinition(
    "a regex that is none",
    { topics: TopicSelection.create({ regex: "a[" }) },
    {
      field: "topics.regex",
      position: 1,
    },
  ),
  badDefinition(
    "dead letters of dead letters",
    {
      topics: TopicSelection.create({ names: ["dlq/s"] }),
      deadLetter: { enabled: true, topic: "" },
    },
    { field: "deadLetter.enabled" },
  ),
];
