// Answers about subscriptions from this node's image: a consistent copy, possibly a little behind the metadata leader. Plain
// objects with the protocol's field names; the subscription service encodes them. Any broker can answer.
import { BrokerError } from "../model/errors.ts";
import type {
  SubscriptionDefinition,
  SubscriptionRow,
  TopicSelection,
} from "../model/subscription.ts";
import type { MetadataImage, MetadataView } from "./metadata-image.ts";
import { firstAfter, pageSizeOf, withPrefix } from "./paging.ts";
import type { DefinitionWish } from "./subscription-check.ts";
import { requireSubscription } from "./subscription-frontend.ts";

export interface ListSubscriptionsWish {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly prefix: string;
  /** "": all. */
  readonly topic: string;
}

export interface SubscriptionAnswer {
  readonly subscriptionId: string;
  readonly version: number;
  readonly definition: DefinitionWish;
}

export interface ListSubscriptionsAnswer {
  readonly subscriptions: readonly SubscriptionAnswer[];
  readonly nextPageToken: string;
}

export interface DescribeSubscriptionAnswer {
  readonly subscription: SubscriptionAnswer;
  readonly topics: readonly {
    readonly topicId: string;
    readonly name: string;
    readonly partitions: number;
  }[];
}

export class SubscriptionReader {
  readonly #view: MetadataView;

  constructor(view: MetadataView) {
    this.#view = view;
  }

  /** In name order. @throws BrokerError INVALID_REQUEST | UNKNOWN_TOPIC_OR_PARTITION */
  list(wish: ListSubscriptionsWish): ListSubscriptionsAnswer {
    const { image } = this.#view;
    const pageSize = pageSizeOf(wish);
    const names = withPrefix(namesOf(image, wish.topic), wish.prefix);
    const from = wish.pageToken === "" ? 0 : firstAfter(names, wish.pageToken, false);
    const page = names.slice(from, from + pageSize);
    const subscriptions = page.flatMap((name) => {
      const row = image.subscriptionByName(name);
      return row === undefined ? [] : [answerOf(row)];
    });
    const isLast = from + pageSize >= names.length;
    return { subscriptions, nextPageToken: isLast ? "" : (page.at(-1) ?? "") };
  }

  /** @throws BrokerError UNKNOWN_SUBSCRIPTION */
  describe(name: string): DescribeSubscriptionAnswer {
    const row = requireSubscription(this.#view, name);
    const topics = this.#view.image.topicsOf(row);
    return {
      subscription: answerOf(row),
      topics: topics.map((topic) => ({
        topicId: topic.topicId,
        name: topic.name,
        partitions: topic.partitions,
      })),
    };
  }
}

function namesOf(image: MetadataImage, topic: string): readonly string[] {
  if (topic === "") return image.subscriptions.names;
  const row = image.topicByName(topic);
  if (row === undefined) {
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic is called "${topic}"`, { topic });
  }
  return image
    .subscriptionsOf(row.topicId)
    .map(({ definition }) => definition.name)
    .sort();
}

function answerOf({ definition, subscriptionId, version }: SubscriptionRow): SubscriptionAnswer {
  return { subscriptionId, version, definition: wishOf(definition) };
}

/** The definition as somebody would have to send it; checkDefinition() gives it back. */
export function wishOf(definition: SubscriptionDefinition): DefinitionWish {
  const { ackDeadlineMs, filter, mode, name, onFailure, pausedUntilMs, retry } = definition;
  const { deadLetterTopic, start, topics } = definition;
  return {
    name,
    topics: selectionWish(topics),
    filter,
    mode,
    retry,
    deadLetter: { enabled: deadLetterTopic !== undefined, topic: deadLetterTopic ?? "" },
    onFailure,
    ackDeadlineMs,
    start: { timeMs: 0, ...start },
    pausedUntilMs,
  };
}

function selectionWish(selection: TopicSelection): NonNullable<DefinitionWish["topics"]> {
  return {
    names: selection.kind === "names" ? selection.names : [],
    patterns: selection.kind === "patterns" ? selection.patterns : [],
    regex: selection.kind === "regex" ? selection.regex : "",
  };
}
