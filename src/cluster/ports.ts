// What the cluster room asks of others. The broker connects these ports (replica set, partitions,
// peer transport, logger); the simulator and the tests give their own.
import type { GroupId, NodeId, PartitionIndex, ReplicaId, TopicId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { SlotLayout } from "../model/slots.ts";
import type { LedGroup } from "./leader-balance-plan.ts";
import type { MetadataCommand } from "./metadata-commands.ts";

/** A pino logger fits. Messages are constant lower-case sentences, data only in fields. */
export interface Logger {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** One replica that this node shall run, and what its group needs to know of its topic. */
export interface PartitionAssignment {
  readonly groupId: GroupId;
  readonly topicId: TopicId;
  readonly topicName: string;
  readonly partition: PartitionIndex;
  /** This node's replica. */
  readonly replicaId: ReplicaId;
  /**
   * Voters with which the group began, this replica among them or not. A replica that is not a
   * founder begins as a member of nothing and learns the configuration from the group's log or
   * image.
   */
  readonly founders: readonly ReplicaId[];
  /** Preferred leader: may campaign at once when the group is new. */
  readonly preferredLeader: NodeId;
  readonly layout: SlotLayout;
  /** As given for the topic, defaults left out. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A group that this node holds, known from its disk, open or not. */
export interface LocalGroup {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  /** Undefined when the disk does not tell. */
  readonly topicId: TopicId | undefined;
}

/**
 * The partition groups of this node. Every call is idempotent and may be repeated after a failure.
 */
export interface LocalGroups {
  /** Creates the replica if it is new (journalled before its first vote) and starts it. */
  open(assignment: PartitionAssignment): Promise<void>;
  /** Topic settings or layout changed. */
  update(assignment: PartitionAssignment): Promise<void>;
  /**
   * The group lost its majority, and the replica `from` on this disk goes on as the whole group, as the assignment's
   * replica; opened afterwards.
   */
  succeed(assignment: PartitionAssignment, from: ReplicaId): Promise<void>;
  /** Stops the replica and puts its data into the trash: its topic was deleted, or it was moved away. */
  remove(groupId: GroupId): Promise<void>;
  /** Everything on this node's disk, the metadata group left out. */
  list(): readonly LocalGroup[];
}

/** Proposes on the metadata leader, wherever it is. Retries nothing by itself. */
export interface ControllerClient {
  /**
   * @returns the command's result (MetadataReply `ok`)
   * @throws BrokerError as refused by the state, or NOT_LEADER | LEADER_UNKNOWN | UNREACHABLE |
   * DEADLINE …
   */
  propose(command: MetadataCommand): Promise<Readonly<Record<string, string | number | boolean>>>;
}

/** What the leaders of partitions say about subscriptions. */
export interface Attachments {
  /**
   * Partitions of the topics that a subscription selects whose leader has not said yet that it keeps a cursor for it.
   * Never rejects: who does not answer has not said it.
   */
  pending(subscriptionId: string): Promise<number> | number;
}

/** The groups that this node leads, for the balancer. */
export interface LedGroups {
  /** Those that are ready to serve and in no transfer. */
  list(): readonly LedGroup[];
  transfer(groupId: GroupId, to: NodeId): Promise<void>;
}

/** One group led here, for membership changes. */
export interface LedMembership {
  readonly groupId: GroupId;
  /** The leader: this node's replica. */
  readonly self: ReplicaId;
  /** In which it leads. */
  readonly term: Term;
  readonly voters: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  /** A change is under way. */
  readonly isChanging: boolean;
  /** Members that hold nearly all of the log. */
  readonly caughtUp: readonly ReplicaId[];
  /** Learners that are heard from and do not. */
  readonly lagging: readonly ReplicaId[];
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
}

/** Groups led here whose membership can be changed. The metadata group is group 0. */
export interface Memberships {
  list(): readonly LedMembership[];
  /** Undefined: not led here (any more). */
  get(groupId: GroupId): LedMembership | undefined;
  /** Resolves when the target is in force. */
  change(
    groupId: GroupId,
    target: { readonly voters: readonly ReplicaId[]; readonly learners: readonly ReplicaId[] },
  ): Promise<void>;
  transfer(groupId: GroupId, to: NodeId): Promise<void>;
}

/** What the leader of a partition on this node tells for DescribeTopic and DescribeCluster. */
export interface LedPartition {
  readonly inSync: readonly NodeId[];
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly bytes: number;
  readonly commitIndex: number;
}

/** How far the leader of a partition on this node sees a change of its replicas. */
export interface MoveProgress {
  /** Wanted replicas that do not vote yet, or lack more than a few entries. */
  readonly replicasBehind: number;
  /** Bytes of the log that those lack, estimated from their share of the entries. */
  readonly bytesLeft: number;
}

/**
 * What this node says about itself to all others, once a second and on change (peer protocol
 * NodeStatus).
 */
export interface NodeStatusReport {
  readonly nodeId: number;
  readonly incarnation: number;
  readonly ledGroups: readonly number[];
  readonly ledTerms: readonly Term[];
  readonly draining: boolean;
  /** The sender's wall clock when it spoke, ms since 1970. */
  readonly wallClockMs: number;
  /** Groups whose replica there may have forgotten what it acknowledged. */
  readonly recoveringGroups: readonly number[];
  /** Groups whose replica there can not lead, because damaged entries keep it from applying what it holds. */
  readonly blockedGroups: readonly number[];
}
