// One broker, put together from ports: disk, keyed store, clock, randomness, network. It knows neither gRPC nor files,
// so the simulator runs this very class. broker/start.ts gives it the real world.
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import { TaskGroup } from "../base/task-group.ts";
import type { NodeFile } from "../cluster/cluster-format.ts";
import { LEADER_BALANCER_DEFAULTS, LeaderBalancer } from "../cluster/leader-balancer.ts";
import { LeaderCache } from "../cluster/leader-cache.ts";
import { Liveness } from "../cluster/liveness.ts";
import { MembershipReconciler } from "../cluster/membership-reconciler.ts";
import type { NodeEndpoints } from "../cluster/metadata-commands.ts";
import { MetadataController } from "../cluster/metadata-controller.ts";
import { MetadataView } from "../cluster/metadata-image.ts";
import { MetadataReader } from "../cluster/metadata-reader.ts";
import { MetadataState } from "../cluster/metadata-state.ts";
import { NodeFencing, NodeRegistration } from "../cluster/node-frontend.ts";
import { ProducerIds } from "../cluster/producer-ids.ts";
import { ReplicaReconciler } from "../cluster/replica-reconciler.ts";
import { type TopicCreationDefaults, TopicFrontend } from "../cluster/topic-frontend.ts";
import { openHardStateJournal } from "../log/hard-state-journal.ts";
import { openImageStore } from "../log/image-store.ts";
import type { Disk, HardStateJournal, KeyedStore } from "../log/ports.ts";
import { openGroupLog } from "../log/segment-log.ts";
import { isBrokerError } from "../model/errors.ts";
import { type GroupId, METADATA_GROUP, type NodeId, replicaIdOf } from "../model/ids.ts";
import type { PartitionMetrics } from "../partition/partition-metrics.ts";
import type { Logger } from "../replica/ports.ts";
import type { Replica } from "../replica/replica.ts";
import type { ReplicaMetrics } from "../replica/replica-metrics.ts";
import { ReplicaSet } from "../replica/replica-set.ts";
import type { Connector, ServiceRegistry } from "../rpc/ports.ts";
import { PeerControllerClient } from "./controller-client.ts";
import { requireRevision } from "./join.ts";
import { LocalLeaderships } from "./led-groups.ts";
import { PartitionHost } from "./partition-host.ts";
import { GrpcPeerTransport } from "./peer/peer-transport.ts";
import { registerAdminService } from "./services/admin-service.ts";
import { registerFetchService } from "./services/fetch-service.ts";
import { registerMetadataService } from "./services/metadata-service.ts";
import { registerPeerControlService } from "./services/peer-control-service.ts";
import { registerProduceService } from "./services/produce-service.ts";
import { StatusExchange } from "./status-exchange.ts";

export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly keyed: KeyedStore;
  readonly connector: Connector;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly partitionMetrics: PartitionMetrics;
  /** The kernel's boot id, or another text that changes whenever the page cache is lost. */
  readonly bootId: string;
  /** The node can not go on (storage failed, fenced for good, a defect): the process must end. */
  readonly onFatal: (error: Error) => void;
}

export interface NodeOptions {
  readonly nodeFile: NodeFile;
  /** As advertised to clients and peers. */
  readonly endpoints: NodeEndpoints;
  /** Peer listeners of the nodes known from the configuration; the metadata may move them later. */
  readonly peers: readonly { readonly nodeId: NodeId; readonly endpoint: string }[];
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly diskReserveBytes: number;
  readonly produceInflightBytesMax: number;
  readonly parkedFetchesMax: number;
  readonly topicDefaults: TopicCreationDefaults;
  /** Between two rounds of retention and other upkeep. */
  readonly retentionIntervalMs: number;
}

/** Formats that this software writes and reads. */
const FEATURES = { min: 1, max: 1 } as const;
const SEGMENT_BYTES_DEFAULT = 128 * 1024 * 1024;
/** After the metadata group, leaderships are handed over so many at a time. */
const HANDOVER_CONCURRENCY = 8;

export class BrokerNode {
  readonly nodeId: NodeId;
  readonly view: MetadataView;
  readonly replicas: ReplicaSet;
  readonly leaders: LeaderCache;
  readonly liveness: Liveness;
  readonly partitions: PartitionHost;
  readonly leaderships: LocalLeaderships;
  readonly reader: MetadataReader;
  readonly topics: TopicFrontend;
  readonly producerIds: ProducerIds;
  readonly controller: MetadataController;
  readonly metadata: Replica;
  readonly ports: NodePorts;
  readonly options: NodeOptions;
  readonly #journal: HardStateJournal;
  readonly #transport: GrpcPeerTransport;
  readonly #controllerClient: PeerControllerClient;
  readonly #status: StatusExchange;
  readonly #reconciler: ReplicaReconciler;
  readonly #balancer: LeaderBalancer;
  readonly #fencing: NodeFencing;
  readonly #memberships: MembershipReconciler;
  readonly #tasks: TaskGroup;
  #isRegistered = false;
  #isDraining = false;
  #isClosed = false;

  private constructor(
    ports: NodePorts,
    options: NodeOptions,
    parts: {
      readonly journal: HardStateJournal;
      readonly transport: GrpcPeerTransport;
      readonly replicas: ReplicaSet;
      readonly view: MetadataView;
      readonly metadata: Replica;
      readonly segmentBytes: Map<GroupId, number>;
    },
  ) {
    const { clock, logger, random } = ports;
    const { nodeFile } = options;
    const { metadata, replicas, view } = parts;
    const { nodeId, clusterId } = nodeFile;
    this.ports = ports;
    this.options = options;
    this.nodeId = nodeId;
    this.view = view;
    this.replicas = replicas;
    this.metadata = metadata;
    this.#journal = parts.journal;
    this.#transport = parts.transport;
    this.#tasks = new TaskGroup((name, error) => this.#taskFailed(name, error));
    this.leaders = new LeaderCache(nodeId);
    this.liveness = new Liveness(nodeId, clock.monotonicMs());
    this.controller = new MetadataController(metadata, view);
    this.#controllerClient = new PeerControllerClient({
      clusterId,
      nodeId,
      replica: metadata,
      controller: this.controller,
      connector: ports.connector,
      endpointOf: (node) => this.#peerEndpoint(node),
    });
    this.producerIds = new ProducerIds(nodeId, this.#controllerClient);
    this.leaderships = new LocalLeaderships(replicas, view);
    this.reader = new MetadataReader({
      clusterId,
      nodeId,
      view,
      leaders: this.leaders,
      liveness: this.liveness,
      replica: metadata,
      clock,
      ledPartition: (groupId) => this.leaderships.describe(groupId),
    });
    this.topics = new TopicFrontend({
      controller: this.controller,
      view,
      leaders: this.leaders,
      clock,
      random,
      nodesExpected: nodeFile.metadataVoters.length + nodeFile.metadataLearners.length,
      defaults: options.topicDefaults,
    });
    this.partitions = new PartitionHost({
      clock,
      logger,
      replicas,
      journal: parts.journal,
      parkedFetchesMax: options.parkedFetchesMax,
      metrics: ports.partitionMetrics,
      endpointOf: (node) => view.image.nodes.get(node)?.endpoints.client,
      onSegmentBytes: (groupId, bytes) => parts.segmentBytes.set(groupId, bytes),
      retentionIntervalMs: options.retentionIntervalMs,
    });
    this.#status = new StatusExchange({
      nodeId,
      incarnation: parts.journal.incarnation,
      clock,
      replicas,
      leaders: this.leaders,
      liveness: this.liveness,
      broadcast: (status) => parts.transport.broadcastStatus(status),
      metadataIndex: () => view.image.version,
    });
    this.#reconciler = new ReplicaReconciler({
      nodeId,
      directoryId: nodeFile.directoryId,
      view,
      groups: this.partitions,
      clock,
      log: logger,
    });
    this.#balancer = new LeaderBalancer({
      nodeId,
      groups: this.leaderships.balanced,
      view,
      liveness: this.liveness,
      clock,
      log: logger,
      settings: LEADER_BALANCER_DEFAULTS,
    });
    this.#fencing = new NodeFencing({
      controller: this.controller,
      view,
      liveness: this.liveness,
      clock,
      log: logger,
    });
    this.#memberships = new MembershipReconciler({
      memberships: this.leaderships,
      view,
      clock,
      log: logger,
    });
  }

  /**
   * Recovers everything that is on the disk; nothing is served and no time passes for the groups until start().
   * @throws StorageError when the data directory can not be used
   */
  static async open(ports: NodePorts, given: NodeOptions): Promise<BrokerNode> {
    const { clock, disk, keyed, logger, metrics, random } = ports;
    const journal = await openHardStateJournal(disk, {
      bootId: ports.bootId,
      mustExist: disk.exists("groups"),
    });
    // What LevelDB kept of a store that lost its page cache can not be told; everything in it can be rebuilt.
    if (journal.bootChanged && !journal.wasClean) await keyed.removeRange("");
    const segmentBytes = new Map<GroupId, number>();
    const { clusterId, nodeId, directoryId } = given.nodeFile;
    const transport = new GrpcPeerTransport({
      clock,
      random,
      connector: ports.connector,
      logger,
      identity: { clusterId, nodeId, directoryId, incarnation: journal.incarnation },
      onDropped: () => metrics.count("messages_dropped"),
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
        openLog: (directory, groupId) =>
          openGroupLog({
            disk,
            directory,
            groupId,
            pageCacheKept: !journal.bootChanged,
            segmentBytes: segmentBytes.get(groupId) ?? SEGMENT_BYTES_DEFAULT,
          }),
        onFatal: ports.onFatal,
      },
      given,
    );
    await replicas.finishRemovals();
    const view = new MetadataView();
    const metadata = await openMetadata(replicas, view, given.nodeFile);
    const parts = { journal, transport, replicas, view, metadata, segmentBytes };
    return new BrokerNode(ports, given, parts);
  }

  /** Registers what this node serves. Before start(). */
  registerClientServices(services: ServiceRegistry): void {
    registerProduceService(this, services);
    registerFetchService(this, services);
    registerMetadataService(this, services);
    registerAdminService(this, services);
  }

  /** Registers the peer protocol. Before start(). */
  registerPeerServices(services: ServiceRegistry): void {
    this.#transport.register(services);
    registerPeerControlService(this, services);
  }

  /** Time begins to pass: dials peers, elects, registers, opens partitions. */
  start(): void {
    const { nodeFile, peers } = this.options;
    this.#transport.start({
      receive: (from, messages) => this.replicas.receive(from, messages),
      receiveImage: (from, transfer) => this.replicas.receiveImage(from, transfer),
      nodeUnreachable: (node) => this.replicas.nodeUnreachable(node),
      receiveStatus: (from, status) => this.#status.receive(from, status),
    });
    this.#transport.setPeers(peers);
    this.#followEndpoints();
    this.view.onChange((_, delta) => {
      if (delta.isReset || delta.nodes.length > 0) this.#followEndpoints();
    });
    this.replicas.start();
    this.#status.start();
    this.#reconciler.start();
    this.partitions.start();
    this.#fencing.start();
    this.#balancer.start();
    this.#memberships.start();
    this.#tasks.spawn("register", async (signal) => await this.#register(nodeFile, signal));
  }

  /** True once this incarnation is in the metadata. */
  get isRegistered(): boolean {
    return this.#isRegistered;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Hands every leadership over, as far as others can take them, and takes no new ones. Bounded by `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#balancer.drain();
    this.#status.drain();
    const { clock, logger } = this.ports;
    const endMs = clock.monotonicMs() + timeoutMs;
    const led = this.replicas.all().filter((replica) => replica.isLeaderReady);
    const worker = async (): Promise<void> => {
      for (let replica = led.pop(); replica !== undefined; replica = led.pop()) {
        if (clock.monotonicMs() >= endMs || replica.status().membership.voters.length < 2) continue;
        try {
          await replica.transferLeadership();
        } catch (error) {
          const reason = isBrokerError(error) ? error.reason : "INTERNAL";
          logger.warn({ groupId: replica.groupId, reason }, "leadership could not be handed over");
        }
      }
    };
    await Promise.all(Array.from({ length: HANDOVER_CONCURRENCY }, worker));
    this.#status.drain();
  }

  /** Stops everything in reverse order and flushes. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tasks.close();
    await Promise.all([
      this.#memberships.close(),
      this.#balancer.close(),
      this.#fencing.close(),
      this.#reconciler.close(),
    ]);
    this.#status.close();
    await this.partitions.close();
    await this.replicas.close();
    this.#transport.close();
    this.#controllerClient.close();
    if (this.replicas.failed === undefined) await this.#journal.close({ clean: true });
  }

  async #register(nodeFile: NodeFile, signal: AbortSignal): Promise<void> {
    const { clock, logger, random } = this.ports;
    const registration = new NodeRegistration({
      controller: this.#controllerClient,
      clock,
      random,
      log: logger,
    });
    const registered = await registration.register(
      {
        type: "register-node",
        nodeId: this.nodeId,
        directoryId: nodeFile.directoryId,
        incarnation: this.#journal.incarnation,
        endpoints: this.options.endpoints,
        features: FEATURES,
        founder: nodeFile.metadataRevision === 0,
      },
      signal,
    );
    this.#isRegistered = true;
    logger.info({ nodeId: this.nodeId, index: registered.registeredIndex }, "registered");
  }

  #followEndpoints(): void {
    const nodes = [...this.view.image.nodes.values()];
    this.#transport.setPeers(
      nodes.map((node) => ({ nodeId: node.nodeId, endpoint: node.endpoints.peer })),
    );
  }

  #peerEndpoint(nodeId: NodeId): string | undefined {
    const known = this.view.image.nodes.get(nodeId)?.endpoints.peer;
    return known ?? this.options.peers.find((peer) => peer.nodeId === nodeId)?.endpoint;
  }

  #taskFailed(name: string, error: unknown): void {
    this.ports.logger.error({ task: name, error }, "broker task failed");
    this.ports.onFatal(error instanceof Error ? error : new Error(`task ${name} failed`));
  }
}

async function openMetadata(
  replicas: ReplicaSet,
  view: MetadataView,
  nodeFile: NodeFile,
): Promise<Replica> {
  const { metadataLearners, metadataVoters, nodeId } = nodeFile;
  return await replicas.openGroup({
    groupId: METADATA_GROUP,
    replicaId: replicaIdOf(nodeId, requireRevision(nodeFile)),
    initialMembership: {
      voters: metadataVoters.map((voter) => replicaIdOf(voter, 0)),
      learners: metadataLearners.map((learner) => replicaIdOf(learner, 0)),
    },
    stateMachine: new MetadataState(view),
    flush: "sync",
  });
}
