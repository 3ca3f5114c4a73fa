// Facade of the consensus core of one group: dispatch only; each phase of the protocol has its own file.
// Synchronous, no clock, no I/O, no randomness but options.random, re-entry forbidden (asserted).
import { assert } from "../base/assert.ts";
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import { advanceCommit } from "./commit.ts";
import type { InitialState, RaftOptions } from "./config.ts";
import { type Damage, isBlocked, setDamaged } from "./damage.ts";
import { voteDurable } from "./election.ts";
import { answerAppends } from "./follower.ts";
import { isRecentlyActive } from "./leadership.ts";
import { applied, proposeMembership } from "./membership-change.ts";
import type { Entry, Membership, Message } from "./messages.ts";
import { propose } from "./propose.ts";
import { openReadRound, readIndex } from "./read-index.ts";
import type { Ready } from "./ready.ts";
import { noteCaughtUp } from "./recovering.ts";
import { replicate, requestFlush, sendHeartbeats } from "./replication.ts";
import { snapshotFailed, snapshotInstalled, snapshotSent } from "./snapshot.ts";
import { RaftState } from "./state.ts";
import type { ProposalRefusal, RaftStatus, ReplicaProgress, Role } from "./status.ts";
import { step } from "./step.ts";
import { releaseTail } from "./tail-release.ts";
import { leaderUnreachable, tick } from "./tick.ts";
import { transferLeadership } from "./transfer.ts";

export type { ProposalRefusal, RaftStatus, ReplicaProgress, Role } from "./status.ts";

/** One group's consensus. See ready.ts for the order in which the host must treat the output. */
export interface RaftCore<H> {
  tick(): void;
  step(message: Message<H>): void;
  /**
   * Appends entries of kind "data" at lastIndex + 1 …; all or none. Handles are already encoded for those positions.
   * @param reserveBytes by which they may exceed the limit of uncommitted bytes. Default 0
   */
  propose(
    drafts: readonly { readonly handle: H; readonly bytes: number }[],
    reserveBytes?: number,
  ): ProposalRefusal | undefined;
  /**
   * Proposes to move to `target` (not joint itself). One entry when at most one voter comes or goes; else through a
   * joint configuration, which the leader leaves by itself. Asserts that `target` is well formed.
   */
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
  /** False: after a "caught-up" event, once the host's record says so durably. */
  setRecovering(recovering: boolean): void;
  /** Some entries can not be read from the own disk: while it is so, this replica leaves leading to others (damage.ts). */
  setDamaged(damaged: boolean, damage?: Damage): void;

  hasReady(): boolean;
  /** Takes everything that is due. Empty arrays where nothing is. */
  ready(): Ready<H>;
  status(): RaftStatus;

  readonly role: Role;
  readonly term: Term;
  readonly leaderId: ReplicaId | 0;
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  /** Bytes of entries in memory. */
  readonly tailBytes: number;
  /** Entry of the in-memory tail, or undefined when it left memory. */
  tailEntry(index: LogIndex): Entry<H> | undefined;
  /** Term of an entry in [firstIndex − 1, lastIndex]; undefined outside. */
  termAt(index: LogIndex): Term | undefined;
}

export type CreateRaftCore = <H>(options: RaftOptions<H>, initial: InitialState) => RaftCore<H>;

export function createRaftCore<H>(options: RaftOptions<H>, initial: InitialState): RaftCore<H> {
  return new Raft(options, initial);
}

const NO_ENTRIES: readonly never[] = Object.freeze([]);

class Raft<H> implements RaftCore<H> {
  readonly #state: RaftState<H>;
  #isBusy = false;
  #takenCommit: LogIndex = 0;
  #takenDurableCommit: LogIndex = 0;

  constructor(options: RaftOptions<H>, initial: InitialState) {
    this.#state = new RaftState(options, initial);
    this.#state.resetElectionTimer();
    // Below the commit index when the log itself proves more to be committed: the host is told of the difference.
    this.#takenCommit = initial.appliedIndex;
    this.#takenDurableCommit = this.#state.durableCommitIndex;
  }

  tick(): void {
    this.#run(tick);
  }

  step(message: Message<H>): void {
    this.#run((state) => step(state, message));
  }

  propose(
    drafts: readonly { readonly handle: H; readonly bytes: number }[],
    reserveBytes = 0,
  ): ProposalRefusal | undefined {
    return this.#run((state) => propose(state, drafts, reserveBytes));
  }

  proposeMembership(target: Membership): ProposalRefusal | undefined {
    return this.#run((state) => proposeMembership(state, target));
  }

  requestFlush(): void {
    this.#run(requestFlush);
  }

  readIndex(readId: number): void {
    this.#run((state) => readIndex(state, readId));
  }

  transferLeadership(to: ReplicaId): ProposalRefusal | "unknown-target" | undefined {
    return this.#run((state) => transferLeadership(state, to));
  }

  leaderUnreachable(leaderId: ReplicaId): void {
    this.#run((state) => leaderUnreachable(state, leaderId));
  }

  hardStateDurable(seq: number): void {
    this.#run((state) => {
      const wasDurable = state.isVoteDurable;
      state.hardStateDurable(seq);
      if (!wasDurable && state.isVoteDurable) voteDurable(state);
    });
  }

  storageWritten(io: number): void {
    this.#run((state) => {
      state.log.storage.written(io);
      if (state.commitRule === "appended") advanceCommit(state);
      releaseTail(state);
    });
  }

  storageFlushed(io: number): void {
    this.#run((state) => {
      state.log.storage.flushed(io);
      advanceCommit(state);
      releaseTail(state);
    });
  }

  snapshotInstalled(index: LogIndex): void {
    this.#run((state) => snapshotInstalled(state, index));
  }

  snapshotSent(to: ReplicaId, index: LogIndex): void {
    this.#run((state) => snapshotSent(state, to, index));
  }

  snapshotFailed(to: ReplicaId): void {
    this.#run((state) => snapshotFailed(state, to));
  }

  applied(index: LogIndex, membership?: Membership): void {
    this.#run((state) => applied(state, index, membership));
  }

  compacted(firstIndex: LogIndex): void {
    this.#run((state) => {
      assert(firstIndex <= state.appliedIndex + 1, "only applied entries leave the log");
      state.log.compact(firstIndex);
    });
  }

  setCommitRule(rule: "durable" | "appended"): void {
    this.#run((state) => {
      state.commitRule = rule;
      advanceCommit(state);
    });
  }

  setRecovering(recovering: boolean): void {
    this.#run((state) => {
      state.recovering = recovering;
      state.isCaughtUp = false;
    });
  }

  setDamaged(damaged: boolean, damage?: Damage): void {
    this.#run((state) => setDamaged(state, damaged, damage));
  }

  hasReady(): boolean {
    return this.#run((state) => {
      settle(state);
      return (
        !state.out.isEmpty ||
        state.hasHardState ||
        this.#hasStorageWork() ||
        state.commitIndex > this.#takenCommit ||
        state.durableCommitIndex > this.#takenDurableCommit ||
        canInstall(state)
      );
    });
  }

  ready(): Ready<H> {
    return this.#run((state) => {
      settle(state);
      const { out } = state;
      const hardState = state.takeHardState();
      const snapshot = canInstall(state) ? state.installing?.meta : undefined;
      if (snapshot !== undefined && state.installing !== undefined) {
        state.installing.isEmitted = true;
      }
      const work = this.#hasStorageWork() ? state.log.takeStorageWork() : undefined;
      const { flushRequested } = out;
      out.flushRequested = false;
      this.#takenCommit = state.commitIndex;
      this.#takenDurableCommit = state.durableCommitIndex;
      return {
        hardState,
        hardStateSeq: state.hardSeq,
        snapshot,
        truncateFrom: work?.truncateFrom,
        append: work?.append ?? NO_ENTRIES,
        io: state.log.storage.lastIo,
        messages: out.messages.take(),
        catchUps: out.catchUps.take(),
        snapshotsNeeded: out.snapshotsNeeded.take(),
        commitIndex: state.commitIndex,
        durableCommitIndex: state.durableCommitIndex,
        reads: out.reads.take(),
        readsFailed: out.readsFailed.take(),
        events: out.events.take(),
        flushRequested,
      };
    });
  }

  status(): RaftStatus {
    const state = this.#state;
    const { leader, transfer } = state;
    return {
      role: state.role,
      term: state.term,
      leaderId: state.leaderId,
      isLeaderReady: leader?.isReady ?? false,
      commitIndex: state.commitIndex,
      durableCommitIndex: state.durableCommitIndex,
      appliedIndex: state.appliedIndex,
      lastIndex: state.log.lastIndex,
      writtenIndex: state.log.storage.writtenIndex,
      flushedIndex: state.log.storage.flushedIndex,
      membership: state.membership,
      recovering: state.recovering,
      isBlocked: isBlocked(state),
      isInstalling: state.installing !== undefined,
      recoveringPeers: [...state.recoveringPeers].sort((a, b) => a - b),
      progress: progressOf(state),
      transferringTo: leader === undefined ? 0 : (transfer?.to ?? 0),
    };
  }

  get role(): Role {
    return this.#state.role;
  }

  get term(): Term {
    return this.#state.term;
  }

  get leaderId(): ReplicaId | 0 {
    return this.#state.leaderId;
  }

  get lastIndex(): LogIndex {
    return this.#state.log.lastIndex;
  }

  get commitIndex(): LogIndex {
    return this.#state.commitIndex;
  }

  get tailBytes(): number {
    return this.#state.log.tail.bytes;
  }

  tailEntry(index: LogIndex): Entry<H> | undefined {
    return this.#state.log.tail.at(index);
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#state.log.termAt(index);
  }

  /** Entries of a term go to disk only when the term is there, and never into a log that an image is replacing. */
  #hasStorageWork(): boolean {
    const state = this.#state;
    return state.isTermDurable && state.installing === undefined && state.log.hasStorageWork;
  }

  #run<T>(body: (state: RaftState<H>) => T): T {
    assert(!this.#isBusy, "the core is not re-entered");
    this.#isBusy = true;
    try {
      return body(this.#state);
    } finally {
      this.#isBusy = false;
    }
  }
}

/** Turns what changed since the last time into messages. Repeating it without a change brings nothing. */
function settle<H>(state: RaftState<H>): void {
  const { leader } = state;
  noteCaughtUp(state);
  if (leader === undefined) {
    answerAppends(state);
    return;
  }
  openReadRound(state);
  if (leader.isSendDue) replicate(state);
  if (leader.isHeartbeatDue) sendHeartbeats(state);
}

function canInstall<H>(state: RaftState<H>): boolean {
  return state.installing !== undefined && !state.installing.isEmitted && state.isTermDurable;
}

function progressOf<H>(state: RaftState<H>): ReplicaProgress[] {
  const { leader } = state;
  if (leader === undefined) return [];
  return leader.peers.map((peer) => ({
    replicaId: peer.replicaId,
    state: peer.state,
    matchIndex: peer.match,
    durableIndex: peer.durable,
    nextIndex: peer.next,
    isRecentlyActive: isRecentlyActive(state, leader, peer),
    isLearner: peer.isLearner,
    recovering: peer.recovering,
    damaged: peer.damaged,
  }));
}
