// What a broker is put together from: the ports that start.ts fills with the real world and the simulator with a virtual
// one, and the settings of one node.
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { NodeFile } from "../cluster/cluster-format.ts";
import type { NodeEndpoints } from "../cluster/metadata-commands.ts";
import type { TopicCreationDefaults } from "../cluster/topic-frontend.ts";
import type { DeliveryMetrics } from "../delivery/delivery-metrics.ts";
import type { Disk, KeyedStore } from "../log/ports.ts";
import type { NodeId } from "../model/ids.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { PartitionMetrics } from "../partition/partition-metrics.ts";
import type { Logger } from "../replica/ports.ts";
import type { ReplicaMetrics } from "../replica/replica-metrics.ts";
import type { Connector } from "../rpc/ports.ts";

export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly keyed: KeyedStore;
  readonly connector: Connector;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly partitionMetrics: PartitionMetrics;
  /** Default: nothing is counted. */
  readonly deliveryMetrics?: DeliveryMetrics;
  /** What the node may hold for others; shared with the listener for clients. Default: that of a large machine. */
  readonly memory?: MemoryBudget;
  /** A raft message to this node was dropped because its queue was full. */
  readonly onPeerDrop: (to: NodeId) => void;
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
  /** What removed replicas left is kept this long at least. */
  readonly trashRetentionMs: number;
  /** How fast segments are verified in the background. Default 0: not at all. */
  readonly scrubBytesPerSecond?: number;
  /** From one such walk to the next. */
  readonly scrubIntervalMs?: number;
}
