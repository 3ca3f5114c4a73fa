// The vocabulary of histories: what a test run may write down, one event per operation or observation. README.md describes
// each event for people; history-format.ts holds the same as a table that lines are checked against.
import type { Flush } from "../model/durability.ts";
import type { DeliveryEvent } from "./delivery-events.ts";
import type { Rules } from "./rules.ts";

/** What the acknowledgement waited for, e.g. "all/sync". */
export type DurabilityClass = "all/sync" | "all/async" | "leader/sync" | "leader/async" | "none";

/** First line of a saved history: which format, which run, and what that run may excuse. */
export interface HistoryHeader {
  readonly type: "history";
  readonly version: number;
  readonly name: string;
  readonly rules?: Partial<Rules> | undefined;
}

/** A topic of the run. Without it the checker assumes `replicas` of the rules, and that retention may take records. */
export interface TopicDeclared {
  readonly type: "topic";
  readonly atMs: number;
  readonly topic: string;
  readonly partitions: number;
  readonly replicas: number;
  readonly flush: Flush;
  /** No retention: the log start may not move. */
  readonly keepsAll: boolean;
}

/** A send began. `value` must be unique in the whole history. */
export interface SendInvoked {
  readonly type: "send";
  readonly atMs: number;
  /** Sequence of sends whose order is promised: one producer session. */
  readonly producer: string;
  readonly topic: string;
  readonly key: string | undefined;
  readonly value: string;
  readonly durability: DurabilityClass;
  /** When the sender chose it. */
  readonly partition?: number | undefined;
  /** False: neither producer sequence nor message id, so that a retry may store it twice. Default true. */
  readonly idempotent?: boolean | undefined;
  /** What filters of subscriptions go by (`subscription`). */
  readonly marker?: string | undefined;
}

/** It was acknowledged. */
export interface SendAcknowledged {
  readonly type: "ack";
  readonly atMs: number;
  readonly value: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly duplicate: boolean;
  /** Who acknowledged it, when that is known. */
  readonly node?: number | undefined;
}

/** It failed: "not-applied" is a promise that it is not in the log; "unknown" promises nothing. */
export interface SendFailed {
  readonly type: "fail";
  readonly atMs: number;
  readonly value: string;
  readonly outcome: "not-applied" | "unknown";
  readonly reason: string;
}

/** A reader saw a record. */
export interface RecordRead {
  readonly type: "read";
  readonly atMs: number;
  /** One pass of one reader over one partition; offsets must grow within it. */
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly key: string | undefined;
  readonly value: string;
}

export interface PolledRecord {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly key?: string | undefined;
  readonly value: string;
}

/** A reader asked once and got an answer: like `read`, but one knows what stood in one response, and what was empty. */
export interface Polled {
  readonly type: "poll";
  readonly atMs: number;
  readonly beganMs: number;
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  /** Offset that was asked for. */
  readonly from: number;
  /** Offset that the reader goes on with. */
  readonly next: number;
  readonly highWatermark?: number | undefined;
  readonly records: readonly PolledRecord[];
}

/** A reader goes on elsewhere, by intention: retention overtook it, or it begins anew. */
export interface ReaderSought {
  readonly type: "seek";
  readonly atMs: number;
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A reader has read a partition from its log start to its end. The last one of each partition decides about loss. */
export interface PartitionScanned {
  readonly type: "scan";
  readonly atMs: number;
  readonly beganMs: number;
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  /** End of the log, excluded. */
  readonly to: number;
}

/** What a broker answered about the ends of a partition. */
export interface BoundsSeen {
  readonly type: "bounds";
  readonly atMs: number;
  readonly beganMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/** What QueryOutcome said about a send. */
export interface OutcomeAnswered {
  readonly type: "outcome";
  readonly atMs: number;
  readonly value: string;
  readonly partition: number;
  readonly by: "position" | "sequence";
  readonly outcome: "committed" | "lost" | "unknown";
  /** By position: the place that was asked about; by sequence: the place that was answered. */
  readonly offset?: number | undefined;
  readonly leaderEpoch?: number | undefined;
}

/** Something was done to the cluster. */
export interface FaultEvent {
  readonly type: "fault";
  readonly atMs: number;
  readonly name: string;
  readonly phase: "start" | "bit" | "stop";
  /** None: it concerns all of them. */
  readonly nodes: readonly number[];
  /** What it can cost; guessed from the name when it is left out (fault-effects.ts). */
  readonly effect?: FaultEffect | undefined;
}

/**
 * crash: the process ends, the page cache stays. power: what was not flushed is gone. wipe: the disk is lost for good.
 * disk: it fails or is full. restart: in good order. blip: over at once (transfer, reset) or without consequence (clock).
 * unsafe: somebody gave the promises up (`unsafe-recover`). other: anything that keeps its nodes from working.
 */
export type FaultEffect =
  | "crash"
  | "power"
  | "wipe"
  | "pause"
  | "cut"
  | "slow"
  | "disk"
  | "restart"
  | "blip"
  | "unsafe"
  | "other";

/** Somebody says who leads. */
export interface LeaderSeen {
  readonly type: "leader";
  readonly atMs: number;
  readonly topic: string;
  readonly partition: number;
  /** 0: nobody is known to lead. */
  readonly node: number;
  readonly leaderEpoch: number;
}

/** Digest of a range of one replica's log. */
export interface ReplicaDigest {
  readonly type: "digest";
  readonly atMs: number;
  readonly topic: string;
  readonly partition: number;
  readonly node: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly digest: string;
}

/** What one node's metadata image says about one subject ("topic orders", "node 3") at one index. */
export interface MetadataSeen {
  readonly type: "metadata";
  readonly atMs: number;
  readonly node: number;
  readonly index: number;
  readonly subject: string;
  readonly state: string;
}

/** A line of a broker's log. Lines below "error" may be left out. */
export interface LogLine {
  readonly type: "log";
  readonly atMs: number;
  readonly node: number;
  readonly level: "debug" | "info" | "warn" | "error" | "fatal";
  readonly message: string;
}

/** A broker's process ended. */
export interface ProcessExit {
  readonly type: "exit";
  readonly atMs: number;
  readonly node: number;
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
}

/** What a process uses. Names end with their unit; "baseline" is before the load, "idle" after it and after all faults. */
export interface ResourceSample {
  readonly type: "sample";
  readonly atMs: number;
  readonly node: number;
  readonly phase: "baseline" | "load" | "idle";
  readonly values: Readonly<Record<string, number>>;
}

export type HistoryEvent =
  | HistoryHeader
  | TopicDeclared
  | SendInvoked
  | SendAcknowledged
  | SendFailed
  | RecordRead
  | Polled
  | ReaderSought
  | PartitionScanned
  | BoundsSeen
  | OutcomeAnswered
  | FaultEvent
  | LeaderSeen
  | ReplicaDigest
  | MetadataSeen
  | LogLine
  | ProcessExit
  | ResourceSample
  | DeliveryEvent;
