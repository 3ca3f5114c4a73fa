// Time, as the core knows it: election timeouts, heartbeats, the leader's quorum check, the end of a transfer.
import type { ReplicaId } from "../model/ids.ts";
import { damagePatienceOf, isBlocked, isHeldBack } from "./damage.ts";
import { isPromotable, startPreVote } from "./election.ts";
import type { LeaderState } from "./leader-state.ts";
import { hasQuorum } from "./leadership.ts";
import { patienceOf } from "./recovering.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { tickTransfer } from "./transfer.ts";

/** Longest wait, in ticks, of a replica that knows its leader's process to be gone; drawn, so that ties are rare. */
const UNREACHABLE_WAIT_MAX = 8;

export function tick<H>(state: RaftState<H>): void {
  tickTransfer(state);
  if (state.leader !== undefined) {
    tickLeader(state);
    return;
  }
  if (state.notMemberTicks > 0) state.notMemberTicks -= 1;
  state.electionElapsed += 1;
  if (state.electionElapsed < state.electionTimeout) return;
  // Whoever waits longer, or does not stand at all, must not go on sending clients to a leader that is gone.
  if (state.role === "follower") state.setLeader(0);
  const patience = patienceOf(state) + damagePatienceOf(state);
  const isDue = state.electionElapsed >= state.electionTimeout + patience;
  // Whose newest vote is not durable waits for the disk: another election would need it as well. One that began meanwhile
  // would void this one, and where syncs take longer than the timers none would ever end.
  if (isDue && state.isVoteDurable && isPromotable(state)) startPreVote(state);
}

function tickLeader<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader === undefined) return;
  leader.ticks += 1;
  leader.heartbeatElapsed += 1;
  if (state.options.commitNews === "by-tick" && state.commitIndex > leader.toldCommit) {
    leader.isNewsDue = true;
    leader.isSendDue = true;
  }
  if (leader.heartbeatElapsed < state.options.heartbeatTicks) return;
  leader.heartbeatElapsed = 0;
  if (!hasQuorum(state)) becomeFollower(state, state.term, 0, "lost quorum");
  else if (isStuck(state, leader)) becomeFollower(state, state.term, 0, "blocked by damage");
  else leader.isHeartbeatDue = true;
}

/** It found after its election that it can not apply what it holds. Others, damaged or not, may be able to. */
function isStuck<H>(state: RaftState<H>, leader: LeaderState): boolean {
  if (leader.isReady || leader.ticks < state.options.electionTicks) return false;
  return isBlocked(state) && isHeldBack(state);
}

/** Shortens the wait, and only that: the pre-vote and the others' stickiness decide as ever. */
export function leaderUnreachable<H>(state: RaftState<H>, leaderId: ReplicaId): void {
  if (state.role !== "follower" || state.leaderId !== leaderId) return;
  state.setLeader(0);
  const wait = 1 + Math.floor(state.options.random() * UNREACHABLE_WAIT_MAX);
  state.electionElapsed = Math.max(state.electionElapsed, state.electionTimeout - wait);
}
