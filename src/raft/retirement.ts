// The end of a leader that is no voter (any more). A configuration takes effect where its entry is applied, so a leader
// that left at once could leave voters behind that still wait for votes of replicas that are gone. It therefore goes
// on, without new proposals and without counting itself, until a majority of the voters know the removal committed.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { Progress } from "./progress.ts";
import { quorumValue } from "./quorum.ts";
import { pendingRound } from "./read-index.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** Begins when the leader finds that it is no voter: at the election of a caretaker, or when its removal is applied. */
export function startRetirement<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader === undefined || leader.retireIndex !== undefined) return;
  leader.retireIndex = Math.max(leader.noopIndex, state.appliedIndex);
  leader.isHeartbeatDue = true;
}

/** Called before heartbeats go out; returns their round. Each gets its own, to tell what an answer has seen. */
export function roundOfHeartbeats<H>(state: RaftState<H>): number {
  const { leader } = state;
  if (leader?.retireIndex === undefined) return pendingRound(state);
  leader.lastRound += 1;
  for (const peer of leader.peers) {
    if (canBeTold(state, leader.retireIndex, peer)) peer.toldRound = leader.lastRound;
  }
  return leader.lastRound;
}

/** Its next heartbeat may carry the commit index that matters, for the first time. */
function canBeTold<H>(state: RaftState<H>, retireIndex: LogIndex, peer: Progress): boolean {
  return peer.toldRound === 0 && Math.min(peer.match, state.commitIndex) >= retireIndex;
}

/** Called after each answer. Steps down once a majority knows; the best voter is asked to take over at once. */
export function retireWhenKnown<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader?.retireIndex === undefined) return;
  for (const peer of leader.peers) {
    if (canBeTold(state, leader.retireIndex, peer)) leader.isHeartbeatDue = true;
  }
  const knows = (id: ReplicaId): number => {
    const peer = leader.find(id);
    return peer !== undefined && peer.toldRound > 0 && peer.readRound >= peer.toldRound ? 1 : 0;
  };
  if (quorumValue(state.membership, knows) < 1) return;
  const heir = leader.peers.find(
    (peer) => peer.isFitToLead && peer.match === state.log.lastIndex && knows(peer.replicaId) === 1,
  );
  if (heir !== undefined) {
    const { id: from, term } = state;
    state.out.messages.push({ kind: "timeout-now", from, to: heir.replicaId, term });
  }
  becomeFollower(state, state.term, 0, "no longer a voter");
}
