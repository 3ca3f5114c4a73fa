// What replicas of one group say to each other. Pure data; the host adds the group id and the wire format.
// Names follow the paper's figure 2 where it has them. Every message carries the sender's term, except that
// a pre-vote request carries the term it *would* campaign in, and a granting answer repeats that term (a refusal
// carries the voter's own term, so that a pre-candidate that is behind learns it).
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";

/** Voters and learners of a group. While `outgoing` is present the configuration is joint (both majorities count). */
export interface Membership {
  readonly voters: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  readonly outgoing?: readonly ReplicaId[];
}

/**
 * A membership entry: the configuration that takes effect when the entry is applied.
 * A joint configuration is left by a second entry that the leader proposes by itself (thesis §4.3, auto-leave).
 */
export interface MembershipChange {
  readonly membership: Membership;
}

export type EntryKind = "data" | "noop" | "membership";

/**
 * One log entry as the core sees it. `handle` is opaque (the host keeps the encoded frame there);
 * the core never reads it. `bytes` is the encoded size, for windows and limits.
 */
export interface Entry<H> {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly bytes: number;
  readonly handle: H;
  /** Present exactly when `kind` is "membership". */
  readonly change?: MembershipChange;
}

interface Envelope {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
}

export interface VoteRequest extends Envelope {
  readonly kind: "vote-request";
  /** True: pre-vote (thesis §9.6); changes nobody's term or vote. */
  readonly pre: boolean;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** The election was asked for by the old leader: leader stickiness does not apply. */
  readonly transfer: boolean;
}

export interface VoteResponse extends Envelope {
  readonly kind: "vote-response";
  readonly pre: boolean;
  readonly granted: boolean;
  /** The voter may have lost acknowledged entries (architecture §7.11): its grant counts less (quorum.ts). */
  readonly recovering: boolean;
}

export interface AppendRequest<H> extends Envelope {
  readonly kind: "append-request";
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  /** Consecutive from prevIndex + 1. Empty: a probe, or news of the commit index. */
  readonly entries: readonly Entry<H>[];
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
  /** Ask the follower to flush now, though the group's flush is async (a send asked for sync). */
  readonly flush: boolean;
}

export interface AppendResponse extends Envelope {
  readonly kind: "append-response";
  /** False: the consistency check at `rejectedPrevIndex` failed; hint fields say where to look next. */
  readonly ok: boolean;
  /** Written (page cache) and matching the leader's log up to here. 0 when !ok. */
  readonly matchIndex: LogIndex;
  /** Flushed up to here; ≤ matchIndex. */
  readonly durableIndex: LogIndex;
  readonly rejectedPrevIndex: LogIndex;
  /** The follower's best guess where the logs agree: the last index whose term is ≤ the request's prevTerm. */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
  /** Grows with each start of the replica; a new one resets what the leader believed about it. */
  readonly incarnation: number;
  readonly recovering: boolean;
  /** Entries on its disk can not be read: it should not be asked to lead (damage.ts). */
  readonly damaged: boolean;
}

/** Sent per group but bundled per node pair by the host. Never a reason to truncate. */
export interface Heartbeat extends Envelope {
  readonly kind: "heartbeat";
  /** min(match of the follower, commit): never more than the follower is known to hold. */
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
  /** Highest ReadIndex round to confirm; 0 when none is pending. */
  readonly readRound: number;
  /** The receiver's fence, meant for this incarnation of it (recovering.ts). Both 0: none. */
  readonly fenceIncarnation: number;
  readonly fenceIndex: LogIndex;
}

export interface HeartbeatResponse extends Envelope {
  readonly kind: "heartbeat-response";
  readonly readRound: number;
  readonly incarnation: number;
  /** Same as in AppendResponse: lets a lost append answer be made good. */
  readonly matchIndex: LogIndex;
  readonly durableIndex: LogIndex;
  readonly recovering: boolean;
  readonly damaged: boolean;
}

export interface TimeoutNow extends Envelope {
  readonly kind: "timeout-now";
}

/** Position of a state image: everything ≤ `index` is in the image; the log restarts at `logStartIndex` ≤ index + 1. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly membership: Membership;
  readonly logStartIndex: LogIndex;
  /** Term of entry logStartIndex − 1 (0 when logStartIndex is 1). */
  readonly logStartPrevTerm: Term;
}

/** The host delivers it when all chunks arrived and were checked; the image itself stays with the host. */
export interface InstallSnapshot extends Envelope {
  readonly kind: "install-snapshot";
  readonly snapshot: SnapshotMeta;
}

/** Tells a replica that it is no longer (or not yet) a member, so that it stops campaigning. */
export interface NotMember extends Envelope {
  readonly kind: "not-member";
}

export type Message<H> =
  | VoteRequest
  | VoteResponse
  | AppendRequest<H>
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | TimeoutNow
  | InstallSnapshot
  | NotMember;
