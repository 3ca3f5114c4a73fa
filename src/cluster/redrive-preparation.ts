// What has to be there before dead letters of a subscription can be tried again: the topic where they go, and the subscription
// that remembers which are dealt with, its ledger (docs/adr/0016). Runs on the metadata leader; repeating it changes nothing.
// The dead letter service calls it.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { DEAD_HEADER } from "../model/headers.ts";
import {
  deadLetterLedgerOf,
  redriveTopicOf,
  SUBSCRIPTION_LIMITS,
  type SubscriptionDefinition,
} from "../model/subscription.ts";
import type { MetadataController } from "./metadata-controller.ts";
import type { MetadataView } from "./metadata-image.ts";
import type { SubscriptionFrontend } from "./subscription-frontend.ts";
import { wishOf } from "./subscription-reader.ts";
import type { TopicFrontend, Waiting } from "./topic-frontend.ts";
import type { TopicRow } from "./topic-table.ts";

export interface RedrivePreparationOptions {
  readonly controller: Pick<MetadataController, "requireLeader">;
  readonly view: MetadataView;
  readonly topics: Pick<TopicFrontend, "createTopic" | "requireTopic">;
  readonly definitions: Pick<SubscriptionFrontend, "create" | "alter" | "require">;
}

export interface PreparedRedrive {
  readonly deadLetterTopic: string;
  readonly redriveTopic: string;
  readonly ledger: string;
}

export class RedrivePreparation {
  readonly #options: RedrivePreparationOptions;

  constructor(options: RedrivePreparationOptions) {
    this.#options = options;
  }

  /**
   * @param name of the subscription whose messages died
   * @throws BrokerError UNKNOWN_SUBSCRIPTION | INVALID_REQUEST (it has no dead letters) | UNKNOWN_TOPIC_OR_PARTITION, and as
   * TopicFrontend.createTopic and SubscriptionFrontend.create
   */
  async prepare(name: string, waiting: Waiting): Promise<PreparedRedrive> {
    const { controller, definitions, topics } = this.#options;
    controller.requireLeader();
    const deadLetterTopic = requireDeadLetterTopic(definitions.require(name).definition);
    const redriveTopic = redriveTopicOf(name);
    const ledger = deadLetterLedgerOf(name);
    await this.#ensureTopic(redriveTopic, topics.requireTopic(deadLetterTopic), waiting);
    await this.#ensureLedger(ledger, name, deadLetterTopic, waiting);
    return { deadLetterTopic, redriveTopic, ledger };
  }

  /** As safe as the dead letters are. One that is there is taken as it is. */
  async #ensureTopic(name: string, dead: TopicRow, waiting: Waiting): Promise<void> {
    const { topics, view } = this.#options;
    if (view.image.topicByName(name) !== undefined) return;
    const { partitions, replicationFactor, settings } = dead;
    const wish = { name, partitions, replicationFactor, settings, validateOnly: false };
    try {
      await topics.createTopic(wish, waiting);
    } catch (error) {
      if (!isBrokerError(error, "TOPIC_EXISTS")) throw error;
    }
  }

  async #ensureLedger(
    ledger: string,
    subscription: string,
    topic: string,
    waiting: Waiting,
  ): Promise<void> {
    const { definitions, view } = this.#options;
    const known = view.image.subscriptionByName(ledger)?.definition;
    if (known === undefined) {
      const definition = ledgerOf(ledger, subscription, topic);
      try {
        await definitions.create({ definition, validateOnly: false, isLedger: true }, waiting);
      } catch (error) {
        if (!isBrokerError(error, "SUBSCRIPTION_EXISTS")) throw error;
      }
      return;
    }
    const names = known.topics.kind === "names" ? known.topics.names : [];
    if (names.includes(topic)) return;
    // The subscription has another topic for its dead letters now: what was dealt with in the former one stays known.
    const kept = [...names, topic].slice(-SUBSCRIPTION_LIMITS.namesMax);
    const topics = { names: kept, patterns: [], regex: "" };
    await definitions.alter({ definition: { ...wishOf(known), topics }, version: 0 }, waiting);
  }
}

/** Letters of other subscriptions in the same topic are none of its business. */
function ledgerOf(name: string, subscription: string, topic: string) {
  const headers = { [DEAD_HEADER.SUBSCRIPTION]: subscription };
  return {
    name,
    topics: { names: [topic], patterns: [], regex: "" },
    filter: JSON.stringify({ kind: "headers", match: "all", headers }),
    mode: "shared" as const,
    ackDeadlineMs: 0,
    pausedUntilMs: 0,
  };
}

/** @throws BrokerError INVALID_REQUEST when dead messages of the subscription go nowhere */
export function requireDeadLetterTopic(definition: SubscriptionDefinition): string {
  if (definition.deadLetterTopic !== undefined) return definition.deadLetterTopic;
  const limit = "a subscription that has a dead letter topic";
  const message = `subscription "${definition.name}" has no dead letters`;
  throw new BrokerError("INVALID_REQUEST", message, { field: "subscription", limit });
}
