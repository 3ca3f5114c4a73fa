// Brokers in this process, on memory disks, talking real gRPC over loopback: the production composition (BrokerNode) with
// everything observable and breakable that a broker process hides. Tests of acknowledgements, refusals and retention use it.

import { systemClock } from "../../src/base/clock.ts";
import { type Random, systemRandom } from "../../src/base/random.ts";
import { BrokerNode } from "../../src/broker/node.ts";
import type { NodeOptions } from "../../src/broker/node-ports.ts";
import {
  registerClientServices,
  registerPeerServices,
} from "../../src/broker/services/register.ts";
import { formatDirectory, readNodeFile } from "../../src/cluster/cluster-format.ts";
import { TOPIC_CREATION_DEFAULTS } from "../../src/cluster/topic-frontend.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import type { NodeId, TopicId } from "../../src/model/ids.ts";
import type { Partition } from "../../src/partition/partition.ts";
import { noPartitionMetrics } from "../../src/partition/partition-metrics.ts";
import type { ReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import type { AdmissionLimits } from "../../src/rpc/admission.ts";
import { grpcConnector } from "../../src/rpc/connector.ts";
import {
  CreateTopicRequest,
  TransferLeadershipRequest,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { adminService } from "../../src/rpc/methods.ts";
import type { Connection } from "../../src/rpc/ports.ts";
import { type GrpcServer, openGrpcServer } from "../../src/rpc/server.ts";
import { freePorts } from "./free-ports.ts";
import { GatedConnector, GatedDisk } from "./gates.ts";
import { pause } from "./local-cluster.ts";

export interface InProcessOptions {
  readonly nodes?: number;
  /** What each broker is given beyond the defaults of these tests. */
  readonly node?: Partial<Omit<NodeOptions, "nodeFile" | "endpoints" | "peers">>;
  readonly limits?: Partial<AdmissionLimits>;
  /** How far brokers' wall clocks are ahead, by node id, ms. */
  readonly wallAheadMs?: Readonly<Record<number, number>>;
}

/** A power cut that keeps nothing but what was synced. */
export const NOTHING_UNSYNCED: Random = {
  next: () => 0,
  integer: (from) => from,
  uuid: () => systemRandom.uuid(),
};

/** One broker's machine: its disk outlives the processes. */
export class InProcessNode {
  readonly id: NodeId;
  readonly client: string;
  readonly peer: string;
  readonly counters = new Map<string, number>();
  readonly log: string[] = [];
  disk = new MemoryDisk();
  keyed = new MemoryStore();
  gates = new GatedDisk(this.disk);
  connector = new GatedConnector(grpcConnector({}));
  running: BrokerNode | undefined;
  servers: GrpcServer[] = [];
  fatal: Error | undefined;

  constructor(id: NodeId, client: string, peer: string) {
    this.id = id;
    this.client = client;
    this.peer = peer;
  }

  get broker(): BrokerNode {
    if (this.running === undefined) throw new Error(`node ${this.id} is not running`);
    return this.running;
  }

  get metrics(): ReplicaMetrics {
    return {
      count: (name, by = 1) => this.counters.set(name, (this.counters.get(name) ?? 0) + by),
      observe: () => undefined,
    };
  }

  logger = {
    debug: (): void => undefined,
    info: (fields: object, message: string): void => this.#note("info", fields, message),
    warn: (fields: object, message: string): void => this.#note("warn", fields, message),
    error: (fields: object, message: string): void => this.#note("error", fields, message),
  };

  #note(level: string, fields: object, message: string): void {
    const texts = Object.entries(fields).map(([name, value]) =>
      value instanceof Error ? `${name}=${value.message}` : `${name}=${JSON.stringify(value)}`,
    );
    this.log.push(`${level} ${message} ${texts.join(" ")}`);
  }
}

export class InProcessCluster {
  readonly nodes: readonly InProcessNode[];
  readonly #options: InProcessOptions;
  readonly #connections: Connection[] = [];

  private constructor(nodes: readonly InProcessNode[], options: InProcessOptions) {
    this.nodes = nodes;
    this.#options = options;
  }

  /** Formats and starts all nodes; resolves when every one is registered. */
  static async start(options: InProcessOptions = {}): Promise<InProcessCluster> {
    const count = options.nodes ?? 3;
    const ports = await freePorts(count * 2);
    const nodes = Array.from({ length: count }, (_, place) => {
      const address = (slot: number): string => `127.0.0.1:${ports[place * 2 + slot]}`;
      return new InProcessNode((place + 1) as NodeId, address(0), address(1));
    });
    const cluster = new InProcessCluster(nodes, options);
    const clusterId = systemRandom.uuid();
    for (const { disk, id } of nodes) {
      await formatDirectory(disk, {
        clusterId,
        nodeId: id,
        nodeIds: nodes.map((node) => node.id),
        joins: false,
        clock: systemClock,
        random: systemRandom,
      });
    }
    await Promise.all(nodes.map(async (node) => cluster.startNode(node.id)));
    await cluster.until("all nodes are registered", () =>
      nodes.every(
        (node) => node.broker.isRegistered && node.broker.view.image.nodes.size === count,
      ),
    );
    return cluster;
  }

  node(nodeId: number): InProcessNode {
    const node = this.nodes[nodeId - 1];
    if (node === undefined) throw new Error(`no node ${nodeId}`);
    return node;
  }

  async startNode(nodeId: number): Promise<void> {
    const node = this.node(nodeId);
    node.gates = new GatedDisk(node.disk);
    node.connector = new GatedConnector(grpcConnector({}));
    node.fatal = undefined;
    const aheadMs = this.#options.wallAheadMs?.[nodeId] ?? 0;
    const broker = await BrokerNode.open(
      {
        clock: { ...systemClock, wallMs: () => Date.now() + aheadMs },
        random: systemRandom,
        disk: node.gates,
        keyed: node.keyed,
        connector: node.connector,
        logger: node.logger,
        metrics: node.metrics,
        partitionMetrics: noPartitionMetrics,
        onPeerDrop: () => undefined,
        bootId: "in-process",
        onFatal: (error) => {
          node.fatal ??= error;
        },
      },
      {
        endpoints: { client: node.client, peer: node.peer, admin: "" },
        peers: this.nodes.map(({ id, peer }) => ({ nodeId: id, endpoint: peer })),
        tickMs: 25,
        electionTicks: 20,
        heartbeatTicks: 3,
        diskReserveBytes: 0,
        produceInflightBytesMax: 32 * 1024 * 1024,
        parkedFetchesMax: 1000,
        topicDefaults: TOPIC_CREATION_DEFAULTS,
        retentionIntervalMs: 10_000,
        trashRetentionMs: 60_000,
        ...this.#options.node,
        nodeFile: readNodeFile(node.disk),
      },
    );
    node.running = broker;
    node.servers = [
      await this.#listen(node, node.peer, (services) => registerPeerServices(broker, services)),
      await this.#listen(node, node.client, (services) => registerClientServices(broker, services)),
    ];
    broker.start();
  }

  /** Ends the process in good order; its disk keeps everything. No leadership is handed over. */
  async stopNode(nodeId: number): Promise<void> {
    const node = this.node(nodeId);
    await node.running?.close();
    await this.#forget(node);
    node.disk = node.disk.detach();
    node.keyed = node.keyed.detach();
  }

  /** SIGKILL: what was written stays in the page cache. */
  async killNode(nodeId: number): Promise<void> {
    const node = this.node(nodeId);
    node.disk = node.disk.detach();
    node.keyed = node.keyed.detach();
    await this.#bury(node);
  }

  /** Power cut of one machine: only what was synced stays. */
  async powerOff(nodeId: number): Promise<void> {
    const node = this.node(nodeId);
    node.disk = node.disk.crash(NOTHING_UNSYNCED);
    node.keyed = node.keyed.crash(NOTHING_UNSYNCED);
    await this.#bury(node);
  }

  connect(nodeId: number, lane = "test"): Connection {
    return this.connectTo(this.node(nodeId).client, lane);
  }

  connectTo(endpoint: string, lane = "test"): Connection {
    const connection = grpcConnector({}).connect(endpoint, lane);
    this.#connections.push(connection);
    return connection;
  }

  /** The node that leads the metadata group. */
  async controller(): Promise<InProcessNode> {
    const leads = (node: InProcessNode): boolean => node.running?.controller.isLeader === true;
    await this.until("the metadata group has a leader", () => this.nodes.some(leads));
    return this.nodes.find(leads) ?? this.node(1);
  }

  /** Creates a topic; returns its id when every partition is led and every replica follows. */
  async createTopic(
    name: string,
    settings: Readonly<Record<string, string>> = {},
    partitions = 1,
  ): Promise<TopicId> {
    const controller = await this.controller();
    const request = CreateTopicRequest.create({ name, partitions, replicationFactor: 0, settings });
    const { topicId } = await this.connect(controller.id).unary(adminService.createTopic, request, {
      timeoutMs: 10_000,
    });
    const id = topicId as TopicId;
    await this.until("every replica follows", () =>
      this.nodes.every((node) => {
        if (node.running === undefined) return true;
        const replicas = [...node.running.partitions.registry.ofTopic(id)];
        return replicas.length === partitions && replicas.every(isInStep);
      }),
    );
    for (let partition = 0; partition < partitions; partition += 1)
      await this.#settle(name, id, partition);
    return id;
  }

  /** The balancer would do this in a few seconds, in the middle of a test. */
  async #settle(topic: string, topicId: TopicId, partition: number): Promise<void> {
    const leader = await this.leaderOf(topicId, partition);
    const row = leader.broker.view.image.partitionsOf(topicId)[partition];
    const preferred = row?.replicas[0]?.nodeId;
    if (preferred === undefined || preferred === leader.id) return;
    await this.transferLeadership(topic, topicId, preferred, partition);
  }

  /** The partition's replica on a node. */
  partition(nodeId: number, topicId: TopicId, partition = 0): Partition {
    const replicas = [...this.node(nodeId).broker.partitions.registry.ofTopic(topicId)];
    const found = replicas.find((candidate) => candidate.partition === partition);
    if (found === undefined) throw new Error(`node ${nodeId} has no partition ${partition}`);
    return found;
  }

  /** Node that leads the partition and is ready. */
  async leaderOf(topicId: TopicId, partition = 0): Promise<InProcessNode> {
    const leads = (node: InProcessNode): boolean => {
      const replicas = [...(node.running?.partitions.registry.ofTopic(topicId) ?? [])];
      return replicas.some((other) => other.partition === partition && other.isLeaderReady);
    };
    await this.until("the partition has a leader", () => this.nodes.some(leads));
    return this.nodes.find(leads) ?? this.node(1);
  }

  async transferLeadership(
    topic: string,
    topicId: TopicId,
    toNode: number,
    partition = 0,
  ): Promise<void> {
    const leader = await this.leaderOf(topicId, partition);
    const request = TransferLeadershipRequest.create({ topic, partition, toNode });
    await this.connect(leader.id).unary(adminService.transferLeadership, request, {
      timeoutMs: 10_000,
    });
    await this.until(
      "the new leader is ready",
      () => this.partition(toNode, topicId, partition).isLeaderReady,
    );
  }

  /** Waits for a condition; the error shows what the brokers logged last. */
  async until(what: string, isTrue: () => boolean, timeoutMs = 15_000): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (!isTrue()) {
      if (performance.now() > endMs) throw new Error(`not in time: ${what}\n${this.logTail()}`);
      await pause(10);
    }
  }

  logTail(lines = 15): string {
    return this.nodes
      .map((node) => `node ${node.id}:\n${node.log.slice(-lines).join("\n")}`)
      .join("\n");
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    for (const node of this.nodes) {
      node.gates.releaseSyncs();
      node.connector.releaseEntries();
    }
    await Promise.all(this.nodes.map(async (node) => this.#bury(node)));
  }

  async #bury(node: InProcessNode): Promise<void> {
    try {
      await node.running?.close();
    } catch {
      // Its disk is gone: nothing can be closed in good order.
    }
    await this.#forget(node);
  }

  async #forget(node: InProcessNode): Promise<void> {
    node.running = undefined;
    await Promise.all(node.servers.map(async (server) => server.close(0)));
    node.servers = [];
  }

  async #listen(
    node: InProcessNode,
    endpoint: string,
    services: Parameters<typeof openGrpcServer>[0]["services"],
  ): Promise<GrpcServer> {
    return openGrpcServer({
      host: "127.0.0.1",
      port: Number(endpoint.split(":")[1]),
      services,
      onDefect: (error) => {
        node.fatal ??= error instanceof Error ? error : new Error(String(error));
      },
      ...(endpoint === node.client && this.#options.limits !== undefined
        ? { limits: this.#options.limits }
        : {}),
    });
  }
}

/** Knows its leader and has applied everything committed, the flush mode of the topic included. */
function isInStep(partition: Partition): boolean {
  const { commitIndex, appliedIndex, durableCommitIndex } = partition.replica.watermarks;
  return (
    partition.replica.leaderNode !== 0 &&
    commitIndex > 0 &&
    appliedIndex === commitIndex &&
    durableCommitIndex === commitIndex &&
    partition.state.flush === partition.settings.flush
  );
}
