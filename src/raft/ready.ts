// The core's output. The host takes it with ready(), does the work in the order below, and reports storage
// completions back. The core itself withholds every message and every entry that depends on a completion, so the
// host never has to hold anything back: what stands in `messages` may leave at once, after `append` was written.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { Entry, Message, SnapshotMeta } from "./messages.ts";

/** What a promise to others rests on: must be durable (fsync) before hardStateDurable(seq) is called. */
export interface HardState {
  readonly term: Term;
  /** 0: nobody. */
  readonly vote: ReplicaId;
}

/** The leader needs entries that left memory: the host reads them and sends one AppendRequest (see `catchUps`). */
export interface CatchUp {
  readonly to: ReplicaId;
  readonly term: Term;
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  /** Inclusive; the host may send fewer, at most APPEND_BYTES_MAX, at least one. */
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
}

export type RaftEvent =
  | {
      readonly kind: "became-follower";
      readonly term: Term;
      readonly leaderId: ReplicaId | 0;
      readonly reason: string;
    }
  | { readonly kind: "became-candidate"; readonly term: Term; readonly pre: boolean }
  /** Elected; not serving yet. */
  | { readonly kind: "became-leader"; readonly term: Term; readonly noopIndex: LogIndex }
  /** The own-term no-op is committed and applied: may serve. */
  | { readonly kind: "leader-ready"; readonly term: Term }
  | { readonly kind: "leader-changed"; readonly term: Term; readonly leaderId: ReplicaId | 0 }
  | {
      readonly kind: "truncated";
      readonly from: LogIndex;
      readonly to: LogIndex;
      readonly term: Term;
    }
  | { readonly kind: "transfer-ended"; readonly to: ReplicaId; readonly ok: boolean }
  /** Holds again, flushed, what it may have lost: clear the mark durably, then call setRecovering(false). */
  | { readonly kind: "caught-up"; readonly term: Term };

/** A ReadIndex request is confirmed: state applied up to `index` is linearizable for it. */
export interface ReadState {
  readonly readId: number;
  readonly index: LogIndex;
}

export interface Ready<H> {
  /**
   * 1. Journal it; call hardStateDurable(hardStateSeq) when it is on disk. Entries of its term come in a later
   * Ready, after that call: they cannot become durable before their term (raft.md P2).
   */
  readonly hardState: HardState | undefined;
  readonly hardStateSeq: number;
  /** 2. Install (stage, then flip) and call snapshotInstalled(index); no `append` comes before that call. */
  readonly snapshot: SnapshotMeta | undefined;
  /** 3. Cut the log: entries ≥ truncateFrom go. Always together with or before the entries that replace them. */
  readonly truncateFrom: LogIndex | undefined;
  /** 4. Write them in order; then storageWritten(io), and storageFlushed(io) once they and all before them are on disk. */
  readonly append: readonly Entry<H>[];
  /** Grows by one for each Ready with `truncateFrom` or `append`; never reused: completions are not confused (ABA). */
  readonly io: number;
  /** 5. Send. */
  readonly messages: readonly Message<H>[];
  readonly catchUps: readonly CatchUp[];
  /** 6. Replicas that need a state image; the host answers with snapshotSent or snapshotFailed. */
  readonly snapshotsNeeded: readonly ReplicaId[];
  /** 7. Apply entries up to commitIndex in order (never beyond what was written), then call applied(index). */
  readonly commitIndex: LogIndex;
  /** Largest index that a majority is known to have flushed; ≤ commitIndex. */
  readonly durableCommitIndex: LogIndex;
  readonly reads: readonly ReadState[];
  /** Reads that will never be confirmed here (leadership lost). */
  readonly readsFailed: readonly number[];
  readonly events: readonly RaftEvent[];
  /** True when a follower was asked to flush although the group's flush is async. */
  readonly flushRequested: boolean;
}
