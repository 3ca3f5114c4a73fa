// The replicated commands that change who holds what: moves of replicas, nodes that leave for good, voters of the
// metadata group. Their rules are in member-state.ts; metadata-commands.ts joins them with all other commands.
import type { GroupId, NodeId, ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import {
  type Fields,
  groupId,
  integer,
  malformed,
  nodeId,
  nodeIdOrNone,
  truth,
} from "./command-fields.ts";

/** Sizes that the metadata group's set of voters can be given (architecture §7.10). */
export const METADATA_VOTER_COUNTS: readonly number[] = [3, 5];

/** Gives one partition a new replica on `to`. */
export interface MoveReplica {
  readonly type: "move-replica";
  readonly groupId: GroupId;
  /** In place of the one here; 0: in addition, while there are fewer than the topic wants. */
  readonly from: NodeId | 0;
  readonly to: NodeId;
}

/** Turns a move that is under way round: what was wanted before is wanted again. */
export interface CancelMove {
  readonly type: "cancel-move";
  readonly groupId: GroupId;
}

/** The group itself follows the placement, and could prove it after a loss of power: what it let go of may be removed. */
export interface FinishMove {
  readonly type: "finish-move";
  readonly groupId: GroupId;
  /** The change that is meant; another one by the time of apply is left alone. */
  readonly changeIndex: LogIndex;
}

/** The node shall leave for good: its replicas are placed elsewhere, and it gets no new ones. */
export interface DecommissionNode {
  readonly type: "decommission-node";
  readonly nodeId: NodeId;
  /** Gets its replicas wherever it holds none of the partition yet; 0: any nodes. */
  readonly successor: NodeId | 0;
  /** Only when it is out of service: guards against a mistyped id of a node that works. */
  readonly mustBeFenced: boolean;
}

/** The node stays: moves away from it that are under way are turned round, finished ones are not. */
export interface CancelDecommission {
  readonly type: "cancel-decommission";
  readonly nodeId: NodeId;
}

/**
 * A decommissioning whose node still has wanted replicas that nobody moves: a forced recovery made a replica on it the whole
 * group. They are placed elsewhere, as far as there are nodes for them.
 */
export interface ContinueDecommission {
  readonly type: "continue-decommission";
  readonly nodeId: NodeId;
  /** The decommissioning that is meant; cancelled or begun anew meanwhile: nothing happens. */
  readonly decommissionIndex: LogIndex;
}

/** The end of a decommissioning: the node holds nothing any more, and its directory can never register again. */
export interface UnregisterNode {
  readonly type: "unregister-node";
  readonly nodeId: NodeId;
  /** The decommissioning that is meant; cancelled or begun anew meanwhile: nothing happens. */
  readonly decommissionIndex: LogIndex;
}

/** How many nodes vote in the metadata group, as soon as there are so many. */
export interface SetMetadataVoters {
  readonly type: "set-metadata-voters";
  readonly count: number;
}

/**
 * The partition lost its majority for good: one surviving replica becomes the whole group, under a new id. What only the
 * lost replicas had is lost. The survivor's node has made sure that no quorum answers.
 */
export interface RecoverGroup {
  readonly type: "recover-group";
  readonly groupId: GroupId;
  readonly nodeId: NodeId;
  /** The survivor, by its present id: a repeated or late proposal finds another one. */
  readonly replicaId: ReplicaId;
}

/**
 * Committed by decree when the metadata group itself goes on from one survivor: every metadata replica gets a new
 * revision, so that no former one is wanted again.
 */
export interface RecoverMetadata {
  readonly type: "recover-metadata";
  readonly nodeId: NodeId;
  /** That of this entry: all later ones give greater ones, and those between it and the one before are left out. */
  readonly revision: LogIndex;
}

export type MemberCommand =
  | MoveReplica
  | CancelMove
  | FinishMove
  | DecommissionNode
  | CancelDecommission
  | ContinueDecommission
  | UnregisterNode
  | SetMetadataVoters
  | RecoverGroup
  | RecoverMetadata;

export const MEMBER_DECODERS: {
  readonly [Type in MemberCommand["type"]]: (
    fields: Fields,
  ) => Extract<MemberCommand, { readonly type: Type }>;
} = {
  "move-replica": (fields) => ({
    type: "move-replica",
    groupId: groupId(fields),
    from: nodeIdOrNone(fields, "from"),
    to: nodeId(fields, "to"),
  }),
  "cancel-move": (fields) => ({ type: "cancel-move", groupId: groupId(fields) }),
  "finish-move": (fields) => ({
    type: "finish-move",
    groupId: groupId(fields),
    changeIndex: integer(fields, "changeIndex", 1, Number.MAX_SAFE_INTEGER),
  }),
  "decommission-node": (fields) => ({
    type: "decommission-node",
    nodeId: nodeId(fields),
    successor: nodeIdOrNone(fields, "successor"),
    mustBeFenced: truth(fields, "mustBeFenced"),
  }),
  "cancel-decommission": (fields) => ({ type: "cancel-decommission", nodeId: nodeId(fields) }),
  "continue-decommission": (fields) => ({
    type: "continue-decommission",
    nodeId: nodeId(fields),
    decommissionIndex: integer(fields, "decommissionIndex", 1, Number.MAX_SAFE_INTEGER),
  }),
  "unregister-node": (fields) => ({
    type: "unregister-node",
    nodeId: nodeId(fields),
    decommissionIndex: integer(fields, "decommissionIndex", 1, Number.MAX_SAFE_INTEGER),
  }),
  "set-metadata-voters": (fields) => ({
    type: "set-metadata-voters",
    count: voterCount(fields),
  }),
  "recover-group": (fields) => ({
    type: "recover-group",
    groupId: groupId(fields),
    nodeId: nodeId(fields),
    replicaId: integer(fields, "replicaId", 1, Number.MAX_SAFE_INTEGER) as ReplicaId,
  }),
  "recover-metadata": (fields) => ({
    type: "recover-metadata",
    nodeId: nodeId(fields),
    revision: integer(fields, "revision", 1, Number.MAX_SAFE_INTEGER),
  }),
};

function voterCount(fields: Fields): number {
  const count = integer(fields, "count", 1, 100);
  if (!METADATA_VOTER_COUNTS.includes(count)) throw malformed("count");
  return count;
}
