// When an entry is committed (paper §5.3, §5.4.2). Called when anything that a leader counts has moved.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { LeaderState } from "./leader-state.ts";
import { quorumValue } from "./quorum.ts";
import type { RaftState } from "./state.ts";

/**
 * Raises the leader's commit indexes to what a majority holds, by the group's rule. Only entries of the own term are
 * counted (paper fig. 8); all before them are committed with them. The same holds for the durable index: an older
 * entry on a majority of disks could still be overwritten.
 */
export function advanceCommit<H>(state: RaftState<H>): void {
  const leader = state.leader;
  if (leader === undefined) return;
  const { log } = state;
  const durable = quorumValue(state.membership, (id) => flushedBy(state, leader, id));
  const ruled =
    state.commitRule === "durable"
      ? durable
      : Math.min(
          quorumValue(state.membership, (id) => writtenBy(state, leader, id)),
          unflushedChange(state, durable) - 1,
        );
  if (ruled > state.commitIndex && log.termAt(ruled) === state.term) {
    const before = state.commitIndex;
    state.commitTo(ruled);
    leader.uncommittedBytes -= bytesBetween(state, Math.max(before + 1, leader.noopIndex), ruled);
    leader.isSendDue = true;
  }
  if (durable > state.durableCommitIndex && log.termAt(durable) === state.term) {
    state.raiseDurableCommit(durable);
  }
}

/**
 * First undecided membership entry that is not on a majority of disks. Whatever the rule, such an entry is committed only when
 * it is: a page cache that is lost must never bring a former configuration back (ADR 0012).
 */
function unflushedChange<H>({ changeIndexes, commitIndex }: RaftState<H>, durable: number): number {
  const decided = Math.max(durable, commitIndex);
  return changeIndexes.find((index) => index > decided) ?? Number.POSITIVE_INFINITY;
}

function writtenBy<H>(state: RaftState<H>, leader: LeaderState, id: ReplicaId): LogIndex {
  return id === state.id ? state.log.storage.writtenIndex : (leader.find(id)?.match ?? 0);
}

function flushedBy<H>(state: RaftState<H>, leader: LeaderState, id: ReplicaId): LogIndex {
  return id === state.id ? state.log.storage.flushedIndex : (leader.find(id)?.durable ?? 0);
}

/** Entries of [from, to] are not applied yet, so they are in memory. */
function bytesBetween<H>(state: RaftState<H>, from: LogIndex, to: LogIndex): number {
  let bytes = 0;
  for (let index = from; index <= to; index += 1) bytes += state.log.tail.at(index)?.bytes ?? 0;
  return bytes;
}
