// How entries enter the leader's log: client data, the no-op of a new term, membership changes.
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../model/positions.ts";
import type { MembershipChange } from "./messages.ts";
import type { RaftState } from "./state.ts";
import type { ProposalRefusal } from "./status.ts";

/**
 * All or none. `uncommittedBytesMax` bounds what a leader without a majority piles up; one proposal always fits.
 * @param reserveBytes by which these may exceed it
 */
export function propose<H>(
  state: RaftState<H>,
  drafts: readonly { readonly handle: H; readonly bytes: number }[],
  reserveBytes: number,
): ProposalRefusal | undefined {
  const leader = state.leader;
  if (leader === undefined) return "not-leader";
  if (state.transfer !== undefined || leader.retireIndex !== undefined) return "transferring";
  let bytes = 0;
  for (const draft of drafts) bytes += draft.bytes;
  const isFull = leader.uncommittedBytes + bytes > state.options.uncommittedBytesMax + reserveBytes;
  if (isFull && leader.uncommittedBytes > 0) return "uncommitted-limit";
  for (const draft of drafts) {
    const index = state.log.lastIndex + 1;
    const { handle } = draft;
    state.appendToLog({ index, term: state.term, kind: "data", bytes: draft.bytes, handle });
  }
  leader.uncommittedBytes += bytes;
  leader.isSendDue = true;
  return undefined;
}

/** Appends an entry of the core's own, whatever the limits: the group could not go on without it. */
export function appendControl<H>(state: RaftState<H>, change?: MembershipChange): LogIndex {
  const leader = state.leader;
  assert(leader !== undefined, "only a leader appends");
  const { log, term } = state;
  const index = log.lastIndex + 1;
  const previous = log.tail.at(log.lastIndex);
  const control =
    change === undefined ? ({ kind: "noop" } as const) : ({ kind: "membership", change } as const);
  const { handle, bytes } = state.options.encodeControl(control, index, term, previous);
  state.appendToLog({ ...control, index, term, bytes, handle });
  if (change !== undefined) {
    leader.changeIndex = index;
    // It waits for the disks of a majority, whatever the rule (commit.ts).
    if (state.commitRule === "appended") {
      leader.flushIndex = index;
      state.out.flushRequested = true;
    }
  }
  leader.uncommittedBytes += bytes;
  leader.isSendDue = true;
  return index;
}
