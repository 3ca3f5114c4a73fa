// Administration: topics, cluster, leaderships, verdicts. Changes go to the leader of the metadata group, questions about a
// partition to its leader; hints are followed and elections waited for, within each call's deadline.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { PAGE_SIZE_MAX } from "../model/limits.ts";
import type {
  DescribeClusterResponse,
  DescribeTopicResponse,
  DigestReplicaResponse,
  ListOffsetsResponse,
  QueryOutcomeResponse,
  TopicSummary,
} from "../rpc/generated/flotilla-v1.ts";
import { adminService, fetchService, produceService } from "../rpc/methods.ts";
import type { ClientDeps } from "./client-deps.ts";
import { DeadLetterAdmin } from "./dead-letter-admin.ts";
import { asFlotillaError, FlotillaError } from "./flotilla-error.ts";
import { MemberAdmin } from "./member-admin.ts";
import { SubscriptionAdmin } from "./subscription-admin.ts";
import { type CallSettings, UnaryCaller } from "./unary-caller.ts";

export interface NewTopic {
  readonly name: string;
  /** 1 to 4096; default: the cluster's, usually 1. */
  readonly partitions?: number | undefined;
  /** 1 to 7; default: the cluster's, usually 3 or the number of nodes. */
  readonly replicationFactor?: number | undefined;
  /** By name, as texts: `{ flush: "async", "retention.ms": "3600000" }`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Only check, change nothing. */
  readonly validateOnly?: boolean | undefined;
}

/** Where each topic partition is led, as the SDK knows it now. */
export interface TopicMetadata {
  readonly name: string;
  readonly topicId: string;
  readonly layoutEpoch: number;
  readonly partitions: readonly {
    readonly partition: number;
    /** Undefined: no leader is known. */
    readonly leaderEndpoint: string | undefined;
    readonly leaderEpoch: number;
  }[];
}

/** Names a batch by its place (from a receipt), or by producer and sequence. */
export type OutcomeQuestion =
  | {
      readonly topic: string;
      readonly partition: number;
      readonly offset: number;
      readonly leaderEpoch: number;
    }
  | {
      readonly topic: string;
      readonly partition: number;
      readonly producerId: number;
      readonly producerEpoch: number;
      readonly baseSequence: number;
    };

export interface Outcome {
  /** lost: it is not in the log and can never come back. unknown: not decided yet, or not remembered. */
  readonly outcome: "committed" | "lost" | "unknown";
  readonly offset: number;
  readonly leaderEpoch: number;
}

export interface ListTopicsOptions extends CallSettings {
  readonly prefix?: string | undefined;
  /** Items per question, 1 to 1000; default 1000. */
  readonly pageSize?: number | undefined;
}

export interface PartitionOffsets {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** For the time asked about; the high watermark when everything is older. */
  readonly offset: number;
  readonly leaderEpoch: number;
}

export class Admin {
  readonly #deps: ClientDeps;
  readonly #caller: UnaryCaller;
  /** Moves of replicas, nodes that leave, voters of the metadata group. */
  readonly members: MemberAdmin;
  readonly subscriptions: SubscriptionAdmin;
  /** Messages that failed for good: listed, looked at, sent back. */
  readonly deadLetters: DeadLetterAdmin;

  constructor(deps: ClientDeps) {
    this.#deps = deps;
    this.#caller = new UnaryCaller(deps);
    this.members = new MemberAdmin(this.#caller);
    this.subscriptions = new SubscriptionAdmin(deps, this.#caller);
    this.deadLetters = new DeadLetterAdmin(deps, this.#caller, this.subscriptions);
  }

  /**
   * Creates a topic; resolves when each partition has a leader that serves.
   *
   * A repetition that finds the topic after an attempt of unknown outcome takes it as its own.
   * @returns its id; "" with validateOnly
   * @throws FlotillaError INVALID_REQUEST, TOPIC_EXISTS, INVALID_REPLICATION_FACTOR, DEADLINE (it may exist)
   */
  async createTopic(topic: NewTopic, settings: CallSettings = {}): Promise<{ topicId: string }> {
    let mayExist = false;
    try {
      return await this.#caller.call(
        {
          ...settings,
          method: adminService.createTopic,
          target: { kind: "controller" },
          isSlow: true,
          request: () => ({
            name: topic.name,
            partitions: topic.partitions ?? 0,
            replicationFactor: topic.replicationFactor ?? 0,
            settings: topic.settings ?? {},
            validateOnly: topic.validateOnly ?? false,
          }),
        },
        () => {
          mayExist = true;
        },
      );
    } catch (error) {
      if (!mayExist || !isBrokerError(error, "TOPIC_EXISTS")) throw error;
      const found = await this.describeTopic(topic.name, settings);
      return { topicId: found.topic?.topicId ?? "" };
    }
  }

  /**
   * Changes settings; an empty text restores the default.
   * @throws FlotillaError INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION
   */
  async alterTopic(
    name: string,
    changes: Readonly<Record<string, string>>,
    settings: CallSettings = {},
  ): Promise<void> {
    await this.#caller.call({
      ...settings,
      method: adminService.alterTopic,
      target: { kind: "controller" },
      request: () => ({ name, settings: changes }),
    });
  }

  /** Deletes a topic and its messages. @throws FlotillaError UNKNOWN_TOPIC_OR_PARTITION */
  async deleteTopic(name: string, settings: CallSettings = {}): Promise<void> {
    let mayBeDone = false;
    try {
      await this.#caller.call(
        {
          ...settings,
          method: adminService.deleteTopic,
          target: { kind: "controller" },
          request: () => ({ name }),
        },
        () => {
          mayBeDone = true;
        },
      );
    } catch (error) {
      if (!mayBeDone || !isBrokerError(error, "UNKNOWN_TOPIC_OR_PARTITION")) throw error;
    }
  }

  /** All topics in name order; asks for a page at a time. */
  async *listTopics(options: ListTopicsOptions = {}): AsyncGenerator<TopicSummary> {
    let pageToken = "";
    do {
      const request = {
        pageSize: options.pageSize ?? PAGE_SIZE_MAX,
        pageToken,
        prefix: options.prefix ?? "",
      };
      const page = await this.#caller.call({
        ...options,
        method: adminService.listTopics,
        target: { kind: "any" },
        request: () => request,
      });
      yield* page.topics;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Settings and partitions. @throws FlotillaError UNKNOWN_TOPIC_OR_PARTITION */
  describeTopic(name: string, settings: CallSettings = {}): Promise<DescribeTopicResponse> {
    return this.#caller.call({
      ...settings,
      method: adminService.describeTopic,
      target: { kind: "any" },
      request: () => ({ name }),
    });
  }

  /** Nodes and health, as one broker sees them. */
  describeCluster(settings: CallSettings = {}): Promise<DescribeClusterResponse> {
    return this.#caller.call({
      ...settings,
      method: adminService.describeCluster,
      target: { kind: "any" },
      request: () => ({}),
    });
  }

  /** Asks the cluster anew and gives what is known then. @throws FlotillaError UNKNOWN_TOPIC_OR_PARTITION */
  async metadata(topic: string): Promise<TopicMetadata> {
    let route: Awaited<ReturnType<ClientDeps["metadata"]["refresh"]>>;
    try {
      route = await this.#deps.metadata.refresh(topic);
    } catch (error) {
      throw asFlotillaError(error);
    }
    if (route === undefined) throw unknownTopic(topic);
    const { name, topicId, layoutEpoch } = route;
    const partitions = Array.from({ length: route.partitionCount }, (_, partition) => ({
      partition,
      leaderEndpoint: route.leaderOf(partition)?.endpoint,
      leaderEpoch: route.epochOf(partition),
    }));
    return { name, topicId, layoutEpoch, partitions };
  }

  /**
   * Moves the leadership of a partition; of the metadata group when `topic` is "".
   * @param toNode 0: any other replica in sync
   */
  async transferLeadership(
    topic: string,
    partition: number,
    toNode = 0,
    settings: CallSettings = {},
  ): Promise<void> {
    await this.#caller.call({
      ...settings,
      method: adminService.transferLeadership,
      target: topic === "" ? { kind: "controller" } : { kind: "leader", topic, partition },
      request: () => ({ topic, partition, toNode }),
    });
  }

  /** Hash of the entries that a node's replica holds, for comparing replicas. @param last 0: its commit index */
  digestReplica(
    nodeId: number,
    replica: {
      readonly topic: string;
      readonly partition: number;
      readonly firstIndex?: number;
      readonly lastIndex?: number;
    },
    settings: CallSettings = {},
  ): Promise<DigestReplicaResponse> {
    const { topic, partition, firstIndex = 0, lastIndex = 0 } = replica;
    return this.#caller.call({
      ...settings,
      method: adminService.digestReplica,
      target: { kind: "node", nodeId },
      request: () => ({ topic, partition, firstIndex, lastIndex }),
    });
  }

  /** What became of a send. */
  async queryOutcome(question: OutcomeQuestion, settings: CallSettings = {}): Promise<Outcome> {
    const { topic, partition } = question;
    const place = { offset: 0, leaderEpoch: 0, producerId: 0, producerEpoch: 0, baseSequence: 0 };
    const answer: QueryOutcomeResponse = await this.#caller.call({
      ...settings,
      method: produceService.queryOutcome,
      target: { kind: "leader", topic, partition },
      request: () => {
        const { offset, leaderEpoch, producerId, producerEpoch, baseSequence } = {
          ...place,
          ...question,
        };
        const topicId = this.#topicId(topic);
        return { topicId, partition, offset, leaderEpoch, producerId, producerEpoch, baseSequence };
      },
    });
    const { outcome, offset, leaderEpoch } = answer;
    return { outcome: outcome ?? "unknown", offset, leaderEpoch };
  }

  /** Bounds of a partition. @param timeMs also the first offset appended at or after this time, ms since 1970 */
  async listOffsets(
    topic: string,
    partition: number,
    timeMs = 0,
    settings: CallSettings = {},
  ): Promise<PartitionOffsets> {
    const answer: ListOffsetsResponse = await this.#caller.call({
      ...settings,
      method: fetchService.listOffsets,
      target: { kind: "leader", topic, partition },
      request: () => ({ topicId: this.#topicId(topic), partition, timeMs }),
    });
    return answer;
  }

  #topicId(topic: string): string {
    const route = this.#deps.metadata.topic(topic);
    if (route !== undefined) return route.topicId;
    throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic is called "${topic}"`, { topic });
  }
}

function unknownTopic(topic: string): FlotillaError {
  const text = `no topic is called "${topic}"`;
  return new FlotillaError("UNKNOWN_TOPIC_OR_PARTITION", text, { topic });
}
