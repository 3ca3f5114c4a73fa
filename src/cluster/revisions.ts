// Revisions: what an entry of the metadata gives to everything that it places, registers or changes – its index in the log,
// and after a recovery of the metadata from one survivor (`unsafe-recover metadata`) a number far beyond. The entries that
// the survivor lacked have given revisions too, and none may be given twice. Pure.
import { type ReplicaId, revisionOfReplica } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";

/** More than any survivor lacks. 2^41 revisions fit into a replica id (ADR-0004): enough for two thousand recoveries. */
const REVISIONS_SKIPPED = 1_000_000_000;

/** The entry that would have given revision `from` gave `to`. What was given in between, nobody can know. */
export interface RevisionSkip {
  readonly from: LogIndex;
  readonly to: LogIndex;
}

/** The revision that the entry gives. */
export function revisionOfEntry(index: LogIndex, skips: readonly RevisionSkip[] = []): LogIndex {
  return skips.reduce((revision, { from, to }) => revision + to - from, index);
}

/** Given, if at all, by an entry that was lost. */
export function isSkipped(revision: LogIndex, skips: readonly RevisionSkip[]): boolean {
  return skips.some(({ from, to }) => revision >= from && revision < to);
}

/**
 * The revision with which the metadata goes on from a survivor whose log ends at `lastIndex`. All that was skipped before is
 * below the former replica's own revision: every recovery gives each node a new metadata replica.
 */
export function recoveredRevision(lastIndex: LogIndex, former: ReplicaId): LogIndex {
  return lastIndex + 1 + revisionOfReplica(former) + REVISIONS_SKIPPED;
}
