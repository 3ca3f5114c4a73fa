// `flotilla broker`: gives a BrokerNode the real world – files, LevelDB, gRPC, HTTP, signals excluded – and takes it apart
// again. Order of start: directory, identity, node, peer listener, admin listener, client listener, time. Order of stop: not
// ready, hand over, client listener, node, peer listener, directory.
import { systemClock } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { systemRandom } from "../base/random.ts";
import { readNodeFile } from "../cluster/cluster-format.ts";
import { type ClusterConfig, formatHostPort, type NodeConfig } from "../config/cluster-config.ts";
import { logFileOf, nodeOf } from "../config/load-config.ts";
import { memoryBudgetOf } from "../config/memory.ts";
import { raftTicks } from "../config/raft-ticks.ts";
import type { Disk, KeyedStore } from "../log/ports.ts";
import { openRealDisk } from "../log/real-disk.ts";
import type { NodeId } from "../model/ids.ts";
import { MEMORY_BUDGET_MIN, MemoryBudget } from "../model/memory-budget.ts";
import { type AdminServer, startAdminServer } from "../observe/admin-http.ts";
import { evaluateHealth } from "../observe/health.ts";
import { createLogger, type RootLogger } from "../observe/logger.ts";
import { createMetrics, type Metrics } from "../observe/metrics.ts";
import { createReplicaRecorder } from "../observe/replica-recorder.ts";
import { grpcConnector } from "../rpc/connector.ts";
import { HealthEndpoint } from "../rpc/health.ts";
import { reflectionEndpoint } from "../rpc/reflection.ts";
import { type GrpcServer, type GrpcServerOptions, openGrpcServer } from "../rpc/server.ts";
import { createCallRecorder } from "./call-recorder.ts";
import { bootId, openKeyedStore } from "./data-directory.ts";
import { createDeliveryRecorder } from "./delivery-recorder.ts";
import { healthChecks } from "./health-checks.ts";
import { joinCluster } from "./join.ts";
import { pressureChecks } from "./memory-pressure.ts";
import { BrokerNode } from "./node.ts";
import { observeNode } from "./node-metrics.ts";
import type { NodeOptions } from "./node-ports.ts";
import { OverloadLog } from "./overload-log.ts";
import { createPartitionRecorder } from "./partition-recorder.ts";
import { availableMemory, fullCollection, ProcessMemory } from "./process-memory.ts";
import { registerClientServices, registerPeerServices } from "./services/register.ts";

export interface ProcessHooks {
  /** The process begins (true) or ceases to use most of its memory budget. */
  readonly onMemoryShort: (isShort: boolean) => void;
  /** The broker failed and stops by itself. Its closing may meet the same failure, and never end. */
  readonly onFailing: () => void;
}

export interface RunningBroker {
  /** Hands leaderships over, then stops. Idempotent. */
  close(): Promise<void>;
  /** Settles when the broker has stopped by itself (with why) or was closed (undefined). */
  readonly closed: Promise<Error | undefined>;
}

/** Grace of listeners for calls that are under way when they close. */
const LISTENER_GRACE_MS = 500;
const READY_CHECK_MS = 200;

/**
 * Starts one broker of the configuration.
 * @throws StorageError ("locked", "missing", "corrupt" …) | ConfigError | Error when an address can not be bound
 */
export async function startBroker(
  config: ClusterConfig,
  nodeId: number,
  hooks: ProcessHooks,
): Promise<RunningBroker> {
  const own = nodeOf(config, nodeId);
  const file = logFileOf(config, nodeId);
  const logger = createLogger({
    level: config.logging.level,
    nodeId: own.id,
    ...(file === undefined ? {} : { file }),
  });
  const broker = new Broker(config, own, logger, hooks);
  try {
    await broker.open();
  } catch (error) {
    // What kept it from opening often breaks its closing too; the first error is the one that is told.
    await broker.close().catch(() => undefined);
    throw error;
  }
  return broker;
}

class Broker implements RunningBroker {
  readonly #config: ClusterConfig;
  readonly #own: NodeConfig;
  readonly #logger: RootLogger;
  readonly #hooks: ProcessHooks;
  readonly #metrics: Metrics = createMetrics();
  readonly #overloads = new OverloadLog(systemClock);
  readonly #memory: MemoryBudget;
  readonly #processMemory: ProcessMemory;
  readonly #health = new HealthEndpoint();
  readonly #closed: Deferred<Error | undefined> = deferred();
  readonly #abort = new AbortController();
  #keyed: KeyedStore | undefined;
  #node: BrokerNode | undefined;
  #peerServer: GrpcServer | undefined;
  #clientServer: GrpcServer | undefined;
  #admin: AdminServer | undefined;
  #cancelReadiness: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #fatal: Error | undefined;

  constructor(config: ClusterConfig, own: NodeConfig, logger: RootLogger, hooks: ProcessHooks) {
    this.#config = config;
    this.#own = own;
    this.#logger = logger;
    this.#hooks = hooks;
    this.#memory = new MemoryBudget(memoryBudgetOf(config, availableMemory()));
    this.#processMemory = new ProcessMemory(this.#memory, {
      clock: systemClock,
      rssBytes: () => process.memoryUsage.rss(),
      collect: fullCollection(),
      onShort: hooks.onMemoryShort,
    });
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  async open(): Promise<void> {
    const { dataDir, client, peer, admin, id } = this.#own;
    const { limits } = this.#config;
    const disk = openRealDisk(dataDir);
    // Opening the keyed store takes the directory's lock: a second process on it stops here.
    const nodeFile = readNodeFile(disk);
    if (nodeFile.nodeId !== id) {
      throw new Error(`${dataDir} belongs to node ${nodeFile.nodeId}, not to node ${id}`);
    }
    const keyed = await openKeyedStore(disk, dataDir);
    this.#keyed = keyed;
    const connector = grpcConnector({});
    const peers = peerEndpoints(this.#config);
    const endpoints = endpointsOf(this.#own);
    const joined = await joinCluster({
      disk,
      nodeFile,
      endpoints,
      peers,
      connector,
      clock: systemClock,
      logger: this.#logger,
      signal: this.#abort.signal,
    });
    this.#node = await this.#openNode(disk, keyed, connector, {
      ...this.#options(),
      nodeFile: joined,
    });
    const node = this.#node;
    this.#peerServer = await this.#listen(peer, new MemoryBudget(MEMORY_BUDGET_MIN), (services) =>
      registerPeerServices(node, services),
    );
    this.#admin = await startAdminServer(admin, this.#adminSources(node), this.#logger);
    this.#clientServer = await this.#listen(
      client,
      this.#memory,
      (services) => registerClientServices(node, services),
      {
        extensions: [this.#health, reflectionEndpoint()],
        limits: {
          connectionsMax: limits.connections,
          streamsPerConnectionMax: limits.streamsPerConnection,
        },
      },
    );
    node.start();
    this.#processMemory.start();
    this.#watchReadiness(node);
    this.#logger.info(
      {
        nodeId: id,
        client: formatHostPort(client),
        peer: formatHostPort(peer),
        admin: formatHostPort(admin),
      },
      "broker started",
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #openNode(
    disk: Disk,
    keyed: KeyedStore,
    connector: ReturnType<typeof grpcConnector>,
    options: NodeOptions,
  ): Promise<BrokerNode> {
    const ports = {
      clock: systemClock,
      random: systemRandom,
      disk,
      keyed,
      connector,
      logger: this.#logger,
      metrics: createReplicaRecorder(this.#metrics.instruments),
      partitionMetrics: createPartitionRecorder(this.#metrics.instruments, this.#overloads),
      deliveryMetrics: createDeliveryRecorder(this.#metrics.instruments, this.#overloads),
      memory: this.#memory,
      onPeerDrop: (to: NodeId) => this.#metrics.instruments.peerDrops.with(String(to)).add(1),
      bootId: bootId(),
      onFatal: (error: Error) => this.#failed(error),
    };
    return BrokerNode.open(ports, options);
  }

  #options(): Omit<NodeOptions, "nodeFile"> {
    const { limits, raft, storage } = this.#config;
    return {
      endpoints: endpointsOf(this.#own),
      peers: peerEndpoints(this.#config),
      tickMs: raft.tickMs,
      ...raftTicks(raft),
      diskReserveBytes: storage.diskFreeBytesMin,
      produceInflightBytesMax: limits.produceInflightBytes,
      parkedFetchesMax: limits.parkedFetches,
      topicDefaults: topicDefaults(this.#config),
      retentionIntervalMs: 10_000,
      trashRetentionMs: storage.trashRetentionMs,
      scrubBytesPerSecond: storage.scrubBytesPerSecond,
      scrubIntervalMs: storage.scrubIntervalMs,
    };
  }

  /** @param more of the clients' listener: what they are limited to must not bound other brokers, who wait for each other */
  #listen(
    address: { readonly host: string; readonly port: number },
    memory: MemoryBudget,
    services: GrpcServerOptions["services"],
    more: Pick<GrpcServerOptions, "extensions" | "limits"> = {},
  ): Promise<GrpcServer> {
    return openGrpcServer({
      ...address,
      ...more,
      services,
      memory,
      onDefect: (error) => this.#failed(error instanceof Error ? error : new Error(String(error))),
      calls: createCallRecorder(this.#metrics.instruments, this.#overloads),
    });
  }

  #adminSources(node: BrokerNode): Parameters<typeof startAdminServer>[1] {
    const observation = observeNode(node, this.#metrics.instruments, () => ({
      client: this.#clientServer?.connectionCount ?? 0,
      peer: this.#peerServer?.connectionCount ?? 0,
    }));
    const checks = [...healthChecks(node), ...pressureChecks(this.#memory, this.#overloads)];
    return {
      metricsContentType: this.#metrics.contentType,
      renderMetrics: async () => {
        await observation.refresh();
        return this.#metrics.render();
      },
      health: () => evaluateHealth(checks),
    };
  }

  #watchReadiness(node: BrokerNode): void {
    const checks = healthChecks(node);
    const look = (): void => {
      this.#health.setReady(evaluateHealth(checks).ready.ok);
      this.#cancelReadiness = systemClock.schedule(READY_CHECK_MS, look);
    };
    look();
  }

  #failed(error: Error): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = error;
    this.#logger.error({ error }, "broker stops");
    this.#hooks.onFailing();
    // What broke the broker often breaks its closing too; the first error is the one that is told.
    this.close().catch((later: unknown) => {
      this.#logger.warn({ error: later }, "closing after the failure failed too");
    });
  }

  async #close(): Promise<void> {
    this.#abort.abort(new Error("the broker is stopping"));
    this.#cancelReadiness?.();
    this.#processMemory.close();
    this.#health.setReady(false);
    const node = this.#node;
    try {
      if (node !== undefined && this.#fatal === undefined) {
        await node.drain(this.#config.shutdownTimeoutMs);
      }
      await this.#clientServer?.close(LISTENER_GRACE_MS);
      await node?.close();
      await this.#peerServer?.close(LISTENER_GRACE_MS);
      await this.#admin?.close();
      // The node closes it with its journal; here it is still open when there is no node, or when its storage failed.
      await this.#keyed?.close();
      this.#logger.info({ nodeId: this.#own.id }, "broker stopped");
    } finally {
      this.#closed.resolve(this.#fatal);
    }
  }
}

function topicDefaults(config: ClusterConfig): NodeOptions["topicDefaults"] {
  const { acks, flush, partitions, replicationFactor } = config.topics;
  return { partitions, replicationFactor, settings: { acks, flush } };
}

function peerEndpoints(config: ClusterConfig): { nodeId: NodeId; endpoint: string }[] {
  return config.nodes.map((node) => ({
    nodeId: node.id,
    endpoint: formatHostPort(node.advertised.peer),
  }));
}

function endpointsOf(node: NodeConfig): NodeOptions["endpoints"] {
  return {
    client: formatHostPort(node.advertised.client),
    peer: formatHostPort(node.advertised.peer),
    admin: formatHostPort(node.advertised.admin),
  };
}
