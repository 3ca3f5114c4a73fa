// The life of one broker, put together from ports (wiring.ts): opens, starts, drains, closes. It knows neither gRPC nor
// files, so the simulator runs this very class; broker/start.ts gives it the real world.
import { sleep } from "../base/clock.ts";
import { TaskGroup } from "../base/task-group.ts";
import { replaceMetadataRevision } from "../cluster/cluster-format.ts";
import type { LeaderCache } from "../cluster/leader-cache.ts";
import type { Liveness } from "../cluster/liveness.ts";
import type { MemberFrontend } from "../cluster/member-frontend.ts";
import type { MetadataController } from "../cluster/metadata-controller.ts";
import type { MetadataView } from "../cluster/metadata-image.ts";
import type { MetadataReader } from "../cluster/metadata-reader.ts";
import { MetadataWatch } from "../cluster/metadata-watch.ts";
import type { MoveReader } from "../cluster/move-reader.ts";
import { NodeRegistration } from "../cluster/node-frontend.ts";
import type { ProducerIds } from "../cluster/producer-ids.ts";
import type { RedrivePreparation } from "../cluster/redrive-preparation.ts";
import type { SubscriptionFrontend } from "../cluster/subscription-frontend.ts";
import type { SubscriptionReader } from "../cluster/subscription-reader.ts";
import type { TopicFrontend } from "../cluster/topic-frontend.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { GroupId, NodeId } from "../model/ids.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { Replica } from "../replica/replica.ts";
import type { ReplicaSet } from "../replica/replica-set.ts";
import { closeStores } from "./close-stores.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { LocalLeaderships } from "./led-groups.ts";
import type { NodeOptions, NodePorts } from "./node-ports.ts";
import type { PartitionHost } from "./partition-host.ts";
import type { GrpcPeerTransport } from "./peer/peer-transport.ts";
import type { UnsafeRecovery } from "./unsafe-recovery.ts";
import {
  type Features,
  type Foundation,
  openFoundation,
  type Upkeep,
  wireFeatures,
  wireUpkeep,
} from "./wiring.ts";

/** Formats that this software writes and reads. */
const FEATURES = { min: 1, max: 1 } as const;
/** Leaderships are handed over so many at a time. */
const HANDOVER_CONCURRENCY = 8;
const TAKE_OVER_RETRY_MS = 1000;

export class BrokerNode {
  readonly nodeId: NodeId;
  readonly ports: NodePorts;
  readonly options: NodeOptions;
  readonly memory: MemoryBudget;
  readonly #foundation: Foundation;
  readonly #features: Features;
  readonly #upkeep: Upkeep;
  readonly #tasks: TaskGroup;
  readonly #watch: MetadataWatch;
  #isRegistering = false;
  #isRegistered = false;
  #isDraining = false;
  #isRemoved = false;
  #closing: Promise<void> | undefined;

  private constructor(ports: NodePorts, options: NodeOptions, foundation: Foundation) {
    this.ports = ports;
    this.options = options;
    this.nodeId = options.nodeFile.nodeId;
    this.#foundation = foundation;
    this.memory = foundation.memory;
    this.#features = wireFeatures(ports, options, foundation);
    this.#upkeep = wireUpkeep(ports, options, foundation, this.#features);
    this.#tasks = new TaskGroup((name, error) => this.#taskFailed(name, error));
    this.#watch = new MetadataWatch({
      clock: ports.clock,
      version: () => this.view.image.version,
      onStuck: () => this.#spawnRegistration(),
    });
  }

  /**
   * Recovers everything that is on the disk; nothing is served and no time passes for the groups until start().
   * @throws StorageError when the data directory can not be used
   */
  static async open(ports: NodePorts, options: NodeOptions): Promise<BrokerNode> {
    return new BrokerNode(ports, options, await openFoundation(ports, options));
  }

  get view(): MetadataView {
    return this.#foundation.view;
  }
  get replicas(): ReplicaSet {
    return this.#foundation.replicas;
  }
  /** This node's replica of the metadata group. */
  get metadata(): Replica {
    return this.#foundation.metadata;
  }
  get transport(): GrpcPeerTransport {
    return this.#foundation.transport;
  }
  get leaders(): LeaderCache {
    return this.#features.leaders;
  }
  get liveness(): Liveness {
    return this.#features.liveness;
  }
  get partitions(): PartitionHost {
    return this.#features.partitions;
  }
  get leaderships(): LocalLeaderships {
    return this.#features.leaderships;
  }
  get reader(): MetadataReader {
    return this.#features.reader;
  }
  get topics(): TopicFrontend {
    return this.#features.topics;
  }
  get deadLetters(): DeadLetters {
    return this.#features.deadLetters;
  }
  get redrives(): RedrivePreparation {
    return this.#features.redrives;
  }
  get subscriptionDefinitions(): SubscriptionFrontend {
    return this.#features.subscriptionDefinitions;
  }
  get subscriptionReader(): SubscriptionReader {
    return this.#features.subscriptionReader;
  }
  get members(): MemberFrontend {
    return this.#features.members;
  }
  get moves(): MoveReader {
    return this.#features.moves;
  }
  get recovery(): UnsafeRecovery {
    return this.#features.recovery;
  }
  get producerIds(): ProducerIds {
    return this.#features.producerIds;
  }
  get controller(): MetadataController {
    return this.#features.controller;
  }

  /** Led here, and another disk should not be lost before their members are known for good (membership-reconciler.ts). */
  get unprovenGroups(): readonly GroupId[] {
    return this.#upkeep.memberships.unproven();
  }

  /** True once this incarnation is in the metadata. */
  get isRegistered(): boolean {
    return this.#isRegistered;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Time begins to pass: dials peers, elects, registers, opens partitions. */
  start(): void {
    const { replicas, transport, view } = this.#foundation;
    const { balancer, fencing, memberships, reconciler, status, trash } = this.#upkeep;
    transport.start({
      receive: (from, messages) => replicas.receive(from, messages),
      receiveImage: (from, transfer) => replicas.receiveImage(from, transfer),
      nodeUnreachable: (node) => replicas.nodeUnreachable(node),
      receiveStatus: (from, news) => {
        status.receive(from, news);
        this.#watch.heard(news.metadataIndex);
      },
    });
    transport.setPeers(this.options.peers);
    this.#followEndpoints();
    view.onChange((_, delta) => {
      if (delta.isReset || delta.nodes.length > 0) {
        this.#followEndpoints();
        this.#endWhenRemoved();
      }
      this.leaders.forgetDeleted(delta.isReset ? undefined : delta.groups);
    });
    replicas.start();
    status.start();
    reconciler.start();
    this.partitions.start();
    fencing.start();
    balancer.start();
    memberships.start();
    trash.start();
    this.#spawnRegistration();
  }

  /** Hands every leadership over, as far as others can take them, and takes no new ones. Bounded by `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#upkeep.balancer.drain();
    this.#upkeep.status.drain();
    const endMs = this.ports.clock.monotonicMs() + timeoutMs;
    const led = this.replicas.all().filter((replica) => replica.isLeaderReady);
    const worker = async (): Promise<void> => {
      for (let replica = led.pop(); replica !== undefined; replica = led.pop()) {
        if (this.ports.clock.monotonicMs() < endMs) await this.#handOver(replica);
      }
    };
    await Promise.all(Array.from({ length: HANDOVER_CONCURRENCY }, worker));
    this.#upkeep.status.drain();
  }

  /** Stops everything in reverse order, flushes, and closes the stores with it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { entries, journal, replicas, transport } = this.#foundation;
    const { balancer, fencing, memberships, reconciler, status, trash } = this.#upkeep;
    await this.#tasks.close();
    this.#watch.close();
    await Promise.all([memberships.close(), balancer.close(), fencing.close(), reconciler.close()]);
    status.close();
    trash.close();
    await this.partitions.close();
    await replicas.close();
    transport.close();
    entries.close();
    this.#features.controllerClient.close();
    this.#features.attachments.close();
    this.#features.deadLetters.close();
    if (replicas.failed !== undefined) return;
    replicas.markUnsynced();
    await closeStores({ keyed: this.ports.keyed, journal }, { clean: true });
  }

  async #handOver(replica: Replica): Promise<void> {
    if (replica.status().membership.voters.length < 2) return;
    try {
      await replica.transferLeadership();
    } catch (error) {
      const reason = isBrokerError(error) ? error.reason : "INTERNAL";
      const { groupId } = replica;
      this.ports.logger.warn({ groupId, reason }, "leadership could not be handed over");
    }
  }

  /** At the start, and when this node seems to be left out: the answer tells whether it still belongs to the cluster. */
  #spawnRegistration(): void {
    if (this.#isRegistering) return;
    this.#isRegistering = true;
    this.#tasks.spawn("register", async (signal) => {
      await this.#register(signal);
      this.#isRegistering = false;
    });
  }

  async #register(signal: AbortSignal): Promise<void> {
    const { clock, logger, random } = this.ports;
    const { endpoints, nodeFile } = this.options;
    const { controllerClient } = this.#features;
    const registration = new NodeRegistration({
      controller: controllerClient,
      clock,
      random,
      log: logger,
    });
    const registered = await registration.register(
      {
        type: "register-node",
        nodeId: this.nodeId,
        directoryId: nodeFile.directoryId,
        incarnation: this.#foundation.journal.incarnation,
        endpoints,
        features: FEATURES,
        founder: nodeFile.metadataRevision === 0,
      },
      signal,
    );
    if (registered.metadataRevision !== nodeFile.metadataRevision) {
      await this.#giveMetadataReplicaUp(registered.metadataRevision);
      return;
    }
    if (!this.#isRegistered) this.#watch.start();
    this.#isRegistered = true;
    logger.info({ nodeId: this.nodeId, index: registered.registeredIndex }, "registered");
    if (nodeFile.metadataRevision === 0) return;
    await this.#takeOverReplicas(signal);
  }

  /** The metadata group went on from another node alone (unsafe-recover): this node's replica of it begins anew. */
  async #giveMetadataReplicaUp(revision: number): Promise<void> {
    await replaceMetadataRevision(this.ports.disk, revision);
    const message = `node ${this.nodeId}'s replica of the metadata was given up; it begins anew at the next start`;
    this.ports.onFatal(new BrokerError("STALE_REPLICA", message, { nodeId: this.nodeId }));
  }

  /** This directory took the place of another one (or is new): what that one held is placed here anew. Idempotent. */
  async #takeOverReplicas(signal: AbortSignal): Promise<void> {
    const { directoryId } = this.options.nodeFile;
    const command = { type: "replace-replicas", nodeId: this.nodeId, directoryId } as const;
    while (!signal.aborted) {
      try {
        await this.#features.controllerClient.propose(command);
        return;
      } catch (error) {
        if (!isBrokerError(error) || error.retry === "never") throw error;
        this.ports.logger.info({ reason: error.reason }, "taking over replicas is being retried");
        await sleep(this.ports.clock, TAKE_OVER_RETRY_MS, signal);
      }
    }
  }

  #followEndpoints(): void {
    const nodes = [...this.view.image.nodes.values()];
    this.transport.setPeers(
      nodes.map((node) => ({ nodeId: node.nodeId, endpoint: node.endpoints.peer })),
    );
  }

  /** Decommissioned to the end: this directory is of no use any more. Deferred, because the news comes from inside apply. */
  #endWhenRemoved(): void {
    const removed = this.view.image.removedNodes.get(this.nodeId);
    const { directoryId } = this.options.nodeFile;
    if (removed?.retiredDirectories.includes(directoryId) !== true || this.#isRemoved) return;
    this.#isRemoved = true;
    const message = `node ${this.nodeId} was decommissioned and holds nothing any more; it stops`;
    const fields = { nodeId: this.nodeId, cause: "retired-directory" };
    this.ports.clock.defer(() => {
      this.ports.onFatal(new BrokerError("NODE_FENCED", message, fields));
    });
  }

  #taskFailed(name: string, error: unknown): void {
    this.ports.logger.error({ task: name, error }, "broker task failed");
    this.ports.onFatal(error instanceof Error ? error : new Error(`task ${name} failed`));
  }
}
