// Linearizable reads without a log entry (thesis §6.4): the leader notes its commit index, proves by one round of
// heartbeats that it still leads, and hands the index out. Rounds are numbered here, never by the caller: a retried
// read cannot be confirmed by an answer to an earlier try. The queue of open reads is bounded by the host.
import { quorumValue } from "./quorum.ts";
import { openFences } from "./recovering.ts";
import type { RaftState } from "./state.ts";

export function readIndex<H>(state: RaftState<H>, readId: number): void {
  if (state.leader === undefined) state.out.readsFailed.push(readId);
  else state.leader.openReads.push(readId);
}

/** Gives all open reads and fences one new round, once the own-term no-op is committed. Called when output is collected. */
export function openReadRound<H>(state: RaftState<H>): void {
  const leader = state.leader;
  if (leader === undefined || (leader.openReads.length === 0 && !leader.isFenceDue)) return;
  // Before that, entries acknowledged by former leaders may be above our commit index.
  if (state.commitIndex < leader.noopIndex) return;
  leader.lastRound += 1;
  const index = state.commitIndex;
  leader.rounds.push({ round: leader.lastRound, index, readIds: leader.openReads });
  leader.openReads = [];
  openFences(leader, leader.lastRound, index);
  leader.isHeartbeatDue = true;
  confirmReads(state);
}

/** Hands out the reads whose round a majority answered. */
export function confirmReads<H>(state: RaftState<H>): void {
  const leader = state.leader;
  if (leader === undefined || leader.rounds.length === 0) return;
  const confirmed = quorumValue(state.membership, (id) =>
    id === state.id ? leader.lastRound : (leader.find(id)?.readRound ?? 0),
  );
  leader.confirmedRound = Math.min(confirmed, leader.lastRound);
  while ((leader.rounds[0]?.round ?? Number.POSITIVE_INFINITY) <= confirmed) {
    const round = leader.rounds.shift();
    for (const readId of round?.readIds ?? []) {
      state.out.reads.push({ readId, index: round?.index ?? 0 });
    }
  }
}

/** The round that heartbeats ask to confirm; 0 when no read waits. */
export function pendingRound<H>(state: RaftState<H>): number {
  return state.leader?.rounds.at(-1)?.round ?? 0;
}

/** Leadership is lost: none of the waiting reads will be confirmed here. */
export function failReads<H>(state: RaftState<H>): void {
  const leader = state.leader;
  if (leader === undefined) return;
  for (const round of leader.rounds) {
    for (const readId of round.readIds) state.out.readsFailed.push(readId);
  }
  for (const readId of leader.openReads) state.out.readsFailed.push(readId);
  leader.rounds = [];
  leader.openReads = [];
}
