// Majority arithmetic, for one set of voters and for joint configurations (thesis §4.3). Called by commit.ts,
// election.ts, read-index.ts and the leader's quorum check. Only voters are ever looked at: what a learner or a
// stranger says cannot count, whoever asks.
import type { ReplicaId } from "../model/ids.ts";
import type { Membership } from "./messages.ts";

/** Answer of one voter. A recovering voter may have forgotten entries that it acknowledged. */
export interface Ballot {
  readonly granted: boolean;
  readonly recovering: boolean;
}

export type Tally = "won" | "lost" | "pending";

/** Smallest number of `count` voters that meets every other such number. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * Largest value that a majority of the voters has reached, in both halves while the configuration is joint.
 * Infinity when there is no voter at all.
 */
export function quorumValue(membership: Membership, read: (id: ReplicaId) => number): number {
  const incoming = majorityValue(membership.voters, read);
  if (membership.outgoing === undefined) return incoming;
  return Math.min(incoming, majorityValue(membership.outgoing, read));
}

function majorityValue(voters: readonly ReplicaId[], read: (id: ReplicaId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  // Insertion sort, descending: voters are at most seven and this runs for every acknowledgement.
  const values: number[] = [];
  for (const id of voters) {
    const value = read(id);
    let at = values.length;
    while (at > 0 && (values[at - 1] ?? 0) < value) at -= 1;
    values.splice(at, 0, value);
  }
  return values[majorityOf(voters.length) - 1] ?? 0;
}

/**
 * Result of an election so far. Beyond a plain majority it wants enough voters whose memory is intact, so that the
 * winner's voters meet every commit quorum in one of them (raft.md §1.5); when all voters grant, the longest
 * surviving log has won anyway.
 */
export function tallyVotes(
  membership: Membership,
  ballotOf: (id: ReplicaId) => Ballot | undefined,
): Tally {
  const incoming = tallyOne(membership.voters, ballotOf);
  if (membership.outgoing === undefined) return incoming;
  const outgoing = tallyOne(membership.outgoing, ballotOf);
  if (incoming === "lost" || outgoing === "lost") return "lost";
  return incoming === "won" && outgoing === "won" ? "won" : "pending";
}

function tallyOne(
  voters: readonly ReplicaId[],
  ballotOf: (id: ReplicaId) => Ballot | undefined,
): Tally {
  let granted = 0;
  let sound = 0;
  let missing = 0;
  for (const id of voters) {
    const ballot = ballotOf(id);
    if (ballot === undefined) missing += 1;
    else if (ballot.granted) {
      granted += 1;
      if (!ballot.recovering) sound += 1;
    }
  }
  const majority = majorityOf(voters.length);
  const soundNeeded = voters.length - majority + 1;
  if (granted === voters.length) return "won";
  if (granted >= majority && sound >= soundNeeded) return "won";
  const majorityPossible = granted + missing >= majority;
  const soundPossible = sound + missing >= soundNeeded || granted + missing === voters.length;
  return majorityPossible && soundPossible ? "pending" : "lost";
}
