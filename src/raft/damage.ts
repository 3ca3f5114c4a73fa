// A replica some of whose entries can not be read from its disk. It knows which entries it holds (index and term), so its
// votes and acknowledgements are as good as ever; but it can not give everything to others and must not lead until it is
// repaired. A group with no other voter has no choice. Called by the facade, election.ts and tests.
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** The host learnt of damage, or repaired it. A leader hands over: that is the host's to ask for, by a transfer. */
export function setDamaged<H>(state: RaftState<H>, damaged: boolean): void {
  state.damaged = damaged;
  const { role } = state;
  if (!isHeldBack(state) || (role !== "pre-candidate" && role !== "candidate")) return;
  becomeFollower(state, state.term, 0, "damaged entries");
}

/** It must not stand for election, nor take a leadership over. */
export function isHeldBack<H>(state: RaftState<H>): boolean {
  const { outgoing, voters } = state.membership;
  return state.damaged && [...voters, ...(outgoing ?? [])].some((voter) => voter !== state.id);
}
