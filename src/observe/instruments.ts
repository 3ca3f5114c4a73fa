// Every metric of the product, as data: flotilla_<room>_<noun>_<unit>[_total], base units (seconds, bytes), label sets
// bounded. docs/METRICS.md is made from it. Rooms get their instruments from createMetrics() by these keys.

export interface InstrumentRow {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels?: readonly string[];
  /** Upper bounds, ascending; histograms only. */
  readonly buckets?: readonly number[];
}

/** From 50 µs to 10 s: page cache on one end, a fail-over on the other. */
const LATENCY_SECONDS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
  5, 10,
] as const;
const COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;

export const INSTRUMENTS = {
  // The process.
  buildInfo: gauge("flotilla_build_info", "Always 1; the labels say which build runs.", [
    "version",
    "node_version",
    "platform",
  ]),
  eventLoopSaturation: gauge(
    "flotilla_process_event_loop_saturation_ratio",
    "Share of time the event loop was busy since the last scrape, 0 to 1.",
  ),
  eventLoopDelay: gauge(
    "flotilla_process_event_loop_delay_seconds",
    "Delay of timers since the last scrape, by quantile.",
    ["quantile"],
  ),
  stalls: counter(
    "flotilla_process_stalls_total",
    "Ticks of the consensus clock that came late by more than one tick.",
  ),

  // Consensus and replication.
  elections: counter(
    "flotilla_replica_elections_total",
    "Elections of replicas on this node: started (pre-votes begun), won, lost (leaderships that ended).",
    ["outcome"],
  ),
  leaderships: gauge("flotilla_replica_leaderships", "Groups that this node leads."),
  replicas: gauge("flotilla_replica_replicas", "Replicas on this node, by state.", ["state"]),
  leaderless: gauge(
    "flotilla_replica_leaderless_groups",
    "Groups with a replica here whose leader is unknown.",
  ),
  inSync: gauge(
    "flotilla_replica_in_sync_replicas",
    "Fewest in-sync replicas among the partitions of a topic that this node leads.",
    ["topic"],
  ),
  underReplicated: gauge(
    "flotilla_replica_under_replicated_groups",
    "Groups led here with fewer in-sync replicas than they have, or than their topic wants.",
  ),
  unproven: gauge(
    "flotilla_replica_unproven_groups",
    "Groups led here whose members are not as wanted yet, or not proven yet by a second entry on a majority of disks. While there are any, the next lost disk may leave a group without a leader.",
  ),
  commitLatency: histogram(
    "flotilla_replica_commit_duration_seconds",
    "From append on the leader to commit.",
    LATENCY_SECONDS,
  ),
  applyLag: gauge(
    "flotilla_replica_apply_lag_entries",
    "Committed but unapplied entries, the largest of all groups.",
  ),
  truncatedEntries: counter(
    "flotilla_replica_truncated_entries_total",
    "Entries cut from a log because a new leader's log differs.",
  ),
  messagesDropped: counter(
    "flotilla_replica_messages_dropped_total",
    "Peer messages for an unknown group or another replica.",
  ),
  appendsPaused: counter(
    "flotilla_replica_appends_paused_total",
    "Append requests dropped because too much was committed but not applied.",
  ),
  entriesDamaged: counter(
    "flotilla_replica_entries_damaged_total",
    "Append requests dropped because an entry's checksum was wrong.",
  ),
  stateRebuilds: counter(
    "flotilla_replica_state_rebuilds_total",
    "Keyed states rebuilt from image and log at start.",
  ),
  damagedRanges: counter(
    "flotilla_replica_damaged_ranges_total",
    "Runs of entries found damaged on this node's disk; they are repaired from other replicas.",
  ),
  damagedEntries: gauge(
    "flotilla_replica_damaged_entries",
    "Entries that are damaged on this node's disk right now.",
  ),
  entriesRepaired: counter(
    "flotilla_replica_entries_repaired_total",
    "Damaged entries that were repaired from other replicas.",
  ),
  repairsFailed: counter(
    "flotilla_replica_repairs_failed_total",
    "Attempts to repair damaged entries that did not succeed yet.",
  ),
  scrubBytes: counter(
    "flotilla_replica_scrub_bytes_total",
    "Bytes of segments whose checksums were verified in the background.",
  ),
  scrubRounds: counter(
    "flotilla_replica_scrub_rounds_total",
    "Walks over all segments that were completed.",
  ),
  groupsFailed: counter(
    "flotilla_replica_groups_failed_total",
    "Groups that stopped because their stored data is damaged.",
  ),
  recovering: gauge(
    "flotilla_replica_recovering",
    "Replicas that may have forgotten what they acknowledged: their votes count less until they hold it again.",
  ),
  recoveries: counter(
    "flotilla_replica_recoveries_total",
    "Replicas that started after a loss of power as recovering (begun), and that hold everything again (finished).",
    ["event"],
  ),
  imagesSaved: counter("flotilla_replica_images_saved_total", "State images saved here."),
  imagesSent: counter(
    "flotilla_replica_images_sent_total",
    "State images sent to replicas that fell behind the log start.",
  ),
  imagesInstalled: counter(
    "flotilla_replica_images_installed_total",
    "State images received and installed here.",
  ),
  applyBatch: histogram(
    "flotilla_replica_apply_batch_entries",
    "Entries applied in one turn of one group.",
    COUNTS,
  ),

  // Storage.
  flushLatency: histogram(
    "flotilla_log_flush_duration_seconds",
    "One log's sync.",
    LATENCY_SECONDS,
  ),
  journalFlushLatency: histogram(
    "flotilla_log_journal_flush_duration_seconds",
    "One sync of the hard-state journal.",
    LATENCY_SECONDS,
  ),
  flushRounds: counter("flotilla_log_flush_rounds_total", "Rounds of the flush scheduler."),
  flushGroups: histogram("flotilla_log_flush_groups", "Logs synced in one flush round.", COUNTS),
  logBytes: gauge("flotilla_log_size_bytes", "Bytes of segments on disk, by topic.", ["topic"]),
  diskFree: gauge("flotilla_log_disk_free_bytes", "Free bytes where the data directory is."),
  storageErrors: counter("flotilla_log_errors_total", "Failed disk operations, by kind.", ["kind"]),

  // Producing and fetching.
  produceRecords: counter(
    "flotilla_partition_produce_records_total",
    "Records appended on this leader.",
    ["topic"],
  ),
  produceBytes: counter(
    "flotilla_partition_produce_bytes_total",
    "Bytes of batches appended on this leader.",
    ["topic"],
  ),
  produceBatches: counter(
    "flotilla_partition_produce_batches_total",
    "Produced batches: ok, duplicate, lost (leadership ended before the acknowledgement), or the reason of the refusal.",
    ["result"],
  ),
  produceLatency: histogram(
    "flotilla_partition_produce_duration_seconds",
    "From receipt of a batch to its acknowledgement, by class.",
    LATENCY_SECONDS,
    ["acks", "flush"],
  ),
  producers: gauge(
    "flotilla_partition_producers",
    "Producers remembered for de-duplication, all partitions.",
  ),
  fetchRecords: counter("flotilla_partition_fetch_records_total", "Records handed to readers.", [
    "topic",
  ]),
  fetchBytes: counter("flotilla_partition_fetch_bytes_total", "Bytes handed to readers.", [
    "topic",
  ]),
  fetchRequests: counter(
    "flotilla_partition_fetch_requests_total",
    "Fetches: ok, empty, or the reason of the refusal.",
    ["result"],
  ),
  fetchLatency: histogram(
    "flotilla_partition_fetch_duration_seconds",
    "From a plain fetch, or the first record that a stream could send, to the answer; waits for new messages included.",
    LATENCY_SECONDS,
  ),
  logStartsAdvanced: counter(
    "flotilla_partition_log_starts_advanced_total",
    "Times that retention moved a partition's log start.",
  ),
  producersExpired: counter(
    "flotilla_partition_producers_expired_total",
    "Producers forgotten because they were idle for too long.",
  ),
  maintenanceFailed: counter(
    "flotilla_partition_maintenance_failures_total",
    "Replicated maintenance commands that were refused or lost; they are tried again.",
  ),
  parkedFetches: gauge(
    "flotilla_partition_parked_fetches",
    "Open cursors of fetch streams, whether they wait or not, and unary fetches that wait for new messages; at most limits.parkedFetches.",
  ),

  // Subscriptions.
  deliveries: counter(
    "flotilla_delivery_messages_total",
    "Messages handed to consumers, those handed out again included.",
    ["subscription"],
  ),
  redeliveries: counter(
    "flotilla_delivery_redeliveries_total",
    "Messages handed to consumers that this leader had handed out before, or that had failed.",
    ["subscription"],
  ),
  settlements: counter(
    "flotilla_delivery_settlements_total",
    "Settlements that were taken from consumers, each of any number of messages: ack, nack, reject, release, extend.",
    ["kind"],
  ),
  lostMessages: counter(
    "flotilla_delivery_lost_messages_total",
    "Messages that a consumer lost before it settled them: deadline, revoked (an earlier one of its order failed), seek.",
    ["cause"],
  ),
  deliveryRefusals: counter(
    "flotilla_delivery_refusals_total",
    "Streams and settlements of consumers that were refused, by reason.",
    ["reason"],
  ),
  deadLetters: counter(
    "flotilla_delivery_dead_letters_total",
    "Moves of a subscription's messages to its dead letter topic: moved, failed (tried again).",
    ["subscription", "result"],
  ),
  unsettled: gauge(
    "flotilla_delivery_unsettled_messages",
    "Messages that a subscription has not settled, in partitions led here.",
    ["subscription"],
  ),
  unsettledAge: gauge(
    "flotilla_delivery_unsettled_age_seconds",
    "Age of the oldest message that a subscription has not settled, in partitions led here; 0: it has settled everything.",
    ["subscription"],
  ),
  outstanding: gauge(
    "flotilla_delivery_outstanding_messages",
    "Messages that consumers have and did not settle, in partitions led here.",
    ["subscription"],
  ),
  parkedKeys: gauge(
    "flotilla_delivery_parked_keys",
    "Keys that are parked because a message failed for good, in partitions led here.",
    ["subscription"],
  ),
  pushSessions: gauge("flotilla_delivery_sessions", "Open streams of consumers."),

  // Metadata.
  metadataLag: gauge(
    "flotilla_cluster_metadata_lag_entries",
    "Metadata entries committed but not applied here.",
  ),
  nodesAlive: gauge(
    "flotilla_cluster_nodes_alive",
    "Registered, unfenced nodes that this node heard from lately.",
  ),
  topics: gauge("flotilla_cluster_topics", "Topics of the cluster."),

  // Network and queues.
  connections: gauge("flotilla_rpc_connections", "Open connections, by listener.", ["listener"]),
  streams: gauge("flotilla_rpc_streams", "Open streams, by method.", ["method"]),
  requests: counter(
    "flotilla_rpc_requests_total",
    "Finished calls, by method and outcome (ok, or the reason).",
    ["method", "result"],
  ),
  queueDepth: gauge("flotilla_rpc_queue_bytes", "Bytes waiting in a bounded queue.", ["queue"]),
  queueLimit: gauge(
    "flotilla_rpc_queue_limit_bytes",
    "Limit of that queue; one state image may exceed it.",
    ["queue"],
  ),
  memoryUsed: gauge(
    "flotilla_rpc_memory_used_bytes",
    "Memory held for clients, by purpose; process: all that the operating system counts.",
    ["purpose"],
  ),
  memoryLimit: gauge(
    "flotilla_rpc_memory_limit_bytes",
    "What that purpose may hold; process: the memory budget.",
    ["purpose"],
  ),
  overloads: counter(
    "flotilla_rpc_overloads_total",
    "Refusals because a bounded queue or count was full.",
    ["limit"],
  ),
  peerDrops: counter(
    "flotilla_rpc_peer_messages_dropped_total",
    "Raft messages dropped because the queue to a node was full; raft sends again.",
    ["peer"],
  ),

  // This metric registry itself.
  overflow: counter(
    "flotilla_observe_series_overflow_total",
    "Updates counted under the label value `other` because an instrument had too many series.",
  ),
} as const satisfies Readonly<Record<string, InstrumentRow>>;

type Labels = readonly string[];
interface Row<K extends InstrumentRow["kind"]> extends InstrumentRow {
  readonly kind: K;
}

function counter(name: string, help: string, labels: Labels = []): Row<"counter"> {
  return { name, kind: "counter", help, labels };
}

function gauge(name: string, help: string, labels: Labels = []): Row<"gauge"> {
  return { name, kind: "gauge", help, labels };
}

function histogram(
  name: string,
  help: string,
  buckets: readonly number[],
  labels: Labels = [],
): Row<"histogram"> {
  return { name, kind: "histogram", help, labels, buckets };
}
