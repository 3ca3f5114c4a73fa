// Stepping down, by whatever cause. Called by step.ts, election.ts, tick.ts and membership-change.ts.
import type { ReplicaId } from "../model/ids.ts";
import type { Term } from "../model/positions.ts";
import { failReads } from "./read-index.ts";
import type { RaftState } from "./state.ts";

/**
 * Follows `leaderId` (0: unknown) in `term` (≥ the current one). The vote is reset only when the term grows. The
 * election timer starts again when there is a leader or when we were one; a mere candidate's higher term does not
 * restart it (raft.md §1.11). Agreement belongs to a term and ends in `beginTerm`: who only asked whether it might campaign
 * still agrees with the leader of this term, who would not send it again what it holds.
 */
export function becomeFollower<H>(
  state: RaftState<H>,
  term: Term,
  leaderId: ReplicaId | 0,
  reason: string,
): void {
  const wasLeader = state.role === "leader";
  const isChange = state.role !== "follower" || term > state.term;
  if (term > state.term) state.beginTerm(term, 0);
  if (state.leader !== undefined) {
    failReads(state);
    state.leader = undefined;
  }
  state.campaign = undefined;
  if (isChange) {
    state.role = "follower";
    state.out.events.push({ kind: "became-follower", term, leaderId, reason });
  }
  state.setLeader(leaderId);
  if (wasLeader || leaderId !== 0) state.resetElectionTimer();
}
