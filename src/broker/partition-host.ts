// The partitions of this node: opens a replica with its partition state for each assignment of the metadata and keeps the
// registry that services look partitions up in. Implements the cluster room's LocalGroups. Each partition's state has the
// delivery room's part: every replica keeps the subscriptions' cursors.
import type { Clock } from "../base/clock.ts";
import type { LocalGroup, LocalGroups, PartitionAssignment } from "../cluster/ports.ts";
import { DeliveryHost, type DeliveryHostDeps } from "../delivery/delivery-host.ts";
import { DeliveryState } from "../delivery/delivery-state.ts";
import type { HardStateJournal } from "../log/ports.ts";
import {
  type GroupId,
  METADATA_GROUP,
  type NodeId,
  type ReplicaId,
  type TopicId,
} from "../model/ids.ts";
import { parseTopicSettings } from "../model/topic-settings.ts";
import { FetchSlots } from "../partition/fetch-path.ts";
import { Partition } from "../partition/partition.ts";
import type { PartitionMetrics } from "../partition/partition-metrics.ts";
import { PartitionRegistry } from "../partition/partition-registry.ts";
import { PartitionState } from "../partition/partition-state.ts";
import type { PartitionSettings } from "../partition/ports.ts";
import { RetentionRunner } from "../partition/retention-runner.ts";
import type { Logger } from "../replica/ports.ts";
import type { ReplicaSet } from "../replica/replica-set.ts";
import { BrokerDeliveryPartition } from "./delivery-partition.ts";
import type { LogMemory } from "./log-memory.ts";

export interface PartitionHostDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly replicas: ReplicaSet;
  readonly journal: HardStateJournal;
  readonly parkedFetchesMax: number;
  readonly logMemory: LogMemory;
  readonly metrics: PartitionMetrics;
  /** This node's wall clock agrees with the others': age may decide. */
  readonly isClockTrusted: () => boolean;
  readonly endpointOf: (nodeId: NodeId) => string | undefined;
  /** Told before a replica's log is opened. */
  readonly onSegmentBytes: (groupId: GroupId, bytes: number) => void;
  readonly retentionIntervalMs: number;
  /** What subscriptions need of the node. */
  readonly delivery: Omit<DeliveryHostDeps, "clock" | "logger">;
}

export class PartitionHost implements LocalGroups {
  readonly registry = new PartitionRegistry();
  readonly slots: FetchSlots;
  readonly delivery: DeliveryHost;
  readonly #deps: PartitionHostDeps;
  readonly #byGroup = new Map<GroupId, Partition>();
  readonly #topicNames = new Map<TopicId, string>();
  readonly #retention: RetentionRunner;

  constructor(deps: PartitionHostDeps) {
    this.#deps = deps;
    this.slots = new FetchSlots(deps.parkedFetchesMax);
    this.delivery = new DeliveryHost({ ...deps.delivery, clock: deps.clock, logger: deps.logger });
    this.#retention = new RetentionRunner(
      {
        clock: deps.clock,
        partitions: () => this.registry.all(),
        metrics: deps.metrics,
        isClockTrusted: deps.isClockTrusted,
        isFullyAttached: ({ partition, topicId }) =>
          this.delivery.get(topicId, partition)?.isComplete === true,
      },
      { intervalMs: deps.retentionIntervalMs },
    );
  }

  start(): void {
    this.#retention.start();
  }

  isOpen(groupId: GroupId): boolean {
    return this.#byGroup.has(groupId);
  }

  get(groupId: GroupId): Partition | undefined {
    return this.#byGroup.get(groupId);
  }

  async open(assignment: PartitionAssignment): Promise<void> {
    const { clock, endpointOf, logger, logMemory, metrics, onSegmentBytes, replicas } = this.#deps;
    const { founders, groupId, partition, replicaId, settings, topicId, topicName } = assignment;
    if (this.#byGroup.has(groupId)) {
      await this.update(assignment);
      return;
    }
    const deliveries = new DeliveryState();
    const state = new PartitionState({ parts: [deliveries] });
    onSegmentBytes(groupId, parseTopicSettings(settings).segmentBytes);
    const replica = await replicas.openGroup({
      groupId,
      replicaId,
      topicId,
      initialMembership: { voters: founders, learners: [] },
      stateMachine: state,
      // A group begins as sync; an async topic's first leader changes that by an entry (architecture §7.11).
      flush: "sync",
      // Nobody reads from followers: what they apply is for the next leader.
      commitNews: "by-tick",
    });
    const opened = new Partition({
      topicId,
      partition,
      replica,
      state,
      settings: settingsOf(assignment),
      environment: {
        endpointOf,
        clock,
        produceRefusal: (bytes) => logMemory.refusal(bytes),
        metrics: metrics.forTopic(topicName),
      },
    });
    this.#byGroup.set(groupId, opened);
    this.#topicNames.set(topicId, topicName);
    this.registry.add(opened);
    this.delivery.add(new BrokerDeliveryPartition(opened, topicName, deliveries));
    logger.info({ groupId, topic: topicName, partition }, "partition opened");
  }

  update(assignment: PartitionAssignment): Promise<void> {
    this.#byGroup.get(assignment.groupId)?.updateSettings(settingsOf(assignment));
    return Promise.resolve();
  }

  async succeed(assignment: PartitionAssignment, from: ReplicaId): Promise<void> {
    const { groupId, replicaId: to } = assignment;
    await this.#shut(groupId);
    await this.#deps.replicas.succeedGroup({ groupId, from, to });
    await this.open(assignment);
  }

  async remove(groupId: GroupId): Promise<void> {
    await this.#shut(groupId);
    await this.#deps.replicas.removeGroup(groupId);
    this.#deps.logger.info({ groupId }, "partition removed from this node");
  }

  /** Whoever waits is answered; the replica stays open. */
  async #shut(groupId: GroupId): Promise<void> {
    const partition = this.#byGroup.get(groupId);
    if (partition === undefined) return;
    this.#byGroup.delete(groupId);
    this.registry.remove(partition);
    this.delivery.remove(partition.topicId, partition.partition);
    await partition.close();
    this.#forgetTopic(partition.topicId);
  }

  /** Metrics of a topic go with its last partition here. */
  #forgetTopic(topicId: TopicId): void {
    const name = this.#topicNames.get(topicId);
    const isHere = [...this.#byGroup.values()].some((one) => one.topicId === topicId);
    if (name === undefined || isHere) return;
    this.#topicNames.delete(topicId);
    this.#deps.metrics.forgetTopic(name);
  }

  list(): readonly LocalGroup[] {
    return this.#deps.journal
      .all()
      .filter((record) => record.groupId !== METADATA_GROUP && !record.removed)
      .map(({ groupId, replicaId, topicId }) => ({ groupId, replicaId, topicId }));
  }

  /** Answers everybody who waits; the replicas are closed by the node. */
  async close(): Promise<void> {
    this.delivery.close();
    await this.#retention.close();
    const partitions = [...this.#byGroup.values()];
    this.#byGroup.clear();
    await Promise.all(
      partitions.map((partition) => {
        this.registry.remove(partition);
        return partition.close();
      }),
    );
  }
}

function settingsOf(assignment: PartitionAssignment): PartitionSettings {
  return { ...parseTopicSettings(assignment.settings), layoutEpoch: assignment.layout.epoch };
}
