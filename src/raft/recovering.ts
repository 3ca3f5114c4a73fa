// Recovering voters (raft.md §1.5; ADR 0012): a replica that may have lost entries which it acknowledged counts less in
// elections (quorum.ts) until it holds, flushed, everything that could have been committed by what it forgot. What that
// is, a leader tells it: the *fence*, its commit index at a moment when it knew of the replica's new incarnation (so that
// acknowledgements of the former one count no more), had committed an entry of its own term, and was then confirmed by a
// majority. A recovering leader needs no fence: it was elected by voters that remember, or by all.
// Called by responses.ts, read-index.ts and replication.ts (leader), follower.ts (follower), and when output is collected.
import type { ReplicaId } from "../model/ids.ts";
import type { LeaderState } from "./leader-state.ts";
import type { Heartbeat } from "./messages.ts";
import type { Progress } from "./progress.ts";
import type { RaftState } from "./state.ts";

/** Leader: an answer says whether its sender is recovering. The next round of heartbeats makes its fence. */
export function noteRecovering<H>(
  state: RaftState<H>,
  leader: LeaderState,
  peer: Progress,
  recovering: boolean,
): void {
  peer.recovering = recovering;
  notePeer(state, peer.replicaId, recovering);
  if (recovering && peer.fenceRound === 0) leader.isFenceDue = true;
}

/** What another replica said of itself, in whatever answer: for people who wonder why nobody is elected. */
export function notePeer<H>(state: RaftState<H>, id: ReplicaId, recovering: boolean): void {
  if (recovering) state.recoveringPeers.add(id);
  else state.recoveringPeers.delete(id);
}

/** Leader: a round begins; once it is confirmed, everything committed by now is the fence of those who need one. */
export function openFences(leader: LeaderState, round: number, commitIndex: number): void {
  leader.isFenceDue = false;
  for (const peer of leader.peers) {
    if (!peer.recovering || peer.fenceRound > 0) continue;
    peer.fenceRound = round;
    peer.fenceIndex = commitIndex;
  }
}

/** Leader: what a heartbeat tells its receiver about its fence. */
export function fenceOf(
  leader: LeaderState,
  peer: Progress,
): Pick<Heartbeat, "fenceIncarnation" | "fenceIndex"> {
  const { fenceIndex, fenceRound, incarnation, recovering } = peer;
  if (!recovering || fenceRound === 0 || fenceRound > leader.confirmedRound) {
    return { fenceIncarnation: 0, fenceIndex: 0 };
  }
  return { fenceIncarnation: incarnation, fenceIndex };
}

/** Follower: a fence for a former incarnation says nothing; what that one had may be lost since. */
export function noteFence<H>(state: RaftState<H>, heartbeat: Heartbeat): void {
  if (!state.recovering || heartbeat.fenceIncarnation !== state.options.incarnation) return;
  const { follower } = state;
  follower.fenceIndex = Math.max(follower.fenceIndex, heartbeat.fenceIndex);
}

/** Tells the host, once, that the mark can be cleared. It counts as recovering until the host has done so, durably. */
export function noteCaughtUp<H>(state: RaftState<H>): void {
  if (!state.recovering || state.isCaughtUp || !hasCaughtUp(state)) return;
  state.isCaughtUp = true;
  state.out.events.push({ kind: "caught-up", term: state.term });
}

function hasCaughtUp<H>(state: RaftState<H>): boolean {
  const { follower, installing, leader, log } = state;
  if (installing !== undefined) return false;
  const { flushedIndex } = log.storage;
  if (leader !== undefined) return Math.min(state.commitIndex, flushedIndex) >= leader.noopIndex;
  if (follower.fenceIndex === 0) return false;
  return Math.min(follower.agreedIndex, flushedIndex) >= follower.fenceIndex;
}

/**
 * Ticks that a recovering replica waits longer than others before it campaigns. Not for ever: its log may be the longest, and
 * then nobody else can be elected when all are needed.
 */
export function patienceOf<H>(state: RaftState<H>): number {
  const isAlone = state.membership.voters.length === 1 && state.isSelfVoter;
  return state.recovering && !isAlone ? state.options.electionTicks : 0;
}
