// What a core tells about itself (for logs, metrics and the admin API) and why it refuses proposals.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex, Term } from "../model/positions.ts";
import type { Membership } from "./messages.ts";
import type { ProgressState } from "./progress.ts";

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

export interface RaftStatus {
  readonly role: Role;
  readonly term: Term;
  /** 0: unknown. */
  readonly leaderId: ReplicaId | 0;
  readonly isLeaderReady: boolean;
  readonly commitIndex: LogIndex;
  readonly durableCommitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Own log written / flushed up to here. */
  readonly writtenIndex: LogIndex;
  readonly flushedIndex: LogIndex;
  readonly membership: Membership;
  /** This replica may have lost what it acknowledged: its votes count less (recovering.ts). */
  readonly recovering: boolean;
  /** Damaged entries keep it from applying what it holds, and from leading (damage.ts). */
  readonly isBlocked: boolean;
  /** A state image was accepted that is to replace the log, and is not installed yet. */
  readonly isInstalling: boolean;
  /** Others that said so of themselves when they answered last, ascending. */
  readonly recoveringPeers: readonly ReplicaId[];
  /** Leader only: the others as the leader sees them. */
  readonly progress: readonly ReplicaProgress[];
  readonly transferringTo: ReplicaId | 0;
}

export interface ReplicaProgress {
  readonly replicaId: ReplicaId;
  readonly state: ProgressState;
  readonly matchIndex: LogIndex;
  readonly durableIndex: LogIndex;
  readonly nextIndex: LogIndex;
  /** Heard of within one election timeout. */
  readonly isRecentlyActive: boolean;
  readonly isLearner: boolean;
  readonly recovering: boolean;
  readonly damaged: boolean;
}

export type ProposalRefusal =
  | "not-leader"
  | "transferring"
  | "uncommitted-limit"
  | "change-in-progress"
  | "not-ready";
