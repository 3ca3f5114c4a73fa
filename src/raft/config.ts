// Settings and starting state of one group's core.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { Entry, EntryKind, Membership, MembershipChange } from "./messages.ts";

export interface RaftOptions<H> {
  readonly replicaId: ReplicaId;
  /** Grows with each start of this replica (journalled by the host). */
  readonly incarnation: number;
  /** "durable": an entry is committed when a majority flushed it; "appended": when a majority wrote it. */
  readonly commitRule: "durable" | "appended";
  /**
   * When followers learn of a higher commit index that no entries are about to carry: "at-once", or "by-tick" with the
   * leader's next tick. Only what followers apply waits for it; later saves a message per follower and commit.
   */
  readonly commitNews: "at-once" | "by-tick";
  /**
   * How voters change: "shortest" takes one entry when at most one voter comes or goes; "joint" always goes through a joint
   * configuration. A group that may ever acknowledge what is not flushed needs "joint": with recovering voters, elections
   * under neighbouring configurations meet its commits only inside a half that both have (ADR 0012).
   */
  readonly changes: "shortest" | "joint";
  /** Ticks without a leader before a pre-vote; the timeout is drawn from [electionTicks, electionTicks * 1.5]. */
  readonly electionTicks: number;
  /** Ticks between heartbeats; < electionTicks / 2. */
  readonly heartbeatTicks: number;
  /** Uniform in [0, 1); injected, so that equal seeds give equal runs. */
  readonly random: () => number;
  /**
   * Makes the handle of an entry that the core itself appends (no-op, leaving a joint configuration).
   * Synchronous and pure. `previous` is the log's last entry when it is still in memory.
   */
  readonly encodeControl: (
    control: { readonly kind: Exclude<EntryKind, "data">; readonly change?: MembershipChange },
    index: LogIndex,
    term: Term,
    previous: Entry<H> | undefined,
  ) => { readonly handle: H; readonly bytes: number };
  readonly appendBytesMax: number;
  readonly appendInflightMax: number;
  readonly appendInflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  /** Written and applied entries kept in memory for peers that have not confirmed them yet. */
  readonly tailBytesMax: number;
  /** Of these, kept although every peer that keeps up has confirmed them; ≤ tailBytesMax. */
  readonly tailBytesKept: number;
  /** This replica may have lost acknowledged entries; reported with its answers. */
  readonly recovering: boolean;
}

/**
 * What the host recovered from disk before the core starts. The recovered log counts as flushed: the host syncs it
 * first (after a mere process crash its end may still be in the page cache only).
 */
export interface InitialState {
  readonly term: Term;
  readonly vote: ReplicaId | 0;
  readonly membership: Membership;
  /** Applied index of the state machine; commit starts here. 0 for a new group. */
  readonly appliedIndex: LogIndex;
  /** First index still in the log (lastIndex + 1 when it is empty). */
  readonly firstIndex: LogIndex;
  /** Term of entry firstIndex − 1; 0 when firstIndex is 1. */
  readonly firstPrevTerm: Term;
  /** Runs of equal term over [firstIndex, lastIndex], ascending: each begins at `from`. */
  readonly termRuns: readonly { readonly term: Term; readonly from: LogIndex }[];
  readonly lastIndex: LogIndex;
  /** Term of entry appliedIndex, when known: tells apart logs while lastIndex < appliedIndex (a fresh image). */
  readonly appliedTerm?: Term;
  /** Noted in an earlier run as committed and durable; the log may end before it. Default: nothing beyond what is applied. */
  readonly committedIndex?: LogIndex;
  /** The group has acknowledged unflushed entries: what was applied is not known to be on a majority of disks. */
  readonly isLazy?: boolean;
  /** Membership entries in (appliedIndex, lastIndex], which are in the log but not applied. */
  readonly unappliedChanges: readonly LogIndex[];
}
