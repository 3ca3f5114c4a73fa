// One simulated machine with one broker: formatted once, started, stopped, killed, cut off from power, started again on
// what is left of its disk, given an empty disk, or retired. The broker itself is the production BrokerNode. Driven by
// sim-cluster.ts and the faults.
import { type Random, seededRandom } from "../../src/base/random.ts";
import { joinCluster } from "../../src/broker/join.ts";
import { BrokerNode } from "../../src/broker/node.ts";
import type { NodeOptions, NodePorts } from "../../src/broker/node-ports.ts";
import {
  registerClientServices,
  registerPeerServices,
} from "../../src/broker/services/register.ts";
import { formatDirectory, readNodeFile } from "../../src/cluster/cluster-format.ts";
import { METADATA_VOTERS_MAX } from "../../src/cluster/membership-plan.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { PARKED_FETCHES_MAX, PRODUCE_INFLIGHT_BYTES_MAX } from "../../src/model/limits.ts";
import { noPartitionMetrics } from "../../src/partition/partition-metrics.ts";
import type { Logger } from "../../src/replica/ports.ts";
import type { ReplicaCounter, ReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { NO_LOSS, type PowerLoss } from "./power-loss.ts";
import { LOW_SPACE_BYTES, SimStorage, type StorageOptions, type Survival } from "./sim-disk.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimHost, World } from "./world.ts";

export interface BrokerEvents {
  /** The node gave up or could not open its directory. */
  onFailure(broker: SimBroker, error: Error): void;
  onLog(broker: SimBroker, level: LogLevel, fields: object, message: string): void;
  /** A new incarnation is about to open its directory. */
  onBoot(broker: SimBroker): void;
  /** It has recovered what is on its disk, and is about to start. */
  onOpened(node: BrokerNode): void;
}

export type LogLevel = "info" | "warn" | "error";

export interface SimBrokerOptions {
  readonly nodeId: NodeId;
  /** Nodes that the cluster begins with. */
  readonly founders: readonly NodeId[];
  /** These, and those that may join later. */
  readonly machines: readonly NodeId[];
  readonly clusterId: string;
  readonly seed: number;
  readonly storage: Omit<StorageOptions, "seed">;
  readonly counters: Map<ReplicaCounter, number>;
}

/** Why this broker may fail, and what its operator does then. */
export interface Excuse {
  readonly reason: string;
  readonly remedy: "restart" | "replace";
}

export type Death =
  | { readonly kind: "process" }
  | { readonly kind: "power"; readonly disk: Survival; readonly keyed: Survival };

export function clientEndpoint(nodeId: NodeId): string {
  return `n${nodeId}:9092`;
}

function peerEndpoint(nodeId: NodeId): string {
  return `n${nodeId}:9093`;
}

const RETENTION_INTERVAL_MS = 5000;
const SCRUB_BYTES_PER_SECOND = 1024 * 1024;
const SCRUB_INTERVAL_MS = 10_000;

export class SimBroker {
  readonly nodeId: NodeId;
  readonly host: SimHost;
  readonly storage: SimStorage;
  /** Undefined while it is down or still recovering. */
  node: BrokerNode | undefined;
  /** Time of the last boot. */
  bootedAtMs = 0;
  excuse: Excuse | undefined;
  /** It failed, or one of its replicas did, for the reason that excuses it. */
  isAiling = false;
  boots = 0;
  /** Somebody ordered that it leaves the cluster, and may have changed their mind. */
  mayLeave = false;
  /** Such orders that are under way. */
  orders = 0;
  readonly #network: SimNetwork;
  readonly #options: SimBrokerOptions;
  readonly #events: BrokerEvents;
  readonly #random: Random;
  #powerCuts = 0;
  #abort = new AbortController();

  constructor(world: World, network: SimNetwork, options: SimBrokerOptions, events: BrokerEvents) {
    this.nodeId = options.nodeId;
    this.#network = network;
    this.#options = options;
    this.#events = events;
    this.host = world.host(`n${options.nodeId}`);
    this.host.isUp = false;
    this.#random = seededRandom(options.seed);
    this.storage = new SimStorage(this.host, { ...options.storage, seed: options.seed + 1 });
  }

  get isServing(): boolean {
    return this.node?.isRegistered === true;
  }

  /** @param joins the directory belongs to a cluster that exists already: its replicas are new ones */
  async format(joins: boolean): Promise<void> {
    const { clusterId, founders, machines, nodeId } = this.#options;
    const { disk } = this.storage.open();
    const random = this.#random;
    const { clock } = this.host;
    const first = {
      metadataVoters: founders.slice(0, METADATA_VOTERS_MAX),
      metadataLearners: founders.slice(METADATA_VOTERS_MAX),
    };
    const options = { clusterId, nodeId, nodeIds: machines, joins, founders: first, clock, random };
    await formatDirectory(disk, options);
  }

  /** Starts the process; `node` is set once the directory was recovered. */
  boot(): void {
    if (this.host.isUp) return;
    this.host.isUp = true;
    const { generation } = this.host;
    this.boots += 1;
    this.bootedAtMs = this.host.clock.monotonicMs();
    this.#abort = new AbortController();
    this.#events.onBoot(this);
    this.#open(generation).catch((error: unknown) => {
      if (generation === this.host.generation) this.#failed(error);
    });
  }

  /** @returns what was lost with it */
  kill(death: Death): PowerLoss {
    this.#abort.abort(new Error("the process died"));
    this.host.crash();
    const loss = this.#powerDown(death);
    this.node = undefined;
    this.#network.hostDied(this.host);
    return loss;
  }

  /** Hands leaderships over, flushes, ends. Run it on the broker's host. */
  async stop(timeoutMs: number): Promise<void> {
    const { generation } = this.host;
    const { node } = this;
    await node?.drain(timeoutMs);
    await node?.close();
    if (generation === this.host.generation) this.kill({ kind: "process" });
  }

  /** The disk is lost; the machine gets an empty one, which joins the cluster as another directory. */
  replaceDisk(): Promise<void> {
    if (this.host.isUp) this.kill({ kind: "process" });
    this.storage.replace();
    return this.format(true);
  }

  /** It left the cluster: the machine is empty and off, and may join again as another directory. */
  retire(): void {
    if (this.host.isUp) this.kill({ kind: "process" });
    this.storage.replace();
    this.excuse = undefined;
    this.isAiling = false;
    this.mayLeave = false;
  }

  #powerDown(death: Death): PowerLoss {
    if (death.kind === "power") {
      this.#powerCuts += 1;
      return this.storage.cutPower(death);
    }
    this.storage.detach();
    return NO_LOSS;
  }

  async #open(generation: number): Promise<void> {
    const { host } = this;
    const { disk, keyed } = this.storage.open();
    const { clock } = host;
    const connector = this.#network.connector(host);
    const logger = this.#logger(generation);
    const found = readNodeFile(disk);
    const options = this.#nodeOptions(found.metadataRevision === 0);
    const { endpoints, peers } = options;
    const nodeFile = await joinCluster({
      disk,
      nodeFile: found,
      endpoints,
      peers,
      connector,
      clock,
      logger,
      signal: this.#abort.signal,
    });
    if (generation !== host.generation) return;
    const ports: NodePorts = {
      clock,
      random: seededRandom(this.#random.integer(0, 2 ** 32)),
      disk,
      keyed,
      connector,
      logger,
      metrics: this.#metrics(),
      partitionMetrics: noPartitionMetrics,
      onPeerDrop: () => undefined,
      bootId: `boot-${this.#powerCuts}`,
      onFatal: (error) => {
        if (generation === host.generation) this.#failed(error);
      },
    };
    const node = await BrokerNode.open(ports, { ...options, nodeFile });
    if (generation !== host.generation) return;
    registerPeerServices(node, this.#network.listen(peerEndpoint(this.nodeId), host));
    registerClientServices(node, this.#network.listen(clientEndpoint(this.nodeId), host));
    this.#events.onOpened(node);
    node.start();
    this.node = node;
  }

  /** Who joins is told of all machines; some of those that founded the cluster may have left. */
  #nodeOptions(isFounder: boolean): Omit<NodeOptions, "nodeFile"> {
    const { founders, machines } = this.#options;
    const nodeIds = isFounder ? founders : machines;
    return {
      endpoints: {
        client: clientEndpoint(this.nodeId),
        peer: peerEndpoint(this.nodeId),
        admin: `n${this.nodeId}:9094`,
      },
      peers: nodeIds.map((nodeId) => ({ nodeId, endpoint: peerEndpoint(nodeId) })),
      tickMs: 50,
      electionTicks: 20,
      heartbeatTicks: 3,
      diskReserveBytes: LOW_SPACE_BYTES,
      produceInflightBytesMax: PRODUCE_INFLIGHT_BYTES_MAX,
      parkedFetchesMax: PARKED_FETCHES_MAX,
      topicDefaults: { partitions: 1, replicationFactor: 3, settings: {} },
      retentionIntervalMs: RETENTION_INTERVAL_MS,
      scrubBytesPerSecond: SCRUB_BYTES_PER_SECOND,
      scrubIntervalMs: SCRUB_INTERVAL_MS,
      trashRetentionMs: 10_000,
    };
  }

  #metrics(): ReplicaMetrics {
    const { counters } = this.#options;
    return {
      count: (name, by = 1) => {
        counters.set(name, (counters.get(name) ?? 0) + by);
      },
      observe: () => undefined,
    };
  }

  #failed(error: unknown): void {
    this.#events.onFailure(this, error instanceof Error ? error : new Error(String(error)));
  }

  /** What a dead process still says is heard by nobody. */
  #logger(generation: number): Logger {
    const at =
      (level: LogLevel): Logger["info"] =>
      (fields, message) => {
        if (generation !== this.host.generation) return;
        this.#events.onLog(this, level, fields, message);
      };
    return { debug: () => undefined, info: at("info"), warn: at("warn"), error: at("error") };
  }
}
