// Answers of the Metadata service and the reading half of the Admin service, from this node's
// image, leader cache and liveness: a consistent copy, possibly a little behind the metadata
// leader. Plain objects with the protocol's field names; the services encode them. Any broker can
// answer.
import type { Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import { type GroupId, type NodeId, nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import { PAGE_SIZE_MAX, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../model/limits.ts";
import { describeTopicSettings, parseTopicSettings } from "../model/topic-settings.ts";
import type { Founders } from "./cluster-format.ts";
import type { LeaderCache } from "./leader-cache.ts";
import type { Liveness } from "./liveness.ts";
import { wantedReplicas } from "./member-rules.ts";
import type {
  DescribeClusterAnswer,
  DescribeTopicAnswer,
  ListTopicsAnswer,
  ListTopicsWish,
  MetadataAnswer,
  MetadataRequest,
  NodeStateAnswer,
  TopicAnswer,
  TopicSummaryAnswer,
} from "./metadata-answers.ts";
import type { MetadataReplica } from "./metadata-controller.ts";
import type { MetadataView } from "./metadata-image.ts";
import { firstAfter, pageSizeOf, withPrefix } from "./paging.ts";
import type { LedPartition } from "./ports.ts";
import { type PartitionRow, placementsOf, type TopicRow } from "./topic-table.ts";

/**
 * Partitions described in one page of topics. A page ends after the topic that reaches it: messages
 * stay small.
 */
export const PARTITIONS_PER_PAGE = 20_000;

export interface MetadataReaderOptions {
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly view: MetadataView;
  readonly leaders: LeaderCache;
  readonly liveness: Liveness;
  readonly replica: Pick<MetadataReplica, "leaderNode" | "term">;
  /** Voters of the metadata group, as this node's replica knows them. */
  readonly metadataVoters: () => readonly ReplicaId[];
  readonly founders: Founders;
  readonly clock: Clock;
  /** What this node's leader of a group says; undefined when it does not lead it. */
  readonly ledPartition: (groupId: GroupId) => LedPartition | undefined;
  /** Nodes whose replicas may have forgotten what they acknowledged, as far as this node's replica knows; `liveness` knows more. */
  readonly recoveringNodes: (groupId: GroupId) => readonly NodeId[];
}

const UNKNOWN_STATE: LedPartition = {
  inSync: [],
  logStartOffset: 0,
  highWatermark: 0,
  bytes: 0,
  commitIndex: 0,
};

export class MetadataReader {
  readonly #options: MetadataReaderOptions;

  constructor(options: MetadataReaderOptions) {
    this.#options = options;
  }

  /**
   * Topics with their partitions and leaders, and all brokers. Names that do not exist are left
   * out.
   * @throws BrokerError INVALID_REQUEST | UNSUPPORTED_VERSION
   */
  metadata(request: MetadataRequest): MetadataAnswer {
    checkProtocolVersion(request.protocolVersion);
    const { clusterId, replica, view } = this.#options;
    const { image } = view;
    if (request.topics.length > PAGE_SIZE_MAX) {
      throw new BrokerError("INVALID_REQUEST", `at most ${PAGE_SIZE_MAX} topics by name`, {
        field: "topics",
        limit: PAGE_SIZE_MAX,
      });
    }
    const names =
      request.topics.length === 0 ? image.topicNames : [...new Set(request.topics)].sort();
    const page = this.#page(names, request);
    return {
      clusterId,
      metadataIndex: image.version,
      brokers: [...image.nodes.values()].map((node) => ({
        nodeId: node.nodeId,
        endpoint: node.endpoints.client,
        fenced: node.fenced,
        adminEndpoint: node.endpoints.admin,
      })),
      topics: page.topics.map((topic) => this.#topic(topic)),
      nextPageToken: page.nextPageToken,
      controllerId: replica.leaderNode,
    };
  }

  /** Topics in name order. @throws BrokerError INVALID_REQUEST */
  listTopics(wish: ListTopicsWish): ListTopicsAnswer {
    const { prefix } = wish;
    const { topicNames } = this.#options.view.image;
    const names = withPrefix(topicNames, prefix);
    const page = this.#page(names, wish);
    return { topics: page.topics.map(summaryOf), nextPageToken: page.nextPageToken };
  }

  /**
   * One topic; `inSync` and positions only of partitions led here. @throws BrokerError
   * UNKNOWN_TOPIC_OR_PARTITION
   */
  describeTopic(name: string): DescribeTopicAnswer {
    const { image } = this.#options.view;
    const topic = image.topicByName(name);
    if (topic === undefined) {
      throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", `no topic is called "${name}"`, {
        topic: name,
      });
    }
    return {
      topic: summaryOf(topic),
      settings: describeTopicSettings(topic.settings),
      partitions: image.partitionsOf(topic.topicId).map((row) => ({
        ...UNKNOWN_STATE,
        ...this.#options.ledPartition(row.groupId),
        partition: row.partition,
        ...this.#leader(row),
        replicas: nodesOf(row),
        recovering: this.#recovering(row),
        leaving: row.change?.leaving.map((place) => place.nodeId) ?? [],
      })),
    };
  }

  /** Nodes, roles and health as this node sees them. */
  describeCluster(): DescribeClusterAnswer {
    const { clusterId, founders, leaders, ledPartition, nodeId, replica, view } = this.#options;
    const { image } = view;
    const counts = new Counts();
    let leaderlessPartitions = 0;
    let underReplicatedPartitions = 0;
    let movingPartitions = 0;
    for (const row of image.partitions.values()) {
      for (const place of row.replicas) counts.add(counts.replicas, place.nodeId);
      for (const place of placementsOf(row)) counts.add(counts.left, place.nodeId);
      if (row.change !== undefined) movingPartitions += 1;
      const leader = leaders.get(row.groupId)?.nodeId ?? 0;
      if (leader === 0) leaderlessPartitions += 1;
      else counts.add(counts.leaders, leader);
      const led = ledPartition(row.groupId);
      const due = Math.max(row.replicas.length, wantedReplicas(image.topics, row));
      if (led !== undefined && led.inSync.length < due) underReplicatedPartitions += 1;
    }
    return {
      clusterId,
      nodeId,
      controllerId: replica.leaderNode,
      nodes: this.#nodes(counts),
      leaderlessPartitions,
      underReplicatedPartitions,
      metadataTerm: replica.term,
      movingPartitions,
      foundingVoters: founders.metadataVoters,
      foundingLearners: founders.metadataLearners,
      metadataVoters: image.metadataVoters,
      metadataIndex: image.version,
    };
  }

  #nodes(counts: Counts): readonly NodeStateAnswer[] {
    const { clock, liveness, metadataVoters, view } = this.#options;
    const nowMs = clock.monotonicMs();
    const voting = new Set(metadataVoters().map(nodeOfReplica));
    const nodes = [...view.image.nodes.values()].sort((a, b) => a.nodeId - b.nodeId);
    return nodes.map(({ decommission, endpoints, fenced, nodeId }) => ({
      nodeId,
      endpoint: endpoints.client,
      fenced,
      leaders: counts.leaders.get(nodeId) ?? 0,
      replicas: counts.replicas.get(nodeId) ?? 0,
      lastHeardMs: Math.round(liveness.silentForMs(nodeId, nowMs) ?? nowMs),
      decommissioning: decommission !== undefined,
      partitionsLeft: counts.left.get(nodeId) ?? 0,
      metadataVoter: voting.has(nodeId),
    }));
  }

  /**
   * The leader hint of a NOT_LEADER refusal for a partition group.
   * @returns fields `leaderId`, `leaderEndpoint`, `leaderEpoch`; empty when no leader is known
   */
  leaderHint(groupId: GroupId): Readonly<Record<string, string | number>> {
    const known = this.#options.leaders.get(groupId);
    if (known === undefined || known.nodeId === 0) return {};
    const endpoint = this.#options.view.image.nodes.get(known.nodeId)?.endpoints.client;
    const hint = { leaderId: known.nodeId, leaderEpoch: known.term };
    return endpoint === undefined ? hint : { ...hint, leaderEndpoint: endpoint };
  }

  #topic(topic: TopicRow): TopicAnswer {
    const rows = this.#options.view.image.partitionsOf(topic.topicId);
    return {
      name: topic.name,
      topicId: topic.topicId,
      layoutEpoch: topic.layout.epoch,
      partitions: rows.map((row) => {
        const slots = topic.layout.slots[row.partition] ?? [];
        return {
          partition: row.partition,
          ...this.#leader(row),
          replicas: nodesOf(row),
          slotFrom: slots.map((range) => range.from),
          slotTo: slots.map((range) => range.to),
        };
      }),
      settings: Object.fromEntries(
        describeTopicSettings(topic.settings).map(({ name, value }) => [name, value]),
      ),
      keyHash: topic.keyHash,
    };
  }

  #leader(row: PartitionRow): { readonly leaderId: number; readonly leaderEpoch: number } {
    const known = this.#options.leaders.get(row.groupId);
    return { leaderId: known?.nodeId ?? 0, leaderEpoch: known?.term ?? 0 };
  }

  /** By what this node's replica knows, and what the nodes say. */
  #recovering(row: PartitionRow): readonly NodeId[] {
    const { liveness, recoveringNodes } = this.#options;
    const said = placementsOf(row)
      .map((place) => place.nodeId)
      .filter((nodeId) => liveness.isRecovering(nodeId, row.groupId));
    return [...new Set([...recoveringNodes(row.groupId), ...said])].sort((a, b) => a - b);
  }

  /**
   * The existing topics of a page of sorted names; the token is the last name that was looked at.
   */
  #page(
    names: readonly string[],
    wish: { readonly pageSize: number; readonly pageToken: string },
  ): { readonly topics: readonly TopicRow[]; readonly nextPageToken: string } {
    const pageSize = pageSizeOf(wish);
    const topics: TopicRow[] = [];
    let partitions = 0;
    let place = wish.pageToken === "" ? 0 : firstAfter(names, wish.pageToken, false);
    for (; place < names.length; place += 1) {
      if (topics.length >= pageSize || partitions >= PARTITIONS_PER_PAGE) break;
      const topic = this.#options.view.image.topicByName(names[place] ?? "");
      if (topic === undefined) continue;
      topics.push(topic);
      partitions += topic.partitions;
    }
    return { topics, nextPageToken: place < names.length ? (names[place - 1] ?? "") : "" };
  }
}

/** Partitions per node. */
class Counts {
  readonly leaders = new Map<NodeId, number>();
  readonly replicas = new Map<NodeId, number>();
  /** Wanted or leaving. */
  readonly left = new Map<NodeId, number>();

  add(table: Map<NodeId, number>, nodeId: NodeId): void {
    table.set(nodeId, (table.get(nodeId) ?? 0) + 1);
  }
}

/** @throws BrokerError UNSUPPORTED_VERSION; 0 is taken as 1 */
function checkProtocolVersion(version: number): void {
  const wanted = version === 0 ? 1 : version;
  if (wanted >= PROTOCOL_VERSION_MIN && wanted <= PROTOCOL_VERSION_MAX) return;
  throw new BrokerError("UNSUPPORTED_VERSION", `protocol version ${version} is not spoken here`, {
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
  });
}

function summaryOf(topic: TopicRow): TopicSummaryAnswer {
  return {
    name: topic.name,
    topicId: topic.topicId,
    partitions: topic.partitions,
    replicationFactor: topic.replicationFactor,
    durability: durabilityOf(topic.settings),
  };
}

/** Default class of acknowledgement, e.g. "all/sync". */
function durabilityOf(texts: Readonly<Record<string, string>>): string {
  const { acks, flush } = parseTopicSettings(texts);
  return `${acks}/${flush}`;
}

function nodesOf(row: PartitionRow): readonly number[] {
  return row.replicas.map((placement) => placement.nodeId);
}
