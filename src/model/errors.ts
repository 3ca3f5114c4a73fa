// The one table of operating errors. Numbers are wire-stable and never reused; message texts are for people and not API.
// docs/ERRORS.md is generated from this table; rpc/status.ts maps each reason to a gRPC status.

/** What a client may do: nothing; same node after backoff; refresh metadata and go elsewhere; wait; open a new session. */
export type RetryAdvice = "never" | "same" | "reroute" | "later" | "reopen";
/** Whether the request may have taken effect. */
export type Outcome = "not-applied" | "unknown";

export interface ErrorRow {
  readonly number: number;
  readonly retry: RetryAdvice;
  readonly outcome: Outcome;
  readonly about: string;
}

export const ERROR_TABLE = {
  INVALID_REQUEST: row(
    1001,
    "never",
    "not-applied",
    "A field is malformed or out of range; `field` names it, `limit` says what is allowed.",
  ),
  UNKNOWN_TOPIC_OR_PARTITION: row(
    1002,
    "reroute",
    "not-applied",
    "No such topic id, name or partition here; the broker's metadata may lag behind a recent create.",
  ),
  TOPIC_EXISTS: row(1003, "never", "not-applied", "A topic of that name exists already."),
  RECORD_TOO_LARGE: row(1004, "never", "not-applied", "A record or batch exceeds `bytesMax`."),
  UNSUPPORTED_VERSION: row(
    1005,
    "never",
    "not-applied",
    "The protocol version is outside `versionMin` … `versionMax`.",
  ),
  CORRUPT_BATCH: row(
    1007,
    "same",
    "not-applied",
    "The batch's checksum does not match its bytes: it was damaged on the way.",
  ),
  MALFORMED_BATCH: row(
    1008,
    "never",
    "not-applied",
    "The batch's header or length is inconsistent; `field` names what.",
  ),
  ACKS_TOO_WEAK: row(
    1009,
    "never",
    "not-applied",
    "The topic's `minAcks` forbids this acks class.",
  ),
  NOT_LEADER: row(
    2001,
    "reroute",
    "not-applied",
    "This broker does not lead the partition; `leaderId`, `leaderEndpoint`, `leaderEpoch` are hints where known.",
  ),
  LEADER_UNKNOWN: row(
    2002,
    "later",
    "not-applied",
    "An election is under way or the new leader is not ready yet.",
  ),
  STALE_LEADER_EPOCH: row(
    2003,
    "reroute",
    "not-applied",
    "The request names an older leader epoch than the partition's.",
  ),
  LEADERSHIP_LOST: row(
    2004,
    "reroute",
    "unknown",
    "The leader was deposed after it appended the batch; a retry with the same sequence is safe.",
  ),
  CLUSTER_MISMATCH: row(
    2005,
    "never",
    "not-applied",
    "The peer or client belongs to another cluster.",
  ),
  STALE_LAYOUT: row(
    2006,
    "reroute",
    "not-applied",
    "The topic's slot layout changed; `layoutEpoch` is the current one.",
  ),
  STALE_REPLICA: row(
    2007,
    "never",
    "not-applied",
    "The replica's revision was replaced; it must not take part any more.",
  ),
  NOT_ENOUGH_REPLICAS: row(
    3001,
    "later",
    "not-applied",
    "The leader cannot reach a majority; refused before append.",
  ),
  REPLICATION_TIMEOUT: row(
    3002,
    "same",
    "unknown",
    "Appended, but the majority did not confirm in time.",
  ),
  STORAGE_FAILED: row(3003, "reroute", "unknown", "The disk failed; this broker stops serving."),
  LOG_CORRUPT: row(
    3004,
    "reroute",
    "not-applied",
    "Stored data failed its checksum; it is not served. It is repaired from other replicas, and another one takes over.",
  ),
  OFFSET_OUT_OF_RANGE: row(
    3005,
    "never",
    "not-applied",
    "The offset is below `logStartOffset` or above `highWatermark`.",
  ),
  DISK_FULL: row(3006, "later", "not-applied", "Free disk space is below the reserve."),
  DIVERGED: row(
    3007,
    "never",
    "not-applied",
    "The reader's (offset, leader epoch) is not in this log; `endOffset` is where they part.",
  ),
  PRODUCER_FENCED: row(4001, "never", "not-applied", "A newer epoch of this producer exists."),
  SEQUENCE_GAP: row(4002, "reopen", "not-applied", "The batch's first sequence is not `expected`."),
  UNKNOWN_PRODUCER: row(
    4003,
    "reopen",
    "unknown",
    "The partition does not remember this producer, and the sequence is not 0.",
  ),
  LANE_CLOSED: row(
    4004,
    "same",
    "not-applied",
    "An earlier batch of this lane was refused; send Resume first.",
  ),
  DUPLICATE_OUT_OF_WINDOW: row(
    4005,
    "never",
    "unknown",
    "The sequence is older than the batches this partition remembers; it was stored earlier, its offset is no longer known.",
  ),
  UNKNOWN_SUBSCRIPTION: row(
    5001,
    "reroute",
    "not-applied",
    "No such subscription here; the broker's metadata may lag behind a recent create.",
  ),
  SUBSCRIPTION_EXISTS: row(
    5002,
    "never",
    "not-applied",
    "A subscription of that name exists already.",
  ),
  FILTER_MISMATCH: row(
    5003,
    "never",
    "not-applied",
    "The consumer expects another filter than the subscription has: `expected`, `actual`.",
  ),
  STALE_DELIVERY: row(
    5004,
    "never",
    "not-applied",
    "The consumer does not hold these messages any more: their deadline passed, or they were handed out again.",
  ),
  CONSUMER_REPLACED: row(
    5005,
    "never",
    "not-applied",
    "A later stream with the same consumer id took over.",
  ),
  QUOTA_EXCEEDED: row(
    7001,
    "later",
    "not-applied",
    "A quota is used up; `retryAfterMs` says when to try again.",
  ),
  OVERLOADED: row(
    7002,
    "later",
    "not-applied",
    "A bounded queue, count or share of the memory budget is at its limit; `limit` names it.",
  ),
  BACKLOG_FULL: row(7003, "later", "not-applied", "The topic's backlog limit is reached."),
  CHANGE_IN_PROGRESS: row(
    8001,
    "later",
    "not-applied",
    "Another change of the same object is under way.",
  ),
  INVALID_REPLICATION_FACTOR: row(
    8002,
    "never",
    "not-applied",
    "Fewer live nodes than replicas; `nodesAvailable` says how many.",
  ),
  NODE_FENCED: row(
    8003,
    "later",
    "not-applied",
    "The node is not registered, or was fenced by a newer incarnation.",
  ),
  VERSION_CONFLICT: row(
    8004,
    "reroute",
    "not-applied",
    "The object changed since the version that the request names.",
  ),
  NOT_ENOUGH_NODES: row(
    8005,
    "never",
    "not-applied",
    "Fewer nodes would be in service than are needed: `nodesAvailable`, `nodesNeeded`; `field` names the value that is refused.",
  ),
  QUORUM_ANSWERS: row(
    8006,
    "never",
    "not-applied",
    "The group has a leader or enough live voters to elect one, so nothing may be forced; `votersAlive` of `voters`.",
  ),
  INTERNAL: row(9001, "never", "unknown", "A defect; the broker's log has the details."),
  SHUTTING_DOWN: row(
    9002,
    "reroute",
    "not-applied",
    "The broker is stopping and has handed its leaderships over.",
  ),
  DEADLINE: row(9003, "same", "unknown", "The deadline passed before an answer."),
  CANCELLED: row(9004, "never", "unknown", "The caller gave up."),
  UNREACHABLE: row(
    9005,
    "reroute",
    "unknown",
    "The connection failed before an answer (reported by the SDK, never sent by a broker).",
  ),
  BUFFER_FULL: row(
    9006,
    "later",
    "not-applied",
    "The SDK's own send buffer is full (reported by the SDK, never sent by a broker).",
  ),
  CLOSED: row(
    9007,
    "never",
    "not-applied",
    "The client object was closed (reported by the SDK, never sent by a broker).",
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorReason = keyof typeof ERROR_TABLE;
export type ErrorFields = Readonly<Record<string, string | number | boolean>>;

let areStacksOmitted = false;

/**
 * From now on no BrokerError of this process knows where it was made. For processes that answer with them: clients can
 * cause thousands a second, and a stack costs more than all the rest of a refusal.
 */
export function omitStacks(): void {
  areStacksOmitted = true;
}

/** An expected failure, by reason. `fields` travel to the client as ErrorInfo metadata. */
export class BrokerError extends Error {
  override readonly name = "BrokerError";
  readonly reason: ErrorReason;
  readonly fields: ErrorFields;

  constructor(
    reason: ErrorReason,
    message: string,
    fields: ErrorFields = {},
    options?: ErrorOptions,
  ) {
    // Left alone where stacks are kept: a client lives in somebody else's process, whose settings may be frozen.
    const limit = Error.stackTraceLimit;
    if (areStacksOmitted) Error.stackTraceLimit = 0;
    super(message, options);
    if (areStacksOmitted) Error.stackTraceLimit = limit;
    this.reason = reason;
    this.fields = fields;
  }

  get retry(): RetryAdvice {
    return ERROR_TABLE[this.reason].retry;
  }
  /** True when trying again (perhaps elsewhere, later, or in a new session) can succeed. */
  get retryable(): boolean {
    return this.retry !== "never";
  }
  get outcome(): Outcome {
    return ERROR_TABLE[this.reason].outcome;
  }
}

export function isBrokerError(error: unknown, reason?: ErrorReason): error is BrokerError {
  return error instanceof BrokerError && (reason === undefined || error.reason === reason);
}

function row(number: number, retry: RetryAdvice, outcome: Outcome, about: string): ErrorRow {
  return { number, retry, outcome, about };
}
