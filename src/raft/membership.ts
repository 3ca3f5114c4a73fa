// Algebra of memberships: who is who, and by which entries one configuration becomes another (thesis §4). Pure
// functions on values; the effects on a running core are in membership-change.ts.
import { assert } from "../base/assert.ts";
import type { ReplicaId } from "../model/ids.ts";
import type { Membership } from "./messages.ts";

/** Votes and acknowledgements of this replica count (in either half while joint). */
export function isVoter(membership: Membership, id: ReplicaId): boolean {
  return membership.voters.includes(id) || (membership.outgoing?.includes(id) ?? false);
}

export function isMember(membership: Membership, id: ReplicaId): boolean {
  return isVoter(membership, id) || membership.learners.includes(id);
}

/** Everybody but `self`, each once, ascending: the fixed order keeps runs repeatable. */
export function peersOf(membership: Membership, self: ReplicaId): ReplicaId[] {
  const all = new Set([
    ...membership.voters,
    ...(membership.outgoing ?? []),
    ...membership.learners,
  ]);
  all.delete(self);
  return [...all].sort((a, b) => a - b);
}

/** Voters of both halves but `self`, each once, ascending. */
export function votersBut(membership: Membership, self: ReplicaId): ReplicaId[] {
  return peersOf(membership, self).filter((id) => isVoter(membership, id));
}

/** Same members, each list ascending. */
export function sorted(membership: Membership): Membership {
  const ascending = (ids: readonly ReplicaId[]): ReplicaId[] => [...ids].sort((a, b) => a - b);
  const { voters, learners, outgoing } = membership;
  const base = { voters: ascending(voters), learners: ascending(learners) };
  return outgoing === undefined ? base : { ...base, outgoing: ascending(outgoing) };
}

/**
 * The first entry on the way from `current` (not joint) to `target`: `target` itself when at most one voter comes or
 * goes, since majorities of the two then always meet (`changes` "joint": when none does); else the joint configuration of
 * both, which the leader leaves by {@link leaveJoint}. A voter that becomes a learner stands in `outgoing` and in `learners` meanwhile: it
 * still votes in the outgoing half.
 */
export function firstStep(
  current: Membership,
  target: Membership,
  changes: "shortest" | "joint",
): Membership {
  assert(current.outgoing === undefined, "a joint configuration is left first");
  checkTarget(target);
  const goal = sorted(target);
  const added = goal.voters.filter((id) => !current.voters.includes(id)).length;
  const removed = current.voters.filter((id) => !goal.voters.includes(id)).length;
  if (added + removed <= (changes === "shortest" ? 1 : 0)) return goal;
  return { ...goal, outgoing: sorted(current).voters };
}

/** The configuration that follows a joint one. */
export function leaveJoint(joint: Membership): Membership {
  assert(joint.outgoing !== undefined, "only a joint configuration can be left");
  return { voters: joint.voters, learners: joint.learners };
}

function checkTarget(target: Membership): void {
  assert(target.outgoing === undefined, "a target is not joint");
  assert(target.voters.length > 0, "a group has a voter");
  const ids = [...target.voters, ...target.learners];
  assert(new Set(ids).size === ids.length, "a replica has one part", { ids });
}
