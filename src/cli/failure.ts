// Errors for people: one sentence what failed, one what to do, and an exit status. Called by main for everything that
// a command throws.
import { BrokerError, type ErrorReason } from "../model/errors.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";

export interface Failure {
  readonly exitCode: ExitCode;
  /** One sentence, without a full stop. */
  readonly message: string;
  /** The way out; empty when there is none to name. */
  readonly advice: string;
}

/** Thrown by commands for what they found themselves. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly advice: string;

  constructor(exitCode: ExitCode, message: string, advice = "", options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
    this.advice = advice;
  }
}

type Way = readonly [exitCode: ExitCode, advice: string];

const AGAIN = "try again; it is safe, the SDK never stores a retried message twice";
const WAIT = "wait a moment and try again";
const OTHER_VERSION = "use a command line of the brokers' version";

/** One row per reason, so that a new reason does not compile without advice. */
const WAYS: Readonly<Record<ErrorReason, Way>> = {
  INVALID_REQUEST: [EXIT.USAGE, "correct the value and run the command again"],
  UNKNOWN_TOPIC_OR_PARTITION: [EXIT.DATA, "see what there is with: flotilla topic list"],
  TOPIC_EXISTS: [EXIT.DATA, "look at it with: flotilla topic describe NAME"],
  RECORD_TOO_LARGE: [
    EXIT.DATA,
    "send less per message, or raise the topic's limit with: flotilla topic alter",
  ],
  UNSUPPORTED_VERSION: [EXIT.UNAVAILABLE, OTHER_VERSION],
  CORRUPT_BATCH: [EXIT.TRY_AGAIN, AGAIN],
  MALFORMED_BATCH: [EXIT.BUG, OTHER_VERSION],
  ACKS_TOO_WEAK: [
    EXIT.USAGE,
    "use a stronger --acks, or see the topic's minAcks with: flotilla topic describe NAME",
  ],
  NOT_LEADER: [EXIT.TRY_AGAIN, WAIT],
  LEADER_UNKNOWN: [EXIT.TRY_AGAIN, "an election is running; see: flotilla cluster status"],
  STALE_LEADER_EPOCH: [EXIT.TRY_AGAIN, AGAIN],
  LEADERSHIP_LOST: [EXIT.TRY_AGAIN, AGAIN],
  CLUSTER_MISMATCH: [EXIT.CONFIG, "check --bootstrap: this broker belongs to another cluster"],
  STALE_LAYOUT: [EXIT.TRY_AGAIN, AGAIN],
  STALE_REPLICA: [EXIT.FAILED, "that replica was replaced; its broker removes it by itself"],
  NOT_ENOUGH_REPLICAS: [
    EXIT.TRY_AGAIN,
    "start the brokers that are down; see: flotilla cluster status",
  ],
  REPLICATION_TIMEOUT: [EXIT.TRY_AGAIN, AGAIN],
  STORAGE_FAILED: [EXIT.UNAVAILABLE, "a broker's disk failed; its log has the details"],
  LOG_CORRUPT: [EXIT.FAILED, "a broker's log is damaged; see its log file and docs/OPERATIONS.md"],
  OFFSET_OUT_OF_RANGE: [
    EXIT.DATA,
    "read --from earliest; the offsets there are: flotilla topic describe NAME",
  ],
  DISK_FULL: [EXIT.TRY_AGAIN, "free disk space on the brokers"],
  DIVERGED: [EXIT.FAILED, "read again from an offset that exists: flotilla topic describe NAME"],
  PRODUCER_FENCED: [EXIT.FAILED, "another producer took this one's name over"],
  SEQUENCE_GAP: [EXIT.TRY_AGAIN, WAIT],
  UNKNOWN_PRODUCER: [EXIT.TRY_AGAIN, "check what arrived before sending again"],
  LANE_CLOSED: [EXIT.TRY_AGAIN, AGAIN],
  DUPLICATE_OUT_OF_WINDOW: [
    EXIT.FAILED,
    "the message was stored earlier; nothing needs to be done",
  ],
  UNKNOWN_SUBSCRIPTION: [EXIT.DATA, "see what there is with: flotilla subscription list"],
  SUBSCRIPTION_EXISTS: [EXIT.DATA, "look at it with: flotilla subscription describe NAME"],
  FILTER_MISMATCH: [EXIT.DATA, "see its filter with: flotilla subscription describe NAME"],
  STALE_DELIVERY: [EXIT.FAILED, "the message was handed out again; nothing needs to be done"],
  CONSUMER_REPLACED: [EXIT.FAILED, "another consumer took this one's id over"],
  QUOTA_EXCEEDED: [EXIT.TRY_AGAIN, "send more slowly, e.g. with --rate"],
  OVERLOADED: [EXIT.TRY_AGAIN, "send more slowly, e.g. with --rate"],
  BACKLOG_FULL: [EXIT.TRY_AGAIN, "let consumers catch up, or raise the topic's limit"],
  CHANGE_IN_PROGRESS: [EXIT.TRY_AGAIN, WAIT],
  INVALID_REPLICATION_FACTOR: [EXIT.USAGE, "use a smaller --replicas, or start more brokers"],
  NODE_FENCED: [EXIT.TRY_AGAIN, WAIT],
  VERSION_CONFLICT: [EXIT.TRY_AGAIN, WAIT],
  NOT_ENOUGH_NODES: [EXIT.FAILED, "add a node first, or delete topics with so many replicas"],
  QUORUM_ANSWERS: [EXIT.FAILED, "wait for its leader; see: flotilla topic describe NAME"],
  INTERNAL: [EXIT.BUG, "the broker's log has the details"],
  SHUTTING_DOWN: [EXIT.TRY_AGAIN, WAIT],
  DEADLINE: [EXIT.TRY_AGAIN, "see: flotilla cluster status; --timeout allows more time"],
  CANCELLED: [EXIT.FAILED, ""],
  UNREACHABLE: [
    EXIT.UNAVAILABLE,
    "is it running? See: flotilla cluster status; other addresses: --bootstrap",
  ],
  BUFFER_FULL: [EXIT.TRY_AGAIN, "send more slowly, e.g. with --rate"],
  CLOSED: [EXIT.BUG, ""],
};

/** What to print and how to exit. Never throws. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CliError) {
    return { exitCode: error.exitCode, message: error.message, advice: error.advice };
  }
  if (error instanceof BrokerError) return describeBrokerError(error);
  if (!(error instanceof Error)) return { exitCode: EXIT.BUG, message: String(error), advice: "" };
  // By name: the classes live in modules that are loaded only when they are needed.
  if (error.name === "ConfigError") {
    return {
      exitCode: EXIT.CONFIG,
      message: error.message,
      advice: "docs/CONFIG.md explains every key",
    };
  }
  if (error.name === "StorageError") return describeStorageError(error);
  return describeSystemError(error as NodeJS.ErrnoException);
}

function describeBrokerError(error: BrokerError): Failure {
  const [exitCode, advice] = WAYS[error.reason];
  return { exitCode, message: `${sentence(error.message)} (${error.reason})`, advice };
}

function describeStorageError(error: Error): Failure {
  const { kind } = error as { readonly kind?: unknown };
  const message = sentence(error.message);
  if (kind === "missing") {
    return {
      exitCode: EXIT.CONFIG,
      message,
      advice: "format the data directories with: flotilla cluster init",
    };
  }
  if (kind === "locked") {
    return {
      exitCode: EXIT.CONFIG,
      message,
      advice: "another broker uses this directory; see: flotilla cluster status",
    };
  }
  if (kind === "full") return { exitCode: EXIT.TRY_AGAIN, message, advice: "free disk space" };
  const exitCode = kind === "corrupt" ? EXIT.FAILED : EXIT.CONFIG;
  return { exitCode, message, advice: "docs/OPERATIONS.md says what can be done" };
}

const SYSTEM: Readonly<Record<string, Way>> = {
  EADDRINUSE: [
    EXIT.CONFIG,
    "stop the program that listens there, or change the address in cluster.yaml",
  ],
  EADDRNOTAVAIL: [EXIT.CONFIG, "the address in cluster.yaml is not one of this machine"],
  EACCES: [EXIT.CONFIG, "check the permissions"],
  EPERM: [EXIT.CONFIG, "check the permissions"],
  ENOENT: [EXIT.DATA, "check the path"],
  EISDIR: [EXIT.DATA, "name a file, not a folder"],
  ENOSPC: [EXIT.TRY_AGAIN, "free disk space"],
  EMFILE: [EXIT.TRY_AGAIN, "raise the limit of open files (ulimit -n)"],
};

function describeSystemError(error: NodeJS.ErrnoException): Failure {
  const way = error.code === undefined ? undefined : SYSTEM[error.code];
  if (way !== undefined)
    return { exitCode: way[0], message: sentence(error.message), advice: way[1] };
  const message = `unexpected: ${sentence(error.message)}`;
  return {
    exitCode: EXIT.BUG,
    message,
    advice: "this is a defect; --debug shows where it happened",
  };
}

/** One line, no final full stop: the advice follows it. */
function sentence(text: string): string {
  return text.replaceAll(/\s+/g, " ").replace(/\.$/, "");
}
