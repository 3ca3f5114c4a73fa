// Becoming the leader and becoming ready to serve (paper §8; architecture decision 10).
import { assert } from "../base/assert.ts";
import type { ReplicaId } from "../model/ids.ts";
import { LeaderState } from "./leader-state.ts";
import { isVoter, leaveJoint, peersOf } from "./membership.ts";
import { Progress } from "./progress.ts";
import { appendControl } from "./propose.ts";
import { quorumValue } from "./quorum.ts";
import { startRetirement } from "./retirement.ts";
import type { RaftState } from "./state.ts";

export function becomeLeader<H>(state: RaftState<H>): void {
  assert(state.role === "candidate" && state.vote === state.id, "only a candidate wins");
  assert(state.log.lastIndex >= state.commitIndex, "a leader holds all committed entries");
  state.role = "leader";
  state.campaign = undefined;
  const next = state.log.lastIndex + 1;
  const leader = new LeaderState(next);
  leader.peers = peersOf(state.membership, state.id).map((id) => newProgress(state, id, next));
  leader.changeIndex = state.changeIndexes.at(-1) ?? 0;
  state.leader = leader;
  state.setLeader(state.id);
  appendControl(state);
  const { term } = state;
  state.out.events.push({ kind: "became-leader", term, noopIndex: leader.noopIndex });
  if (!state.isSelfVoter) startRetirement(state);
}

export function newProgress<H>(state: RaftState<H>, id: ReplicaId, next: number): Progress {
  const { appendInflightMax: countMax, appendInflightBytesMax: bytesMax } = state.options;
  const isLearner = !isVoter(state.membership, id);
  return new Progress(id, isLearner, next, { countMax, bytesMax });
}

/** The no-op is applied, thus everything that former leaders committed: now it may serve. */
export function checkReady<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader === undefined || leader.isReady || state.appliedIndex < leader.noopIndex) return;
  leader.isReady = true;
  state.out.events.push({ kind: "leader-ready", term: state.term });
}

/** Leaves a joint configuration, one's own or one that a former leader began (thesis §4.3). */
export function leaveJointWhenDue<H>(state: RaftState<H>): void {
  const { leader, membership } = state;
  if (leader === undefined || !leader.isReady || membership.outgoing === undefined) return;
  if (leader.changeIndex > state.appliedIndex) return;
  appendControl(state, { membership: leaveJoint(membership) });
}

/** Did a majority speak to us within the last election timeout (thesis §6.2)? */
export function hasQuorum<H>(state: RaftState<H>): boolean {
  const { leader } = state;
  if (leader === undefined || leader.ticks < state.options.electionTicks) return true;
  const isActive = (id: ReplicaId): number => {
    if (id === state.id) return 1;
    const peer = leader.find(id);
    return peer !== undefined && isRecentlyActive(state, leader, peer) ? 1 : 0;
  };
  return quorumValue(state.membership, isActive) >= 1;
}

export function isRecentlyActive<H>(
  state: RaftState<H>,
  leader: LeaderState,
  peer: Progress,
): boolean {
  return peer.heardAtTick >= 0 && leader.ticks - peer.heardAtTick <= state.options.electionTicks;
}
