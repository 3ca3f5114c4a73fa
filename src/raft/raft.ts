// Facade of the consensus core of one group: dispatch only; each phase of the protocol has its own file.
// CONTRACT (bodies to be written): synchronous, no clock, no I/O, no randomness but options.random, re-entry forbidden.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { InitialState, RaftOptions } from "./config.ts";
import type { Entry, Membership, Message } from "./messages.ts";
import type { Ready } from "./ready.ts";

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

export interface RaftStatus {
  readonly role: Role;
  readonly term: Term;
  /** 0: unknown. */
  readonly leaderId: ReplicaId | 0;
  readonly isLeaderReady: boolean;
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Own log written / flushed up to here. */
  readonly writtenIndex: LogIndex;
  readonly flushedIndex: LogIndex;
  readonly membership: Membership;
  /** Leader only: the others as the leader sees them. */
  readonly progress: readonly ReplicaProgress[];
  readonly transferringTo: ReplicaId | 0;
}

export interface ReplicaProgress {
  readonly replicaId: ReplicaId;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly matchIndex: LogIndex;
  readonly durableIndex: LogIndex;
  readonly nextIndex: LogIndex;
  readonly isRecentlyActive: boolean;
  readonly isLearner: boolean;
}

export type ProposalRefusal = "not-leader" | "transferring" | "uncommitted-limit" | "change-in-progress" | "not-ready";

/** One group's consensus. See ready.ts for the order in which the host must treat the output. */
export interface RaftCore<H> {
  tick(): void;
  step(message: Message<H>): void;
  /** Appends entries of kind "data" at lastIndex + 1 …; all or none. Handles are already encoded for those positions. */
  propose(drafts: readonly { readonly handle: H; readonly bytes: number }[]): ProposalRefusal | undefined;
  /** Proposes to move to `target` (joint when more than one voter differs, or always joint: implementer's choice, documented). */
  proposeMembership(target: Membership): ProposalRefusal | undefined;
  /** Asks for flushed acknowledgement of everything appended so far (an async group, a sync send). */
  requestFlush(): void;
  /** Linearizable read; confirmed through Ready.reads, refused through Ready.readsFailed. */
  readIndex(readId: number): void;
  /** Hands leadership over; ends with a transfer-ended event after at most one election timeout. */
  transferLeadership(to: ReplicaId): ProposalRefusal | "unknown-target" | undefined;
  /** The leader's process is known to be gone (connection refused): the wait may be cut short, the rules may not. */
  leaderUnreachable(leaderId: ReplicaId): void;

  hardStateDurable(seq: number): void;
  storageWritten(io: number): void;
  storageFlushed(io: number): void;
  snapshotInstalled(index: LogIndex): void;
  snapshotSent(to: ReplicaId, index: LogIndex): void;
  snapshotFailed(to: ReplicaId): void;
  /** Everything ≤ index was applied; `membership` when a membership entry was among them (the newest one). */
  applied(index: LogIndex, membership?: Membership): void;
  /** The host dropped entries < firstIndex from the log (they are in a durable image). */
  compacted(firstIndex: LogIndex): void;
  /** The group's flush changed by a committed entry. */
  setCommitRule(rule: "durable" | "appended"): void;
  setRecovering(recovering: boolean): void;

  hasReady(): boolean;
  /** Takes everything that is due. Empty arrays where nothing is. */
  ready(): Ready<H>;
  status(): RaftStatus;

  readonly role: Role;
  readonly term: Term;
  readonly leaderId: ReplicaId | 0;
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  /** Entry of the in-memory tail, or undefined when it left memory. */
  tailEntry(index: LogIndex): Entry<H> | undefined;
  /** Term of an entry in [firstIndex − 1, lastIndex]; undefined outside. */
  termAt(index: LogIndex): Term | undefined;
}

export type CreateRaftCore = <H>(options: RaftOptions<H>, initial: InitialState) => RaftCore<H>;
