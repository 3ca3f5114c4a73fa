// What the replica room counts and measures, as data: the composition root makes collectors from this table and passes
// something that implements ReplicaMetrics. Gauges (in-sync replicas, lag, log bytes) are not pushed: the root reads
// them from ReplicaHandle.status() when it is scraped.

export const REPLICA_COUNTERS = {
  elections_started: "Pre-votes begun by replicas on this node.",
  elections_won: "Elections won by replicas on this node.",
  leaderships_lost: "Times that a replica on this node stopped leading.",
  loop_stalls: "Ticks that came late by more than one tick.",
  messages_dropped: "Peer messages for an unknown group or another replica.",
  appends_paused: "Append requests dropped because too much was committed but not applied.",
  entries_damaged: "Append requests dropped because an entry's checksum was wrong.",
  truncated_entries: "Entries cut from a log because a leader's log differs.",
  state_rebuilds: "Keyed states rebuilt from image and log at start.",
  images_saved: "State images saved before a log prefix was dropped.",
  images_sent: "State images sent to replicas that fell behind the log start.",
  images_installed: "State images received and installed.",
  flush_rounds: "Rounds of the flush scheduler.",
  storage_errors_io: "Failed disk operations that stopped this node.",
  storage_errors_full: "The disk was full where that can not be borne.",
  storage_errors_corrupt: "Stored data that is damaged.",
  storage_errors_missing: "A stored file that must be there is not.",
  storage_errors_locked: "Data that another process uses.",
  storage_errors_version: "Stored data of a newer version.",
  recoveries_begun:
    "Replicas that started after a loss of power and may have forgotten what they acknowledged.",
  recoveries_finished: "Of these, the ones that hold everything again and vote like others.",
  damaged_ranges_found: "Runs of entries found damaged on a disk of this node.",
  entries_repaired: "Damaged entries that were repaired from other replicas.",
  repairs_failed: "Attempts to repair damaged entries that did not succeed.",
  scrub_bytes: "Bytes of segments whose checksums were verified in the background.",
  scrub_rounds: "Walks over all segments of this node that were completed.",
  groups_failed: "Groups that stopped because their stored data is damaged.",
} as const;

export const REPLICA_HISTOGRAMS = {
  commit_ms: "From propose on the leader until the entry is committed, sampled, milliseconds.",
  flush_ms: "One log's sync, milliseconds.",
  journal_flush_ms: "One sync of the hard-state journal, milliseconds.",
  flush_round_groups: "Logs taken by one flush round.",
  apply_batch_entries: "Entries applied in one turn of one group.",
} as const;

export type ReplicaCounter = keyof typeof REPLICA_COUNTERS;
export type ReplicaHistogram = keyof typeof REPLICA_HISTOGRAMS;

export interface ReplicaMetrics {
  count(name: ReplicaCounter, by?: number): void;
  observe(name: ReplicaHistogram, value: number): void;
}

/** For tests and tools that do not measure. */
export const noReplicaMetrics: ReplicaMetrics = {
  count: () => undefined,
  observe: () => undefined,
};
