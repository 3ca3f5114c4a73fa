// What the replica room asks of others and offers to them. A replica is one raft group's copy on this node: the only
// place where consensus, log and state machine meet. The feature rooms (cluster, partition) see a ReplicaHandle and
// give a StateMachine; the broker gives the transport.

import type { KeyedWrite } from "../log/ports.ts";
import type { Frame, FrameKind, FrameSection } from "../model/entry-frame.ts";
import type { GroupId, NodeId, ReplicaId } from "../model/ids.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import type { Membership, Message, SnapshotMeta } from "../raft/messages.ts";
import type { RaftStatus } from "../raft/raft.ts";
import type { CatchUp } from "../raft/ready.ts";

/** Where an applied entry stands. */
export interface ApplyContext {
  readonly index: LogIndex;
  readonly term: Term;
  readonly baseOffset: Offset;
  readonly recordCount: number;
  readonly appendTimeMs: number;
}

/**
 * The replicated, deterministic part of a group: the same entries give the same state on every replica.
 * Its whole state is a set of key → bytes pairs (kept in the keyed store, written to images); it may keep any
 * in-memory form of it. apply() never throws: outcomes are data in the reply. No clock, no randomness.
 */
export interface StateMachine {
  /**
   * Applies one entry in log order. `reply` goes to the proposer on the leader that proposed it.
   * Writes are batched with the applied position; a later write to the same key replaces an earlier one.
   */
  apply(
    frame: Frame,
    context: ApplyContext,
  ): { readonly reply?: unknown; readonly writes: readonly KeyedWrite[] };
  /** Replaces the whole state (start-up, installed image). */
  restore(pairs: Iterable<readonly [string, Uint8Array]>): void;
  /** The complete state, for an image. Must describe exactly what was applied so far. */
  pairs(): Iterable<readonly [string, Uint8Array]>;
  /** Log start decided by a replicated command (AdvanceLogStart); 1 when never advanced. Only grows. */
  readonly logStartIndex: LogIndex;
  /** Nobody reads applied entries: an image stands for all of them. Where it is not so, an image must not replace what can be read. */
  readonly standsForLog?: boolean;
}

/** A new entry, before the replica gives it its position. */
export interface EntryDraft {
  readonly kind: Extract<FrameKind, "data">;
  readonly recordCount: number;
  readonly layoutEpoch: number;
  /** A batch section's bytes are patched in place (base offset, leader epoch) by `patch`, then copied into the frame. */
  readonly sections: readonly FrameSection[];
  readonly patch?: (baseOffset: Offset, leaderEpoch: Term) => void;
}

export interface Proposal {
  readonly index: LogIndex;
  readonly term: Term;
  readonly baseOffset: Offset;
}

/** Watermarks of a replica; each only grows while the term stays, and commit never shrinks at all. */
export interface Watermarks {
  readonly writtenIndex: LogIndex;
  readonly flushedIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
}

export interface ReplicaListener {
  /** Any watermark moved; called at most once per ready round. */
  onAdvance(): void;
  /** The replica may serve as leader from now on: everything committed before is applied. */
  onLeaderReady(term: Term): void;
  /** It leads no more (or never got ready): parked work must be answered now. Called for the term that ended. */
  onLeadershipLost(term: Term): void;
}

export interface ReplicaHandle {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  /** True between leader-ready and step-down. */
  readonly isLeaderReady: boolean;
  readonly term: Term;
  /** 0: unknown. */
  readonly leaderNode: NodeId | 0;
  readonly watermarks: Watermarks;
  /** First offset not committed (exclusive end of what readers see). */
  readonly highWatermark: Offset;
  /** First offset that readers may ask for. */
  readonly logStartOffset: Offset;
  status(): RaftStatus & { readonly logBytes: number; readonly failed: Error | undefined };
  listen(listener: ReplicaListener): () => void;

  /**
   * Appends one entry on the leader; synchronous, so that a caller can validate and append in one step.
   * @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | OVERLOADED | STORAGE_FAILED | DISK_FULL | SHUTTING_DOWN
   */
  propose(draft: EntryDraft): Proposal;
  /** Proposes and waits until this very entry (index and term) is applied here. @throws also LEADERSHIP_LOST (unknown). */
  proposeAndApply(draft: EntryDraft): Promise<unknown>;
  /** Asks followers to flush now (async group, sync send). */
  requestFlush(): void;
  /** Resolves when state applied here includes everything committed before the call (ReadIndex). */
  readBarrier(): Promise<void>;
  /** Resolves when the replica named leads, or throws. `to` undefined: the best candidate. */
  transferLeadership(to?: NodeId): Promise<void>;
  /** Changes voters and learners; resolves when the final configuration is applied. */
  changeMembership(target: Membership): Promise<void>;
  /** The group's commit rule follows its flush setting (called by the state's owner when a committed entry changed it). */
  setFlush(flush: "sync" | "async"): void;

  /**
   * Committed frames from `from` on, at most up to the commit index, about bytesMax bytes (≥ 1 frame); from memory when
   * they are in the tail (then without waiting). Empty when `from` > commitIndex.
   */
  read(from: LogIndex, bytesMax: number): Promise<readonly Frame[]>;
  /** Same without I/O; undefined when the frames are not all in memory. */
  readTail(from: LogIndex, bytesMax: number): readonly Frame[] | undefined;
  indexOfOffset(offset: Offset): Promise<LogIndex | undefined>;
  offsetOfTime(timeMs: number): Promise<Offset | undefined>;
  /** Term of the entry that holds this position, for divergence checks. */
  termAt(index: LogIndex): Term | undefined;
  /** What retention may drop: sealed segments, oldest first. */
  segments(): ReturnType<import("../log/ports.ts").GroupLog["segments"]>;
  /** Term runs with their first index, oldest first. */
  termRuns(): readonly { readonly term: Term; readonly from: LogIndex }[];
}

/** Messages of one group to one node, as the replica set hands them to the transport. */
export interface GroupMessage {
  readonly groupId: GroupId;
  readonly message: Message<Frame>;
}

/** Entries of a group, wanted by one replica of it from another. */
export interface EntriesWanted {
  readonly groupId: GroupId;
  /** Who wants them. */
  readonly from: ReplicaId;
  /** Who is asked; another replica on that node gives nothing. */
  readonly to: ReplicaId;
  readonly first: LogIndex;
  /** Inclusive. */
  readonly last: LogIndex;
  /** Soft. */
  readonly bytesMax: number;
}

/**
 * Asks another node for entries from `first` on: at least one, in order, about `bytesMax` bytes. Given by the
 * broker. Rejects with a BrokerError when the node can not be reached, does not have them, or has them damaged.
 */
export type FetchEntries = (
  from: NodeId,
  wanted: EntriesWanted,
  signal: AbortSignal,
) => Promise<readonly Frame[]>;

/** Pieces of an image travel on their own lane. */
export interface ImageTransfer {
  readonly groupId: GroupId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
  readonly meta: SnapshotMeta;
  readonly image: Buffer;
}

/** Given by the broker (gRPC) or the simulator. Never blocks; may drop anything (raft re-sends). */
export interface PeerTransport {
  /** All messages due for `to` in this turn. The transport sorts them into lanes: entries are bulk, the rest control. */
  send(to: NodeId, messages: readonly GroupMessage[]): void;
  /** Sends an image in chunks; `done(false)` when it was dropped. */
  sendImage(to: NodeId, transfer: ImageTransfer, done: (ok: boolean) => void): void;
  /** False: entries for it would only queue up, or be dropped. Nothing is read from disk for it then. */
  hasRoom(to: NodeId): boolean;
}

/** The other direction: the transport calls these. */
export interface PeerReceiver {
  receive(from: NodeId, messages: readonly GroupMessage[]): void;
  /** A whole image arrived and its chunks' checks passed. */
  receiveImage(from: NodeId, transfer: ImageTransfer): void;
  /** The node's process is gone (connection refused). */
  nodeUnreachable(node: NodeId): void;
}

/** Re-exported so that transports need not import the raft room. */
export type { CatchUp, Message };

/** Where the room writes what people should know. pino fits as it is. Fields use the words of docs/GLOSSARY.md. */
export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}
