// Connects the rooms: every port that a feature room declares is filled here, and the compiler checks the fit. Called by
// BrokerNode.open; nothing here runs by itself.
import { foundingMembership } from "../cluster/cluster-format.ts";
import { LEADER_BALANCER_DEFAULTS, LeaderBalancer } from "../cluster/leader-balancer.ts";
import { LeaderCache } from "../cluster/leader-cache.ts";
import { Liveness } from "../cluster/liveness.ts";
import { MemberFrontend } from "../cluster/member-frontend.ts";
import { MembershipReconciler } from "../cluster/membership-reconciler.ts";
import { MetadataController } from "../cluster/metadata-controller.ts";
import { isGroupDeleted, MetadataView } from "../cluster/metadata-image.ts";
import { MetadataReader, type MetadataReaderOptions } from "../cluster/metadata-reader.ts";
import { MetadataState } from "../cluster/metadata-state.ts";
import { MoveReader } from "../cluster/move-reader.ts";
import { NodeFencing } from "../cluster/node-frontend.ts";
import { ProducerIds } from "../cluster/producer-ids.ts";
import { RedrivePreparation } from "../cluster/redrive-preparation.ts";
import { ReplicaReconciler } from "../cluster/replica-reconciler.ts";
import { SubscriptionFrontend } from "../cluster/subscription-frontend.ts";
import { SubscriptionReader } from "../cluster/subscription-reader.ts";
import { TopicFrontend } from "../cluster/topic-frontend.ts";
import { noDeliveryMetrics } from "../delivery/delivery-metrics.ts";
import { openHardStateJournal } from "../log/hard-state-journal.ts";
import { openImageStore } from "../log/image-store.ts";
import type { HardStateJournal } from "../log/ports.ts";
import { openGroupLog } from "../log/segment-log.ts";
import {
  type GroupId,
  METADATA_GROUP,
  type NodeId,
  type ReplicaId,
  replicaIdOf,
} from "../model/ids.ts";
import {
  defaultMemoryBudget,
  MemoryBudget,
  peerQueueBytes,
  tailBytes,
} from "../model/memory-budget.ts";
import { MarkingDisk } from "../replica/marking-disk.ts";
import type { Replica } from "../replica/replica.ts";
import { ReplicaSet } from "../replica/replica-set.ts";
import { requireSoundStorage } from "../replica/storage-failure.ts";
import { TrashCleaner } from "../replica/trash-cleaner.ts";
import { AttachmentClient } from "./attachment-client.ts";
import { PeerControllerClient } from "./controller-client.ts";
import { DeadLetters } from "./dead-letters.ts";
import { directoryOf } from "./delivery-partition.ts";
import { requireRevision } from "./join.ts";
import { trustKeyedStore } from "./keyed-trust.ts";
import { LocalLeaderships } from "./led-groups.ts";
import { LogMemory } from "./log-memory.ts";
import type { NodeOptions, NodePorts } from "./node-ports.ts";
import { PartitionHost } from "./partition-host.ts";
import { EntryFetcher } from "./peer/entry-fetcher.ts";
import { GrpcPeerTransport } from "./peer/peer-transport.ts";
import { StatusExchange } from "./status-exchange.ts";
import { UnsafeRecovery, type UnsafeRecoveryDeps } from "./unsafe-recovery.ts";

const SEGMENT_BYTES_DEFAULT = 128 * 1024 * 1024;

/** Recovered from the disk: consensus, storage and the metadata group. */
export interface Foundation {
  readonly journal: HardStateJournal;
  readonly memory: MemoryBudget;
  readonly transport: GrpcPeerTransport;
  readonly replicas: ReplicaSet;
  readonly view: MetadataView;
  readonly metadata: Replica;
  /** Asks other nodes for what is damaged here. */
  readonly entries: EntryFetcher;
  /** Segment size per group, known before its log is opened. */
  readonly segmentBytes: Map<GroupId, number>;
}

/** What requests are answered from. */
export interface Features {
  readonly leaders: LeaderCache;
  readonly liveness: Liveness;
  readonly controller: MetadataController;
  readonly controllerClient: PeerControllerClient;
  readonly producerIds: ProducerIds;
  readonly leaderships: LocalLeaderships;
  readonly reader: MetadataReader;
  readonly topics: TopicFrontend;
  readonly attachments: AttachmentClient;
  readonly subscriptionDefinitions: SubscriptionFrontend;
  readonly redrives: RedrivePreparation;
  readonly subscriptionReader: SubscriptionReader;
  readonly members: MemberFrontend;
  readonly moves: MoveReader;
  readonly recovery: UnsafeRecovery;
  readonly partitions: PartitionHost;
  readonly deadLetters: DeadLetters;
}

/** What runs on timers and on changes of the metadata. */
export interface Upkeep {
  readonly status: StatusExchange;
  readonly reconciler: ReplicaReconciler;
  readonly balancer: LeaderBalancer;
  readonly fencing: NodeFencing;
  readonly memberships: MembershipReconciler;
  readonly trash: TrashCleaner;
}

/** @throws StorageError when the data directory can not be used */
export async function openFoundation(ports: NodePorts, options: NodeOptions): Promise<Foundation> {
  const { clock, keyed, logger, metrics, random } = ports;
  const disk = new MarkingDisk(ports.disk);
  const { clusterId, nodeId, directoryId } = options.nodeFile;
  const memory = ports.memory ?? new MemoryBudget(defaultMemoryBudget(Number.MAX_SAFE_INTEGER));
  requireSoundStorage(disk);
  const journal = await openHardStateJournal(disk, {
    bootId: ports.bootId,
    mustExist: disk.exists("groups"),
  });
  await trustKeyedStore(keyed, ports.bootId, journal.wasClean);
  const transport = new GrpcPeerTransport({
    clock,
    random,
    connector: ports.connector,
    logger,
    identity: { clusterId, nodeId, directoryId, incarnation: journal.incarnation },
    onDropped: ports.onPeerDrop,
    queueBytesMax: peerQueueBytes(memory.bytes),
  });
  const segmentBytes = new Map<GroupId, number>();
  const view = new MetadataView();
  const entries = new EntryFetcher({
    clock,
    connector: ports.connector,
    clusterId,
    nodeId,
    endpointOf: (node) => peerEndpoint(options, view, node),
  });
  const replicas = new ReplicaSet(
    {
      nodeId,
      clock,
      random,
      disk,
      keyed,
      journal,
      images: openImageStore(disk),
      transport,
      logger,
      metrics,
      openLog: (directory, { durableCommitIndex, groupId, unrecovered }) =>
        openGroupLog({
          clock,
          disk,
          directory,
          groupId,
          durableIndexHint: durableCommitIndex,
          pageCacheKept: !unrecovered,
          segmentBytes: segmentBytes.get(groupId) ?? SEGMENT_BYTES_DEFAULT,
          observer: { onProblem: (problem, error) => logger.warn({ groupId, error }, problem) },
        }),
      fetchEntries: (from, wanted, signal) => entries.fetch(from, wanted, signal),
      onFatal: ports.onFatal,
    },
    { ...options, tailBytesMax: tailBytes(memory.bytes) },
  );
  await replicas.finishRemovals();
  const metadata = await openMetadata(replicas, view, options);
  return { journal, memory, transport, replicas, view, metadata, entries, segmentBytes };
}

async function openMetadata(
  replicas: ReplicaSet,
  view: MetadataView,
  { nodeFile }: NodeOptions,
): Promise<Replica> {
  return replicas.openGroup({
    groupId: METADATA_GROUP,
    replicaId: replicaIdOf(nodeFile.nodeId, requireRevision(nodeFile)),
    initialMembership: foundingMembership(nodeFile),
    stateMachine: new MetadataState(view),
    flush: "sync",
  });
}

export function wireFeatures(
  ports: NodePorts,
  options: NodeOptions,
  foundation: Foundation,
): Features {
  const { clock, random } = ports;
  const { clusterId, metadataLearners, metadataVoters, nodeId } = options.nodeFile;
  const { metadata, replicas, view } = foundation;
  const leaders = new LeaderCache(nodeId, (groupId) => isGroupDeleted(view.image, groupId));
  const liveness = new Liveness(nodeId, clock.monotonicMs());
  const controller = new MetadataController(metadata, view);
  const controllerClient = controllerClientOf(ports, options, foundation, controller);
  const leaderships = new LocalLeaderships(replicas, view);
  const reader = new MetadataReader({
    clusterId,
    nodeId,
    view,
    leaders,
    liveness,
    replica: metadata,
    metadataVoters: () => votersOf(metadata),
    founders: options.nodeFile,
    clock,
    ...factsOf(leaderships),
  });
  const topics = new TopicFrontend({
    controller,
    view,
    leaders,
    clock,
    random,
    nodesExpected: metadataVoters.length + metadataLearners.length,
    defaults: options.topicDefaults,
  });
  const { deadLetters, partitions } = partitionsOf(ports, options, foundation, {
    leaders,
    liveness,
  });
  return {
    leaders,
    liveness,
    controller,
    controllerClient,
    producerIds: new ProducerIds(nodeId, controllerClient),
    leaderships,
    reader,
    topics,
    partitions,
    deadLetters,
    ...subscriptionsOf(ports, { view, leaders, controller, topics }),
    members: new MemberFrontend(controller, view),
    moves: new MoveReader({ view, leaders, progressOf: (group) => leaderships.progressOf(group) }),
    recovery: recoveryOf(ports, nodeId, { liveness, view, controller: controllerClient }),
  };
}

/** The partitions of this node, and where their dead letters go. */
function partitionsOf(
  ports: NodePorts,
  options: NodeOptions,
  foundation: Foundation,
  { leaders, liveness }: Pick<Features, "leaders" | "liveness">,
): Pick<Features, "deadLetters" | "partitions"> {
  const { clock, logger, random } = ports;
  const { nodeId } = options.nodeFile;
  const { journal, replicas, segmentBytes, view } = foundation;
  const deadLetters = new DeadLetters({
    nodeId,
    connector: ports.connector,
    view,
    leaders,
    clock,
    partitionOf: (topicId, partition) => partitions.registry.get(topicId, partition),
    peerEndpointOf: (node) => peerEndpoint(options, view, node),
  });
  const partitions: PartitionHost = new PartitionHost({
    clock,
    logger,
    replicas,
    journal,
    parkedFetchesMax: options.parkedFetchesMax,
    logMemory: logMemoryOf(ports, foundation),
    metrics: ports.partitionMetrics,
    isClockTrusted: () => liveness.isClockTrusted(nodeId, clock.monotonicMs()),
    endpointOf: (node) => view.image.nodes.get(node)?.endpoints.client,
    onSegmentBytes: (groupId, bytes) => segmentBytes.set(groupId, bytes),
    retentionIntervalMs: options.retentionIntervalMs,
    delivery: {
      random,
      memory: foundation.memory,
      directory: directoryOf(view),
      metrics: ports.deliveryMetrics ?? noDeliveryMetrics,
      sink: deadLetters,
    },
  });
  return { deadLetters, partitions };
}

/** Definitions of subscriptions; what one partition does with them is the partition host's. */
function subscriptionsOf(
  { clock, connector, random }: NodePorts,
  parts: Pick<Features, "leaders" | "controller" | "topics"> & Pick<Foundation, "view">,
): Pick<Features, "attachments" | "redrives" | "subscriptionDefinitions" | "subscriptionReader"> {
  const { controller, leaders, topics, view } = parts;
  const attachments = new AttachmentClient({ view, leaders, connector });
  const ends = { controller, view, topics, attachments, clock, random };
  const definitions = new SubscriptionFrontend(ends);
  return {
    attachments,
    redrives: new RedrivePreparation({ controller, view, topics, definitions }),
    subscriptionDefinitions: definitions,
    subscriptionReader: new SubscriptionReader(view),
  };
}

function logMemoryOf({ clock }: NodePorts, foundation: Foundation): LogMemory {
  const { memory, replicas, transport } = foundation;
  const measure = (): number => replicas.tailBytes + replicas.catchUpBytes + transport.queuedBytes;
  return new LogMemory({ clock, budget: memory, measure });
}

/** What this node's replicas know of partitions. */
function factsOf(
  leaderships: LocalLeaderships,
): Pick<MetadataReaderOptions, "ledPartition" | "recoveringNodes"> {
  return {
    ledPartition: (groupId) => leaderships.describe(groupId),
    recoveringNodes: (groupId) => leaderships.recoveringNodes(groupId),
  };
}

function controllerClientOf(
  { connector }: NodePorts,
  options: NodeOptions,
  { metadata, view }: Foundation,
  controller: MetadataController,
): PeerControllerClient {
  const { clusterId, nodeId } = options.nodeFile;
  const endpointOf = (node: NodeId): string | undefined => peerEndpoint(options, view, node);
  const { peers } = options;
  const deps = { clusterId, nodeId, replica: metadata, controller, connector, endpointOf, peers };
  return new PeerControllerClient(deps);
}

function recoveryOf(
  { clock }: NodePorts,
  nodeId: NodeId,
  known: Pick<UnsafeRecoveryDeps, "liveness" | "view" | "controller">,
): UnsafeRecovery {
  return new UnsafeRecovery({ nodeId, ...known, nowMs: () => clock.monotonicMs() });
}

export function wireUpkeep(
  ports: NodePorts,
  options: NodeOptions,
  foundation: Foundation,
  features: Features,
): Upkeep {
  const { clock, logger: log } = ports;
  const { directoryId, nodeId } = options.nodeFile;
  const { journal, metadata, replicas, transport, view } = foundation;
  const { controller, controllerClient, leaders, leaderships, liveness, partitions } = features;
  const memberships = new MembershipReconciler({
    memberships: leaderships,
    controller: controllerClient,
    view,
    metadataFounders: foundingMembership(options.nodeFile),
    clock,
    log,
  });
  return {
    status: new StatusExchange({
      nodeId,
      incarnation: journal.incarnation,
      clock,
      replicas,
      leaders,
      liveness,
      broadcast: (status) => transport.broadcastStatus(status),
      metadataIndex: () => view.image.version,
    }),
    reconciler: new ReplicaReconciler({
      nodeId,
      directoryId,
      view,
      groups: partitions,
      clock,
      log,
    }),
    balancer: new LeaderBalancer({
      nodeId,
      groups: leaderships.balanced,
      view,
      liveness,
      clock,
      log,
      settings: LEADER_BALANCER_DEFAULTS,
    }),
    fencing: new NodeFencing({
      controller,
      view,
      liveness,
      metadataVoters: () => votersOf(metadata),
      unproven: () => memberships.unproven(),
      clock,
      log,
    }),
    memberships,
    trash: new TrashCleaner({ disk: ports.disk, clock, logger: log }, options.trashRetentionMs),
  };
}

/** Of both halves while the configuration is joint. */
function votersOf({ membership }: Replica): readonly ReplicaId[] {
  return [...membership.voters, ...(membership.outgoing ?? [])];
}

function peerEndpoint(
  options: NodeOptions,
  view: MetadataView,
  nodeId: NodeId,
): string | undefined {
  const known = view.image.nodes.get(nodeId)?.endpoints.peer;
  return known ?? options.peers.find((peer) => peer.nodeId === nodeId)?.endpoint;
}
