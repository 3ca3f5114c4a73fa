// What the commands need from the SDK. sdk.ts implements it with flotilla/client; tests give a fake. Types only.
import type { Acks, Flush } from "../model/durability.ts";
import type { DeadLettersPort } from "./dead-letter-port.ts";
import type { StartAt } from "./options.ts";
import type { SubscriptionsPort } from "./subscription-port.ts";

export interface SendReceipt {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly acks: Acks;
  readonly flush: Flush;
  readonly duplicate: boolean;
}

export interface OutgoingMessage {
  readonly key: Uint8Array | undefined;
  /** undefined: a tombstone. */
  readonly value: Uint8Array | undefined;
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array }[];
  readonly partition: number | undefined;
}

export interface ReadMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array }[];
}

/** A message of a subscription. */
export interface DeliveredMessage extends ReadMessage {
  /** From 1. */
  readonly attempt: number;
}

export interface ConsumeWish {
  readonly subscription: string;
  /** Messages, or batches of them, that are worked on at the same time. */
  readonly concurrency: number;
  /** False: everything is given back in the end. */
  readonly isAcked: boolean;
  /** Ends after so many; may be infinite. */
  readonly countMax: number;
  readonly signal: AbortSignal;
  /** What was written is acknowledged. */
  write(messages: readonly DeliveredMessage[]): Promise<void>;
}

export interface ProducerPort {
  /** Resolves when there is room for a message, and when none will be taken any more. */
  ready(): Promise<void>;
  /** Calls of one producer keep their order per partition, also while many are under way. */
  send(message: OutgoingMessage): Promise<SendReceipt>;
  close(): Promise<void>;
}

export interface ProducerWish {
  readonly topic: string;
  readonly acks: Acks | undefined;
  readonly flush: Flush | undefined;
  readonly timeoutMs: number;
}

export interface ReaderWish {
  readonly topic: string;
  /** undefined: all. */
  readonly partitions: readonly number[] | undefined;
  readonly from: StartAt;
  /** false: ends at what was committed when it started. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

export interface TopicSummary {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly durability: string;
}

export interface PartitionDetails {
  readonly partition: number;
  /** 0: none known. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
  /** Nodes whose replica may have forgotten what it acknowledged. */
  readonly recovering: readonly number[];
  /** Nodes whose replica is leaving. */
  readonly leaving: readonly number[];
  /** Undefined, these three: nobody told. */
  readonly logStartOffset: number | undefined;
  readonly highWatermark: number | undefined;
  /** Told only by a leader that was asked for the topic. */
  readonly bytes: number | undefined;
}

export interface TopicDetails {
  readonly topic: TopicSummary;
  readonly settings: readonly {
    readonly name: string;
    readonly value: string;
    readonly isDefault: boolean;
  }[];
  readonly partitions: readonly PartitionDetails[];
}

export interface ClusterDetails {
  readonly clusterId: string;
  readonly controllerId: number;
  readonly metadataTerm: number;
  readonly leaderlessPartitions: number;
  readonly underReplicatedPartitions: number;
  readonly movingPartitions: number;
  readonly metadataVoters: number;
  /** How new the answer is. */
  readonly metadataIndex: number;
  readonly foundingVoters: readonly number[];
  readonly foundingLearners: readonly number[];
  readonly nodes: readonly NodeDetails[];
}

export interface NodeDetails {
  readonly nodeId: number;
  readonly endpoint: string;
  readonly fenced: boolean;
  readonly leaders: number;
  readonly replicas: number;
  readonly lastHeardMs: number;
  readonly decommissioning: boolean;
  readonly partitionsLeft: number;
  readonly metadataVoter: boolean;
}

export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

export interface PlannedMove extends PartitionName {
  readonly fromNode: number;
  readonly toNode: number;
}

export interface MoveDetails extends PartitionName {
  readonly leaderId: number;
  readonly replicas: readonly number[];
  readonly previous: readonly number[];
  readonly leaving: readonly number[];
  /** 0: a move by command. */
  readonly causeNode: number;
  readonly cancelled: boolean;
  /** The leader said how far it is. */
  readonly isKnown: boolean;
  readonly replicasBehind: number;
  readonly bytesLeft: number;
}

export interface MovesUnderWay {
  readonly moves: readonly MoveDetails[];
  readonly total: number;
  readonly metadataIndex: number;
}

export interface ReplicaView {
  readonly nodeId: number;
  readonly replicaId: number;
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly endOffset: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly voters: readonly number[];
  readonly votersAlive: readonly number[];
  readonly leaderId: number;
  readonly quorumAnswers: boolean;
  /** Nodes whose replica may have forgotten what it acknowledged. */
  readonly recovering: readonly number[];
}

export interface Changed {
  readonly changed: boolean;
  /** Answers that are as new as this know of the change. */
  readonly metadataIndex: number;
}

export interface PartitionsChanged extends Changed {
  readonly partitions: number;
}

export interface NewTopic {
  readonly name: string;
  readonly partitions: number | undefined;
  readonly replicationFactor: number | undefined;
  readonly settings: Readonly<Record<string, string>>;
  readonly validateOnly: boolean;
}

export interface AdminPort {
  createTopic(topic: NewTopic): Promise<{ readonly topicId: string }>;
  /** All pages. */
  listTopics(prefix: string): Promise<readonly TopicSummary[]>;
  describeTopic(name: string): Promise<TopicDetails>;
  alterTopic(name: string, settings: Readonly<Record<string, string>>): Promise<void>;
  deleteTopic(name: string): Promise<void>;
  describeCluster(): Promise<ClusterDetails>;
  readonly members: MembersPort;
  readonly subscriptions: SubscriptionsPort;
  readonly deadLetters: DeadLettersPort;
}

/** Who holds what. Changes return when they are recorded. */
export interface MembersPort {
  moveReplica(move: PlannedMove): Promise<Changed>;
  cancelMove(name: PartitionName): Promise<Changed>;
  /** @param nodeId only those that concern it; 0: all */
  listMoves(nodeId: number): Promise<MovesUnderWay>;
  decommissionNode(wish: {
    readonly nodeId: number;
    readonly replacementNode: number | undefined;
    readonly onlyIfFenced: boolean;
  }): Promise<PartitionsChanged>;
  cancelDecommission(nodeId: number): Promise<PartitionsChanged>;
  rebalance(execute: boolean): Promise<{
    readonly moves: readonly PlannedMove[];
    readonly begun: number;
    readonly metadataIndex: number;
  }>;
  setMetadataVoters(count: number): Promise<void>;
  /** Nodes with a wanted or leaving replica; empty: no such partition. Quick, whatever is down. */
  nodesOf(name: PartitionName): Promise<readonly number[]>;
  /** What a node's replica of a partition knows. @param timeoutMs a dead node does not answer */
  inspectReplica(nodeId: number, name: PartitionName, timeoutMs: number): Promise<ReplicaView>;
  unsafeRecover(
    name: PartitionName,
    seen: ReplicaView,
  ): Promise<{
    readonly replicas: number;
    readonly metadataIndex: number;
  }>;
}

export interface ClientPort {
  readonly admin: AdminPort;
  producer(wish: ProducerWish): ProducerPort;
  /** Messages of all partitions, each partition in its order. */
  read(wish: ReaderWish): AsyncIterable<ReadMessage>;
  /** Takes part in a subscription until its count or its signal ends it. @returns how many messages were written */
  consume(wish: ConsumeWish): Promise<number>;
  close(): Promise<void>;
}
