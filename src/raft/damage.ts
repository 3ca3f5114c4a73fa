// A replica some of whose entries can not be read from its disk. It knows which entries it holds (index and term), so its
// votes and acknowledgements are as good as ever; but it can not give everything to others, so it leaves leading to those
// that can: it takes no leadership over and campaigns only when nobody else has done so for long. Not never: its log may be
// the one that the others need, or all may be damaged. Only while it can not apply what it holds it does not stand at all. Called by the facade, tick.ts, transfer.ts and tests.
import type { LogIndex } from "../model/positions.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** It waits so many times its election timeout, which is drawn, before it campaigns. */
const PATIENCE_TIMEOUTS = 4;

/** What the host knows about entries that it can not read, or could not. */
export interface Damage {
  /** Newest of them; 0: none. */
  readonly lastIndex: LogIndex;
  /** Membership entries above the applied index that can be read (again), ascending. */
  readonly changes: readonly LogIndex[];
}

/** The host learnt of damage, or repaired it. A leader hands over: that is the host's to ask for, by a transfer. */
export function setDamaged<H>(state: RaftState<H>, damaged: boolean, damage?: Damage): void {
  state.damagedIndex = damaged ? (damage?.lastIndex ?? 0) : 0;
  if (damage !== undefined) learnChanges(state, damage.changes);
  if (state.damaged === damaged) return;
  state.damaged = damaged;
  const { role } = state;
  if (!isHeldBack(state) || (role !== "pre-candidate" && role !== "candidate")) return;
  becomeFollower(state, state.term, 0, "damaged entries");
}

/**
 * A repaired entry, or one behind a gap, turned out to change the membership. What is in memory was seen as it came; below it
 * the log on disk is ours.
 */
function learnChanges<H>(state: RaftState<H>, changes: readonly LogIndex[]): void {
  const { appliedIndex, changeIndexes, leader, log } = state;
  const isNews = (index: LogIndex): boolean =>
    index > appliedIndex && index < log.tail.first && !changeIndexes.includes(index);
  const news = changes.filter(isNews);
  if (news.length === 0) return;
  state.changeIndexes = [...changeIndexes, ...news].sort((a, b) => a - b);
  // As at the start: a change in the log means that the one before it is committed.
  state.commitTo(state.changeIndexes.at(-2) ?? 0);
  if (leader !== undefined) {
    leader.changeIndex = Math.max(leader.changeIndex, state.changeIndexes.at(-1) ?? 0);
  }
}

/**
 * It can not apply what it holds: it would lead without ever being ready, and one of the entries may be a configuration
 * in force that it does not know.
 */
export function isBlocked<H>(state: RaftState<H>): boolean {
  return state.damagedIndex > state.appliedIndex;
}

/** There may be others who can give everything. */
export function isHeldBack<H>(state: RaftState<H>): boolean {
  const { outgoing, voters } = state.membership;
  return state.damaged && [...voters, ...(outgoing ?? [])].some((voter) => voter !== state.id);
}

/** Ticks that a damaged replica waits longer than others before it campaigns. */
export function damagePatienceOf<H>(state: RaftState<H>): number {
  return isHeldBack(state) ? (PATIENCE_TIMEOUTS - 1) * state.electionTimeout : 0;
}
