// What the delivery room asks of others: led partitions, subscriptions of the metadata, a place for dead letters, a stream
// that carries a session. The broker connects them; feature rooms never import each other.
import type { BrokerError } from "../model/errors.ts";
import type { PartitionIndex, TopicId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";
import type { SubscriptionRow } from "../model/subscription.ts";
import type { DeliveryCommand, DeliveryReply } from "./delivery-commands.ts";
import type { DeliveryState } from "./delivery-state.ts";

/** Committed batches in offset order; views of stored frames, never written to. */
export interface BatchRun {
  readonly batches: readonly Buffer[];
  /** When each was appended, ms since 1970. */
  readonly appendTimesMs: readonly number[];
  /** Of each (model/batch-hints.ts), where it has some. */
  readonly hints: readonly (Buffer | undefined)[];
}

/** A reading position below the high watermark. One read at a time. */
export interface RecordReader {
  /** First offset that was not read yet. */
  readonly offset: Offset;
  /**
   * Reads without waiting; undefined when it takes I/O: then use read(). Empty at the end of what is committed, and
   * where entries without records stood.
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OFFSET_OUT_OF_RANGE | SHUTTING_DOWN | STORAGE_FAILED
   */
  readTail(bytesMax: number): BatchRun | undefined;
  /**
   * About `bytesMax` bytes but at least one batch; the first may begin below the wanted offset.
   * @throws BrokerError as readTail, and LOG_CORRUPT
   */
  read(bytesMax: number): Promise<BatchRun>;
}

export interface PartitionListener {
  /** The high watermark or the log start moved. */
  onNews(): void;
  onLeaderReady(term: Term): void;
  /** Leadership ended, or the partition is being closed. */
  onLeadershipLost(): void;
}

/** A partition of which this node has a replica. */
export interface DeliveryPartition {
  readonly topicId: TopicId;
  readonly topicName: string;
  readonly partition: PartitionIndex;
  /** True while this replica serves reads and writes. */
  readonly isLeaderReady: boolean;
  readonly term: Term;
  readonly layoutEpoch: number;
  readonly highWatermark: Offset;
  readonly logStartOffset: Offset;
  /** Of the log, for estimates. */
  readonly logBytes: number;
  /** What was replicated and is applied here. */
  readonly deliveries: DeliveryState;
  /** Why this replica does not serve, with the hints that are known. */
  notLeader(): BrokerError;
  reader(from: Offset): RecordReader;
  /**
   * Appends a command and waits until it is applied here.
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OVERLOADED | DISK_FULL | STORAGE_FAILED | SHUTTING_DOWN | LEADERSHIP_LOST
   */
  propose(command: DeliveryCommand): Promise<DeliveryReply>;
  /** First offset appended at or after a time; undefined: none. */
  offsetOfTime(timeMs: number): Promise<Offset | undefined>;
  listen(listener: PartitionListener): () => void;
}

/** What this node knows of subscriptions: one image of the metadata after the other. */
export interface SubscriptionDirectory {
  /** Index of the newest metadata entry that is applied here. */
  readonly version: LogIndex;
  byName(name: string): SubscriptionRow | undefined;
  /** Those that select the topic; the same array until one of them changes. */
  selecting(topicId: TopicId): readonly SubscriptionRow[];
  /** Index of the entry that created the topic; undefined: not in this image. */
  topicCreatedIndex(topicId: TopicId): LogIndex | undefined;
  /** `changed` is told inside apply and must do no more than wake somebody up. */
  onChange(changed: () => void): () => void;
}

/** A message that failed for good, on its way to the dead letter topic. */
export interface DeadLetter {
  /** Name of the dead letter topic. */
  readonly topic: string;
  readonly subscription: string;
  readonly subscriptionId: string;
  readonly origin: {
    readonly topic: string;
    readonly topicId: TopicId;
    readonly partition: PartitionIndex;
    readonly offset: Offset;
  };
  /** The same for every move of one death; another one when a seek brought the message back and it died again. */
  readonly death: string;
  readonly key: Buffer | undefined;
  readonly value: Buffer | undefined;
  /** Those of the message, then those that say why it is here. */
  readonly headers: readonly RecordHeader[];
  readonly timestampMs: number;
}

export interface DeadLetterSink {
  /**
   * Resolves when the message is stored as acks=all says; one that is there already is not stored again.
   * @throws BrokerError
   */
  publish(letter: DeadLetter): Promise<void>;
}

/** A dead letter that is tried again. */
export interface RedrivenLetter {
  readonly key: Buffer | undefined;
  readonly value: Buffer | undefined;
  readonly headers: readonly RecordHeader[];
  readonly timestampMs: number;
  /** The same for every redrive of one letter, another one for any other letter. */
  readonly id: string;
}

export interface RedriveReceipt {
  readonly partition: PartitionIndex;
  readonly offset: Offset;
  /** It was there already. */
  readonly duplicate: boolean;
}

export interface RedriveSink {
  /**
   * Stores messages as acks=all says, those of one partition in order.
   * @returns where each is, in order; undefined: it may not be stored, and `error` says why
   */
  redrive(
    topic: string,
    letters: readonly RedrivenLetter[],
  ): Promise<{
    readonly receipts: readonly (RedriveReceipt | undefined)[];
    readonly error: BrokerError | undefined;
  }>;
}

/** Where the room writes what people should know. pino fits. */
export interface Logger {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}
