// A replica some of whose entries can not be read from its disk. It knows which entries it holds (index and term), so its
// votes and acknowledgements are as good as ever; but it can not give everything to others, so it leaves leading to those
// that can: it takes no leadership over and campaigns only when nobody else has done so for long. Not never: its log may be
// the one that the others need, or all may be damaged. Called by the facade, tick.ts, transfer.ts and tests.
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** It waits so many times its election timeout, which is drawn, before it campaigns. */
const PATIENCE_TIMEOUTS = 4;

/** The host learnt of damage, or repaired it. A leader hands over: that is the host's to ask for, by a transfer. */
export function setDamaged<H>(state: RaftState<H>, damaged: boolean): void {
  if (state.damaged === damaged) return;
  state.damaged = damaged;
  const { role } = state;
  if (!isHeldBack(state) || (role !== "pre-candidate" && role !== "candidate")) return;
  becomeFollower(state, state.term, 0, "damaged entries");
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
