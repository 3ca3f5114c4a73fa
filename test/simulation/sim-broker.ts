// One simulated machine with one broker: formatted once, started, killed, cut off from power, started again on what is
// left of its disk. The broker itself is the production BrokerNode. Driven by sim-cluster.ts.

import { type Random, seededRandom } from "../../src/base/random.ts";
import { BrokerNode } from "../../src/broker/node.ts";
import type { NodeOptions } from "../../src/broker/node-ports.ts";
import {
  registerClientServices,
  registerPeerServices,
} from "../../src/broker/services/register.ts";
import { formatDirectory, readNodeFile } from "../../src/cluster/cluster-format.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { PARKED_FETCHES_MAX, PRODUCE_INFLIGHT_BYTES_MAX } from "../../src/model/limits.ts";
import { noPartitionMetrics } from "../../src/partition/partition-metrics.ts";
import type { Logger } from "../../src/replica/ports.ts";
import type { ReplicaCounter, ReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { SimStorage, type StorageOptions } from "./sim-disk.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimHost, World } from "./world.ts";

export interface BrokerEvents {
  /** The node gave up, could not open its directory, or reported an error. */
  onFailure(broker: SimBroker, error: Error): void;
  onLog(broker: SimBroker, level: string, fields: object, message: string): void;
  /** A new incarnation is about to open its directory. */
  onBoot(broker: SimBroker): void;
}

export interface SimBrokerOptions {
  readonly nodeId: NodeId;
  readonly nodeIds: readonly NodeId[];
  readonly clusterId: string;
  readonly seed: number;
  readonly storage: Omit<StorageOptions, "seed">;
  readonly counters: Map<ReplicaCounter, number>;
}

export function clientEndpoint(nodeId: NodeId): string {
  return `n${nodeId}:9092`;
}

function peerEndpoint(nodeId: NodeId): string {
  return `n${nodeId}:9093`;
}

const RETENTION_INTERVAL_MS = 5000;

export class SimBroker {
  readonly nodeId: NodeId;
  readonly host: SimHost;
  readonly storage: SimStorage;
  /** Undefined while it is down or still recovering. */
  node: BrokerNode | undefined;
  /** When it became ready to be seen as up again; the time of the last boot. */
  bootedAtMs = 0;
  readonly #network: SimNetwork;
  readonly #options: SimBrokerOptions;
  readonly #events: BrokerEvents;
  readonly #random: Random;
  #boots = 0;

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

  async format(): Promise<void> {
    const { clusterId, nodeId, nodeIds } = this.#options;
    const { disk } = this.storage.open();
    const random = this.#random;
    const { clock } = this.host;
    await formatDirectory(disk, { clusterId, nodeId, nodeIds, joins: false, clock, random });
  }

  /** Starts the process; `node` is set once the directory was recovered. */
  boot(): void {
    this.host.isUp = true;
    const { generation } = this.host;
    this.bootedAtMs = this.host.clock.monotonicMs();
    this.#events.onBoot(this);
    this.#open(generation).catch((error: unknown) => {
      if (generation === this.host.generation) this.#failed(error);
    });
  }

  kill(kind: "process" | "power"): void {
    this.host.crash();
    if (kind === "process") this.storage.detach();
    else {
      this.storage.cutPower();
      this.#boots += 1;
    }
    this.node = undefined;
    this.#network.hostDied(this.host);
  }

  async #open(generation: number): Promise<void> {
    const { host } = this;
    const { disk, keyed } = this.storage.open();
    const { counters, nodeIds } = this.#options;
    const metrics: ReplicaMetrics = {
      count: (name, by = 1) => {
        counters.set(name, (counters.get(name) ?? 0) + by);
      },
      observe: () => undefined,
    };
    const options: NodeOptions = {
      nodeFile: readNodeFile(disk),
      endpoints: {
        client: clientEndpoint(this.nodeId),
        peer: peerEndpoint(this.nodeId),
        admin: `n${this.nodeId}:9094`,
      },
      peers: nodeIds.map((nodeId) => ({ nodeId, endpoint: peerEndpoint(nodeId) })),
      tickMs: 50,
      electionTicks: 20,
      heartbeatTicks: 3,
      diskReserveBytes: 0,
      produceInflightBytesMax: PRODUCE_INFLIGHT_BYTES_MAX,
      parkedFetchesMax: PARKED_FETCHES_MAX,
      topicDefaults: { partitions: 1, replicationFactor: 3, settings: {} },
      retentionIntervalMs: RETENTION_INTERVAL_MS,
    };
    const node = await BrokerNode.open(
      {
        clock: host.clock,
        random: seededRandom(this.#random.integer(0, 2 ** 32)),
        disk,
        keyed,
        connector: this.#network.connector(host),
        logger: this.#logger(),
        metrics,
        partitionMetrics: noPartitionMetrics,
        onPeerDrop: () => undefined,
        bootId: `boot-${this.#boots}`,
        onFatal: (error) => {
          if (generation === host.generation) this.#failed(error);
        },
      },
      options,
    );
    if (generation !== host.generation) return;
    registerPeerServices(node, this.#network.listen(peerEndpoint(this.nodeId), host));
    registerClientServices(node, this.#network.listen(clientEndpoint(this.nodeId), host));
    node.start();
    this.node = node;
  }

  #failed(error: unknown): void {
    this.#events.onFailure(this, error instanceof Error ? error : new Error(String(error)));
  }

  #logger(): Logger {
    const at =
      (level: string): Logger["info"] =>
      (fields, message) =>
        this.#events.onLog(this, level, fields, message);
    return { debug: () => undefined, info: at("info"), warn: at("warn"), error: at("error") };
  }
}
