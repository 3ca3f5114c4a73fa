// Handing leadership over (thesis §3.10): stop accepting proposals, let the target catch up, tell it to campaign at
// once; give up after one election timeout and go on leading.
import type { ReplicaId } from "../model/ids.ts";
import { isHeldBack } from "./damage.ts";
import { isPromotable, startElection } from "./election.ts";
import type { TimeoutNow } from "./messages.ts";
import type { RaftState } from "./state.ts";
import type { ProposalRefusal } from "./status.ts";

/** To itself: nothing to do, reported as done. To a learner, a stranger or a recovering replica: "unknown-target". */
export function transferLeadership<H>(
  state: RaftState<H>,
  to: ReplicaId,
): ProposalRefusal | "unknown-target" | undefined {
  const { leader } = state;
  if (leader === undefined) return "not-leader";
  if (state.transfer !== undefined) return "transferring";
  if (to === state.id) {
    state.out.events.push({ kind: "transfer-ended", to, ok: true });
    return undefined;
  }
  const peer = leader.find(to);
  const isVoter = state.membership.voters.includes(to);
  if (peer === undefined || peer.isLearner || peer.recovering || !isVoter) return "unknown-target";
  state.transfer = { to, elapsed: 0, isSent: false };
  leader.isSendDue = true;
  sendTimeoutNowWhenReady(state);
  return undefined;
}

/** Once the target holds our whole log it can win. */
export function sendTimeoutNowWhenReady<H>(state: RaftState<H>): void {
  const { leader, transfer } = state;
  if (leader === undefined || transfer === undefined || transfer.isSent) return;
  const target = leader.find(transfer.to);
  if (target?.recovering === true) {
    // It lost its page cache after the transfer began.
    state.endTransfer(0);
    return;
  }
  if (target?.match !== state.log.lastIndex) return;
  transfer.isSent = true;
  const { to } = transfer;
  state.out.messages.push({ kind: "timeout-now", from: state.id, to, term: state.term });
}

/** One tick of a transfer under way, on the old leader, whether it still leads or not. */
export function tickTransfer<H>(state: RaftState<H>): void {
  if (state.transfer === undefined) return;
  state.transfer.elapsed += 1;
  if (state.transfer.elapsed >= state.options.electionTicks) state.endTransfer(0);
}

/** The leader asks us to take over: no pre-vote, and our requests tell that the leader wants it. Not while we recover or are damaged. */
export function handleTimeoutNow<H>(state: RaftState<H>, message: TimeoutNow): void {
  if (state.role !== "follower" || state.leaderId !== message.from || state.recovering) return;
  if (isHeldBack(state) || !isPromotable(state)) return;
  startElection(state, true);
}
