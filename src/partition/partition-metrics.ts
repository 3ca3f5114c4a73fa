// What the partition room counts, as data: the composition root makes collectors from this table. Gauges (high
// watermark, log start, parked acknowledgements) are read from the partitions when they are scraped.

export const PARTITION_COUNTERS = {
  records_appended: "Records appended by leaders on this node.",
  batches_appended: "Batches appended by leaders on this node.",
  bytes_appended: "Bytes of batches appended by leaders on this node.",
  duplicates_answered: "Batches or plain messages answered with an earlier receipt.",
  appends_refused: "Batches refused before they were appended.",
  one_way_refused: "Refused batches of senders that wait for no answer.",
  acks_lost: "Appended batches whose sender was told that leadership was lost.",
  bytes_fetched: "Bytes of batches handed to readers.",
  log_starts_advanced: "Times that retention moved a partition's log start.",
  producers_expired: "Producers that were idle for too long, as proposed.",
  maintenance_failed: "Replicated maintenance commands that could not be proposed or were lost.",
} as const;

export type PartitionCounter = keyof typeof PARTITION_COUNTERS;

export interface PartitionMetrics {
  count(name: PartitionCounter, by?: number): void;
}

/** For tests and tools that do not measure. */
export const noPartitionMetrics: PartitionMetrics = { count: () => undefined };
