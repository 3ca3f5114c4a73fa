// The end of a leader that is no voter (any more). A configuration takes effect where its entry is applied, so a leader
// that left at once could leave voters behind that still wait for votes of replicas that are gone. It therefore goes
// on, without new proposals and without counting itself, until a majority of the voters know the removal committed.
import type { ReplicaId } from "../model/ids.ts";
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
    const isTold = Math.min(peer.match, state.commitIndex) >= leader.retireIndex;
    if (isTold && peer.toldRound === 0) peer.toldRound = leader.lastRound;
  }
  return leader.lastRound;
}

/** Steps down once a majority knows; the best voter is asked to take over without waiting for its timer. */
export function retireWhenKnown<H>(state: RaftState<H>): void {
  const { leader } = state;
  if (leader?.retireIndex === undefined) return;
  const knows = (id: ReplicaId): number => {
    const peer = leader.find(id);
    return peer !== undefined && peer.toldRound > 0 && peer.readRound >= peer.toldRound ? 1 : 0;
  };
  if (quorumValue(state.membership, knows) < 1) return;
  const heir = leader.peers.find(
    (peer) => !peer.isLearner && peer.match === state.log.lastIndex && knows(peer.replicaId) === 1,
  );
  if (heir !== undefined) {
    const { id: from, term } = state;
    state.out.messages.push({ kind: "timeout-now", from, to: heir.replicaId, term });
  }
  becomeFollower(state, state.term, 0, "no longer a voter");
}
