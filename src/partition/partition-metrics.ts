// What the partition room counts and measures, as data: the composition root makes collectors from this table. Gauges
// (producers, parked fetches) are read from the partitions when they are scraped.
import type { Acks, Flush } from "../model/durability.ts";
import type { BrokerError } from "../model/errors.ts";

export const PARTITION_COUNTERS = {
  records_appended: "Records appended by leaders on this node.",
  batches_appended: "Batches appended by leaders on this node.",
  bytes_appended: "Bytes of batches appended by leaders on this node.",
  duplicates_answered: "Batches or plain messages answered with an earlier receipt.",
  acks_lost: "Appended batches whose sender was told that leadership was lost.",
  records_fetched: "Records handed to readers.",
  bytes_fetched: "Bytes of batches handed to readers.",
  log_starts_advanced: "Times that retention moved a partition's log start.",
  producers_expired: "Producers that were idle for too long, as proposed.",
  maintenance_failed: "Replicated maintenance commands that could not be proposed or were lost.",
} as const;

export type PartitionCounter = keyof typeof PARTITION_COUNTERS;

export interface PartitionMetrics {
  count(name: PartitionCounter, by?: number): void;
  /**
   * A batch or plain message was refused before anything was written.
   * @param isCall the refusal ends a call, which is counted as such too
   */
  produceRefused(error: BrokerError, isCall?: boolean): void;
  /** From the receipt of a batch to its acknowledgement. */
  acknowledged(acks: Acks, flush: Flush, durationMs: number): void;
  /** @param isCall as above */
  fetchRefused(error: BrokerError, isCall?: boolean): void;
  /** A plain fetch was answered, or a stream sent one message: from the request (or its first record) to the answer. */
  fetched(result: "ok" | "empty", durationMs: number): void;
  /** The same for what belongs to one topic. */
  forTopic(topic: string): PartitionMetrics;
  /** No partition of this topic is left on this node: its series go. */
  forgetTopic(topic: string): void;
}

/** For tests and tools that do not measure. */
export const noPartitionMetrics: PartitionMetrics = {
  count: () => undefined,
  produceRefused: () => undefined,
  acknowledged: () => undefined,
  fetchRefused: () => undefined,
  fetched: () => undefined,
  forTopic: () => noPartitionMetrics,
  forgetTopic: () => undefined,
};
