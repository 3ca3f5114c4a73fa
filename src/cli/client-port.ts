// What the commands need from the SDK. sdk.ts implements it with flotilla/client; tests give a fake. Types only.
import type { Acks, Flush } from "../model/durability.ts";
import type { StartAt } from "./options.ts";

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

export interface ProducerPort {
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
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly bytes: number;
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
  readonly nodes: readonly {
    readonly nodeId: number;
    readonly endpoint: string;
    readonly fenced: boolean;
    readonly leaders: number;
    readonly replicas: number;
  }[];
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
}

export interface ClientPort {
  readonly admin: AdminPort;
  producer(wish: ProducerWish): ProducerPort;
  /** Messages of all partitions, each partition in its order. */
  read(wish: ReaderWish): AsyncIterable<ReadMessage>;
  close(): Promise<void>;
}
