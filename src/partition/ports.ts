// What the partition room asks of others and what it offers to them. Transports (produce and fetch streams) give plain
// objects shaped like the protocol's messages; nothing here knows gRPC.
import type { Clock } from "../base/clock.ts";
import type { Acks, Flush } from "../model/durability.ts";
import type { BrokerError } from "../model/errors.ts";
import type { NodeId, PartitionIndex, TopicId } from "../model/ids.ts";
import type { Offset, Term } from "../model/positions.ts";
import type { TopicSettings } from "../model/topic-settings.ts";
import type { PartitionMetrics } from "./partition-metrics.ts";

/** What a partition needs to know of its topic. Changes at any time. */
export interface PartitionSettings
  extends Pick<
    TopicSettings,
    | "acks"
    | "minAcks"
    | "flush"
    | "messageBytesMax"
    | "retentionMs"
    | "retentionBytes"
    | "retentionAcked"
  > {
  /** Epoch of the slot layout in force. */
  readonly layoutEpoch: number;
}

/** Things of the node that partitions share. All may be left out. */
export interface PartitionEnvironment {
  /** For the NOT_LEADER hint. */
  readonly endpointOf?: (node: NodeId) => string | undefined;
  /** A reason why this node does not take a batch of so many bytes now (memory, shutting down); asked before each append. */
  readonly produceRefusal?: (bytes: number) => BrokerError | undefined;
  readonly metrics?: PartitionMetrics;
  /** For the latencies in `metrics`. */
  readonly clock?: Clock;
}

/** One batch to append. */
export interface AppendRequest {
  /** Ownership: handed over; the partition patches it in place and the caller must not use it again. */
  readonly batch: Buffer;
  /** Which tags are in it (model/batch-hints.ts); empty or undefined: not known. */
  readonly hints?: Buffer | undefined;
  readonly acks: Acks;
  /** May only strengthen the topic's setting; undefined: the topic's. */
  readonly flush: Flush | undefined;
  /** The layout that the producer routed by. */
  readonly layoutEpoch: number;
}

/** What an acknowledgement says. */
export interface AppendReceipt {
  readonly baseOffset: Offset;
  /** Term of the leader that appended the batch, which for a duplicate may be an earlier one. */
  readonly leaderEpoch: Term;
  readonly recordCount: number;
  /** Stored by an earlier attempt. */
  readonly duplicate: boolean;
  /** What was waited for. */
  readonly acks: Acks;
  readonly flush: Flush;
}

/** Is told exactly once what became of an append, perhaps before the call that appended returns. Must not throw. */
export interface AppendObserver {
  onReceipt(receipt: AppendReceipt): void;
  onFailure(error: BrokerError): void;
}

/** Something that wants to know when a partition has news: records to read, no leadership any more, or its end. */
export interface PartitionReader {
  wake(): void;
}

/** Finds what this node holds; undefined: no such topic or partition here. */
export type PartitionLookup<Partition> = (
  topicId: TopicId,
  partition: PartitionIndex,
) => Partition | undefined;
