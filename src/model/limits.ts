// Hard limits. Each says what happens at the limit. Relations between them are asserted in test/model/limits.test.ts.

const KIB = 1024;
const MIB = 1024 * KIB;

/** Largest record batch, encoded, inclusive. Larger: RECORD_TOO_LARGE. Topics may set a lower one. */
export const BATCH_BYTES_MAX = 8 * MIB;
/** Default of a topic's `messageBytesMax`: one record's key + value + headers. Larger: RECORD_TOO_LARGE. */
export const MESSAGE_BYTES_MAX_DEFAULT = 1 * MIB;
/** Largest gRPC message that any listener or SDK accepts (one message carries several batches). */
export const GRPC_MESSAGE_BYTES_MAX = 16 * MIB;
/** Soft target of one bulk gRPC message; a single larger batch is still sent alone. */
export const BULK_MESSAGE_BYTES_TARGET = 1 * MIB;
/** Key bytes, inclusive. Larger: INVALID_REQUEST. */
export const KEY_BYTES_MAX = 4 * KIB;
/** Headers per record, inclusive. More: INVALID_REQUEST. */
export const HEADERS_PER_RECORD_MAX = 64;
/** Bytes of one header name, inclusive. More: INVALID_REQUEST. */
export const HEADER_NAME_BYTES_MAX = 128;
/** Uncommitted bytes per raft group on its leader. Beyond: produce is refused with OVERLOADED. */
export const UNCOMMITTED_BYTES_MAX = 32 * MIB;
/**
 * Entries without records (settlements, log starts, detaching) may exceed the limits of uncommitted and unapplied bytes by so
 * much on the leader: messages must not keep out what makes room for messages. Beyond: OVERLOADED too.
 */
export const COMMAND_RESERVE_BYTES = 4 * MIB;
/** Committed but unapplied bytes per group. Beyond: the leader refuses, a follower stops acking. */
export const UNAPPLIED_BYTES_MAX = 64 * MIB;
/** Entries kept in memory per group for followers that have not confirmed them; older ones are read from segments. */
export const TAIL_BYTES_MAX = 16 * MIB;
/** Entries kept in memory per group although all have confirmed them, for readers that keep up (docs/adr/0009). */
export const TAIL_BYTES_KEPT = 256 * KIB;
/** One AppendRequest to one follower. */
export const APPEND_BYTES_MAX = 1 * MIB;
/** Unacknowledged AppendRequests per follower and group; bytes likewise. Beyond: the leader waits for acks. */
export const APPEND_INFLIGHT_MAX = 8;
export const APPEND_INFLIGHT_BYTES_MAX = 8 * MIB;
/**
 * Bytes queued towards one peer node in one lane, all groups. Beyond: raft messages to it are dropped (raft re-sends). One
 * state image may be larger.
 */
export const PEER_QUEUE_BYTES_MAX = 64 * MIB;
/** Batches whose sequence and offset a partition remembers per producer; also the SDK's in-flight limit per lane. */
export const PRODUCER_BATCH_WINDOW = 16;
/** Producers remembered per partition; at the limit the one idle for longest is expired by a replicated command. */
export const PRODUCERS_PER_PARTITION_MAX = 10_000;
/** Message ids remembered per partition for unary Publish; the oldest is forgotten first. */
export const MESSAGE_IDS_PER_PARTITION_MAX = 100_000;
/** Lanes (topic-partitions) per Produce stream. More: INVALID_REQUEST for that lane; the stream goes on. */
export const LANES_PER_STREAM_MAX = 4096;
/** Bytes received on one Produce stream and not yet answered. Beyond: the broker stops reading that stream. */
export const PRODUCE_INFLIGHT_BYTES_MAX = 32 * MIB;
/** Streams per client connection. Beyond: OVERLOADED at once, never a silent hang. */
export const STREAMS_PER_CONNECTION_MAX = 256;
/** Client connections per broker. Beyond: refused with OVERLOADED on their first call. */
export const CONNECTIONS_MAX = 2000;
/** Open cursors of fetch streams, and unary fetches that wait, per broker. Beyond: OVERLOADED for that cursor or call. */
export const PARKED_FETCHES_MAX = 20_000;
/** Push sessions (streams of consumers) per broker. Beyond: OVERLOADED. */
export const PUSH_SESSIONS_MAX = 10_000;
/** Channels (led partitions of the subscription) of one push session. Beyond: the channel ends with OVERLOADED at once. */
export const CHANNELS_PER_SESSION_MAX = 4096;
/**
 * Settlements of one stream that may be refused while none is confirmed, besides one for each message that it was given.
 * Beyond: the stream is ended with OVERLOADED.
 */
export const REFUSED_SETTLES_MAX = 3000;
/** Topic name, characters, inclusive. */
export const TOPIC_NAME_CHARACTERS_MAX = 200;
/** Producer name, characters, inclusive. More: INVALID_REQUEST. */
export const PRODUCER_NAME_CHARACTERS_MAX = 255;
export const PARTITIONS_PER_TOPIC_MAX = 4096;
export const TOPICS_MAX = 10_000;
export const REPLICATION_FACTOR_MAX = 7;
/** Hash slots per topic; fixed for ever (architecture decision 12). */
export const SLOT_COUNT = 4096;
/** Items in one page of a list, default and inclusive maximum. */
export const PAGE_SIZE_DEFAULT = 100;
export const PAGE_SIZE_MAX = 1000;
/** Protocol versions that a broker speaks, both inclusive. Others: UNSUPPORTED_VERSION. */
export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 1;

/** Groups of a node that repair damaged entries at the same time; the others wait and ask again within a second. */
export const REPAIRS_MAX = 2;
/**
 * Reads of entries that left memory, for followers and state machines that are behind, at the same time on a node, all groups;
 * about APPEND_BYTES_MAX each. The others wait, the metadata group's for the shortest time.
 */
export const READS_BEHIND_MAX = 16;
