// All of one core's state, and the few questions about it that every phase asks. No decisions: those are in the
// files of the phases, which are functions on this state.
import { assert } from "../base/assert.ts";
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { InitialState, RaftOptions } from "./config.ts";
import type { LeaderState } from "./leader-state.ts";
import { LogView } from "./log-view.ts";
import { isVoter, sorted } from "./membership.ts";
import type { Entry, Membership, Message, SnapshotMeta } from "./messages.ts";
import { Output } from "./output.ts";
import type { Ballot } from "./quorum.ts";
import type { HardState } from "./ready.ts";
import type { Role } from "./status.ts";

/** An election in which this replica stands. */
export interface Campaign {
  readonly pre: boolean;
  readonly transfer: boolean;
  readonly ballots: Map<ReplicaId, Ballot>;
  /** The own vote is durable, thus counted, and the others were asked. */
  isOpen: boolean;
}

/** Leadership on its way to another replica. */
export interface Transfer {
  readonly to: ReplicaId;
  elapsed: number;
  isSent: boolean;
}

/** What a follower knows about its agreement with this term's leader, and which answers it owes. */
export class FollowerState {
  /** Log equal to the leader's up to here. */
  agreedIndex: LogIndex = 0;
  ackedMatch: LogIndex = 0;
  ackedDurable: LogIndex = 0;
  /** Requests up to here wait for an answer about "written" / "flushed"; 0: none. */
  owedWritten: LogIndex = 0;
  owedFlushed: LogIndex = 0;
  /** An answer is due at once, whatever it says. */
  isAnswerDue = false;
  /** While recovering: what must be held, flushed, before the mark can go; 0: not told by this leader (recovering.ts). */
  fenceIndex: LogIndex = 0;
}

export class RaftState<H> {
  readonly options: RaftOptions<H>;
  readonly id: ReplicaId;
  readonly log: LogView<H>;
  readonly out: Output<H> = new Output();

  role: Role = "follower";
  leaderId: ReplicaId | 0 = 0;
  membership: Membership;
  commitRule: "durable" | "appended";
  recovering: boolean;
  /** It holds again what it may have lost; the host was told and clears the mark. */
  isCaughtUp = false;
  /** Others that said so of themselves in their last answer. */
  readonly recoveringPeers: Set<ReplicaId> = new Set();
  /** Entries on the own disk can not be read (damage.ts). */
  damaged = false;
  /** The newest of them; 0: none, or not told. */
  damagedIndex: LogIndex = 0;

  commitIndex: LogIndex;
  durableCommitIndex: LogIndex;
  appliedIndex: LogIndex;
  /** Membership entries in (appliedIndex, lastIndex], ascending. */
  changeIndexes: LogIndex[];

  electionElapsed = 0;
  electionTimeout = 0;
  /** Ticks for which not to campaign, because somebody said that we are no member. */
  notMemberTicks = 0;
  campaign: Campaign | undefined = undefined;
  /** In which it stood since it last knew of a leader. */
  elections = 0;
  leader: LeaderState | undefined = undefined;
  follower: FollowerState = new FollowerState();
  transfer: Transfer | undefined = undefined;
  /** A state image that is being installed. */
  installing: { readonly meta: SnapshotMeta; isEmitted: boolean } | undefined = undefined;
  /** Newest position known to be committed although the log may end below it (after an image). */
  floor: { readonly index: LogIndex; readonly term: Term };

  #term: Term;
  #vote: ReplicaId | 0;
  /** Number of the newest (term, vote); of the one that began the term; taken by the host; durable. */
  #hardSeq = 0;
  #termSeq = 0;
  #takenSeq = 0;
  #durableSeq = 0;

  constructor(options: RaftOptions<H>, initial: InitialState) {
    assert(options.heartbeatTicks * 2 < options.electionTicks, "heartbeats are frequent", {
      heartbeatTicks: options.heartbeatTicks,
      electionTicks: options.electionTicks,
    });
    assert(initial.firstIndex <= initial.appliedIndex + 1, "no gap between image and log");
    this.options = options;
    this.id = options.replicaId;
    this.log = new LogView(initial);
    this.membership = sorted(initial.membership);
    this.commitRule = options.commitRule;
    this.recovering = options.recovering;
    const noted = Math.min(initial.committedIndex ?? 0, initial.lastIndex);
    this.commitIndex = Math.max(initial.appliedIndex, noted);
    this.appliedIndex = initial.appliedIndex;
    // A change in the log means that the one before it is committed: at most one is ever uncommitted (thesis §4.1).
    const decided = initial.unappliedChanges.at(-2);
    if (decided !== undefined) this.commitIndex = Math.max(this.commitIndex, decided);
    const isDurable = options.commitRule === "durable" && initial.isLazy !== true;
    this.durableCommitIndex = isDurable ? initial.appliedIndex : initial.firstIndex - 1;
    this.changeIndexes = [...initial.unappliedChanges];
    this.floor = { index: initial.appliedIndex, term: initial.appliedTerm ?? 0 };
    this.#term = initial.term;
    this.#vote = initial.vote;
    // Entries of a term are on disk only after the term itself is; should a disk say otherwise, the log wins.
    if (this.log.lastTerm > this.#term) this.beginTerm(this.log.lastTerm, 0);
    this.resetAgreement();
  }

  get term(): Term {
    return this.#term;
  }

  get vote(): ReplicaId | 0 {
    return this.#vote;
  }

  get hardSeq(): number {
    return this.#hardSeq;
  }

  /** The current term is durable: messages and entries of it may leave. */
  get isTermDurable(): boolean {
    return this.#durableSeq >= this.#termSeq;
  }

  /** The current vote is durable. */
  get isVoteDurable(): boolean {
    return this.#durableSeq >= this.#hardSeq;
  }

  get isSelfVoter(): boolean {
    return isVoter(this.membership, this.id);
  }

  /** A higher term begins; `vote` is 0, or our own id when we begin it by campaigning. */
  beginTerm(term: Term, vote: ReplicaId | 0): void {
    assert(term > this.#term, "terms only grow", { term, current: this.#term });
    this.#term = term;
    this.#vote = vote;
    this.#hardSeq += 1;
    this.#termSeq = this.#hardSeq;
    // It was with the leader of the former term.
    this.resetAgreement();
  }

  /** The one vote of this term. */
  castVote(id: ReplicaId): void {
    if (this.#vote === id) return;
    assert(this.#vote === 0, "a vote is never changed within its term", { term: this.#term });
    this.#vote = id;
    this.#hardSeq += 1;
  }

  get hasHardState(): boolean {
    return this.#takenSeq < this.#hardSeq;
  }

  takeHardState(): HardState | undefined {
    if (!this.hasHardState) return undefined;
    this.#takenSeq = this.#hardSeq;
    return { term: this.#term, vote: this.#vote as ReplicaId };
  }

  hardStateDurable(seq: number): void {
    assert(seq <= this.#takenSeq, "completion of a hard state that was never handed out", { seq });
    this.#durableSeq = Math.max(this.#durableSeq, seq);
    this.out.release(this.#durableSeq, this.#term);
  }

  /** Sends when the term in which it is said is durable (at once, nearly always). */
  sendInTerm(message: Message<H>): void {
    if (this.isTermDurable) this.out.messages.push(message);
    else this.out.withhold(this.#termSeq, message);
  }

  /** Sends when the vote that it reports is durable. */
  sendAfterVote(message: Message<H>): void {
    if (this.isVoteDurable) this.out.messages.push(message);
    else this.out.withhold(this.#hardSeq, message);
  }

  setLeader(leaderId: ReplicaId | 0): void {
    if (this.leaderId === leaderId) return;
    this.leaderId = leaderId;
    if (leaderId !== 0) this.elections = 0;
    this.out.events.push({ kind: "leader-changed", term: this.#term, leaderId });
    // A transfer outlives the step-down that it causes; it ends when we learn who leads.
    if (leaderId !== 0 && this.transfer !== undefined) this.endTransfer(leaderId);
  }

  endTransfer(leaderId: ReplicaId | 0): void {
    if (this.transfer === undefined) return;
    const { to } = this.transfer;
    this.transfer = undefined;
    this.out.events.push({ kind: "transfer-ended", to, ok: leaderId === to });
  }

  resetElectionTimer(): void {
    const { electionTicks, random } = this.options;
    this.electionElapsed = 0;
    const spread = Math.floor(electionTicks / 2) + 1;
    this.electionTimeout = electionTicks + Math.floor(random() * spread);
  }

  /**
   * A campaign that gets no majority is tried again sooner than a leader is given up: nobody waits for it. Drawn from a
   * quarter to three quarters of the shortest election timeout, so that candidates that tied do not tie again.
   * @param factor how many times as long
   */
  resetCampaignTimer(factor: number): void {
    const { electionTicks, random } = this.options;
    this.electionElapsed = 0;
    const shortest = Math.max(1, Math.floor(electionTicks / 4)) * factor;
    const spread = Math.floor(electionTicks / 2) * factor + 1;
    this.electionTimeout = shortest + Math.floor(random() * spread);
  }

  /** A new leader: what is committed is all that we know to agree on. */
  resetAgreement(): void {
    this.follower = new FollowerState();
    this.follower.agreedIndex = Math.min(this.commitIndex, this.log.lastIndex);
  }

  appendToLog(entry: Entry<H>): void {
    this.log.append(entry);
    if (entry.kind === "membership" && entry.index > this.appliedIndex) {
      this.changeIndexes.push(entry.index);
    }
  }

  truncateLog(from: LogIndex): void {
    assert(from > Math.min(this.commitIndex, this.log.lastIndex), "committed entries stay", {
      from,
      commitIndex: this.commitIndex,
    });
    this.log.truncate(from);
    while ((this.changeIndexes.at(-1) ?? 0) >= from) this.changeIndexes.pop();
  }

  /** Raises the commit index. Only an image may carry it beyond the log's end. */
  commitTo(index: LogIndex): void {
    if (index <= this.commitIndex) return;
    assert(index <= this.log.lastIndex, "commit within the log", { index });
    this.commitIndex = index;
  }

  raiseDurableCommit(index: LogIndex): void {
    const bounded = Math.min(index, this.commitIndex);
    if (bounded > this.durableCommitIndex) this.durableCommitIndex = bounded;
  }
}
