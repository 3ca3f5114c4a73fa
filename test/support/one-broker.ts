// One broker of a cluster of one, recovered from a memory disk and not started: what its node does with its directory.

import { seededRandom } from "../../src/base/random.ts";
import { BrokerNode } from "../../src/broker/node.ts";
import { formatDirectory, readNodeFile } from "../../src/cluster/cluster-format.ts";
import { TOPIC_CREATION_DEFAULTS } from "../../src/cluster/topic-frontend.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import type { Disk, KeyedStore } from "../../src/log/ports.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { noPartitionMetrics } from "../../src/partition/partition-metrics.ts";
import { noReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { silentLogger } from "./silent-logger.ts";
import { VirtualClock } from "./virtual-clock.ts";

const NODE = 1 as NodeId;

export interface OneBroker {
  readonly broker: BrokerNode;
  readonly clock: VirtualClock;
  readonly disk: MemoryDisk;
  readonly memory: MemoryStore;
}

export interface OneBrokerOptions {
  /** What an earlier one left. Default: a new directory. */
  readonly disk?: MemoryDisk;
  readonly memory?: MemoryStore;
  /** Called before the keyed store is closed; what it throws is how closing fails. */
  readonly beforeKeyedCloses?: () => void;
}

export async function openOneBroker(options: OneBrokerOptions = {}): Promise<OneBroker> {
  const { disk = new MemoryDisk(), memory = new MemoryStore() } = options;
  if (options.disk === undefined) await formatFor(disk, [NODE]);
  return { ...(await openBroker(disk, asked(memory, options.beforeKeyedCloses))), disk, memory };
}

/** Node 1 of a new cluster. */
export async function formatFor(disk: Disk, nodes: readonly number[]): Promise<void> {
  await formatDirectory(disk, {
    clusterId: "cluster",
    nodeId: NODE,
    nodeIds: nodes as NodeId[],
    joins: false,
    clock: new VirtualClock().root,
    random: seededRandom(1),
  });
}

export async function openBroker(
  disk: Disk,
  keyed: KeyedStore,
): Promise<Pick<OneBroker, "broker" | "clock">> {
  const clock = new VirtualClock();
  const broker = await BrokerNode.open(
    {
      clock: clock.root,
      random: seededRandom(1),
      disk,
      keyed,
      connector: {
        connect: () => {
          throw new Error("nobody is dialled");
        },
      },
      logger: silentLogger,
      metrics: noReplicaMetrics,
      partitionMetrics: noPartitionMetrics,
      onPeerDrop: () => undefined,
      bootId: "boot",
      onFatal: () => undefined,
    },
    {
      nodeFile: readNodeFile(disk),
      endpoints: { client: "client", peer: "peer", admin: "admin" },
      peers: [],
      tickMs: 50,
      electionTicks: 20,
      heartbeatTicks: 3,
      diskReserveBytes: 0,
      produceInflightBytesMax: 1024 * 1024,
      parkedFetchesMax: 10,
      topicDefaults: TOPIC_CREATION_DEFAULTS,
      retentionIntervalMs: 10_000,
      trashRetentionMs: 60_000,
    },
  );
  return { broker, clock };
}

function asked(memory: MemoryStore, beforeClose: (() => void) | undefined): KeyedStore {
  return {
    batch: (writes, options) => memory.batch(writes, options),
    get: (key) => memory.get(key),
    range: (prefix) => memory.range(prefix),
    removeRange: (prefix) => memory.removeRange(prefix),
    close: async () => {
      beforeClose?.();
      await memory.close();
    },
  };
}
