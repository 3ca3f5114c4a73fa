// Shapes of the answers that metadata-reader.ts builds, with the field names of the public protocol
// (proto/flotilla/v1/metadata_service.proto, admin_service.proto), whose comments say what they mean.
// The services encode them as they are.
import type { describeTopicSettings } from "../model/topic-settings.ts";
import type { LedPartition } from "./ports.ts";

export interface MetadataRequest {
  readonly topics: readonly string[];
  readonly pageSize: number;
  readonly pageToken: string;
  readonly protocolVersion: number;
}

export interface BrokerAnswer {
  readonly nodeId: number;
  readonly endpoint: string;
  readonly fenced: boolean;
  readonly adminEndpoint: string;
}

export interface PartitionAnswer {
  readonly partition: number;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly slotFrom: readonly number[];
  readonly slotTo: readonly number[];
}

export interface TopicAnswer {
  readonly name: string;
  readonly topicId: string;
  readonly layoutEpoch: number;
  readonly partitions: readonly PartitionAnswer[];
  readonly settings: Readonly<Record<string, string>>;
  readonly keyHash: string;
}

export interface MetadataAnswer {
  readonly clusterId: string;
  readonly metadataIndex: number;
  readonly brokers: readonly BrokerAnswer[];
  readonly topics: readonly TopicAnswer[];
  readonly nextPageToken: string;
  readonly controllerId: number;
}

export interface ListTopicsWish {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly prefix: string;
}

export interface TopicSummaryAnswer {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly durability: string;
}

export interface ListTopicsAnswer {
  readonly topics: readonly TopicSummaryAnswer[];
  readonly nextPageToken: string;
}

export interface PartitionStateAnswer extends LedPartition {
  readonly partition: number;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly leaving: readonly number[];
  readonly recovering: readonly number[];
}

export interface DescribeTopicAnswer {
  readonly topic: TopicSummaryAnswer;
  readonly settings: ReturnType<typeof describeTopicSettings>;
  readonly partitions: readonly PartitionStateAnswer[];
}

export interface NodeStateAnswer {
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

export interface DescribeClusterAnswer {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly controllerId: number;
  readonly nodes: readonly NodeStateAnswer[];
  readonly leaderlessPartitions: number;
  readonly underReplicatedPartitions: number;
  readonly metadataTerm: number;
  readonly movingPartitions: number;
  readonly foundingVoters: readonly number[];
  readonly foundingLearners: readonly number[];
  readonly metadataVoters: number;
  readonly metadataIndex: number;
}
