// Membership changes on a running core (thesis §4). A configuration takes effect when its entry is applied; at most
// one is under way. Called by the facade (proposals, applied entries).
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../model/positions.ts";
import { advanceCommit } from "./commit.ts";
import type { LeaderState } from "./leader-state.ts";
import { checkReady, leaveJointWhenDue, newProgress } from "./leadership.ts";
import { firstStep, isVoter, peersOf, sorted } from "./membership.ts";
import type { Membership } from "./messages.ts";
import { appendControl } from "./propose.ts";
import { confirmReads } from "./read-index.ts";
import { replicate } from "./replication.ts";
import { startRetirement } from "./retirement.ts";
import type { RaftState } from "./state.ts";
import type { ProposalRefusal } from "./status.ts";
import { releaseTail } from "./tail-release.ts";

/** Starts the way to `target`: one entry when at most one voter differs, else through a joint configuration. */
export function proposeMembership<H>(
  state: RaftState<H>,
  target: Membership,
): ProposalRefusal | undefined {
  const { leader, membership } = state;
  if (leader === undefined) return "not-leader";
  if (state.transfer !== undefined || leader.retireIndex !== undefined) return "transferring";
  // Before the own no-op is committed, a change of a former leader could still be undecided (Ongaro 2015).
  if (!leader.isReady) return "not-ready";
  const isUnderWay = leader.changeIndex > state.appliedIndex || membership.outgoing !== undefined;
  if (isUnderWay) return "change-in-progress";
  appendControl(state, { membership: firstStep(membership, target, state.options.changes) });
  return undefined;
}

/** Everything ≤ index was applied; `membership` is the newest configuration among it. */
export function applied<H>(state: RaftState<H>, index: LogIndex, membership?: Membership): void {
  assert(index >= state.appliedIndex && index <= state.commitIndex, "applied ≤ committed", {
    index,
    appliedIndex: state.appliedIndex,
    commitIndex: state.commitIndex,
  });
  state.appliedIndex = index;
  let passed = 0;
  while ((state.changeIndexes[passed] ?? Number.POSITIVE_INFINITY) <= index) passed += 1;
  if (passed > 0) state.changeIndexes.splice(0, passed);
  if (membership !== undefined) enter(state, sorted(membership));
  checkReady(state);
  leaveJointWhenDue(state);
  releaseTail(state);
}

function enter<H>(state: RaftState<H>, membership: Membership): void {
  const { leader } = state;
  if (leader === undefined) {
    state.membership = membership;
    return;
  }
  // Replicas that are now dropped get a last chance to learn it: nobody sends to them any more.
  leader.isNewsDue = true;
  replicate(state);
  state.membership = membership;
  rebuildProgress(state, leader);
  if (!state.isSelfVoter) startRetirement(state);
  const { transfer } = state;
  if (transfer !== undefined && !membership.voters.includes(transfer.to)) state.endTransfer(0);
  leader.isSendDue = true;
  advanceCommit(state);
  confirmReads(state);
}

function rebuildProgress<H>(state: RaftState<H>, leader: LeaderState): void {
  leader.peers = peersOf(state.membership, state.id).map((id) => {
    const known = leader.find(id);
    if (known === undefined) {
      const fresh = newProgress(state, id, state.log.lastIndex + 1);
      fresh.heardAtTick = leader.ticks;
      return fresh;
    }
    known.isLearner = !isVoter(state.membership, id);
    return known;
  });
}
