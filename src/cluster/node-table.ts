// Rows of registered nodes, and the rules of who may register as whom. Part of the metadata state;
// pure.
import type { NodeId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { FeatureRange, NodeEndpoints, RegisterNode } from "./metadata-commands.ts";

/** Earlier directories remembered per node. Beyond: the oldest is forgotten. */
export const RETIRED_DIRECTORIES_MAX = 16;

/** A node as the cluster knows it. */
export interface NodeRow {
  readonly nodeId: NodeId;
  /** Present data directory. Replicas placed in another directory of this node are gone with it. */
  readonly directoryId: string;
  /** Start counter of that directory; only grows while the directory stays. */
  readonly incarnation: number;
  readonly endpoints: NodeEndpoints;
  readonly features: FeatureRange;
  /** Out of service: gets no placements and no leaderships. Its replicas go on voting. */
  readonly fenced: boolean;
  /** Index of the entry that registered this incarnation: the node's epoch. */
  readonly registeredIndex: LogIndex;
  /**
   * Revision of its metadata replica: 0 for a directory listed by `cluster init`, else the index of
   * the entry that first registered the directory (an emptied disk must not vote as its former
   * self).
   */
  readonly metadataRevision: number;
  /**
   * Earlier directories of this node, newest last, at most RETIRED_DIRECTORIES_MAX: none of them
   * may come back.
   */
  readonly retiredDirectories: readonly string[];
  /** It shall leave for good. Survives restarts and new directories of the node. */
  readonly decommission?: Decommission;
}

export interface Decommission {
  /** The entry that began it. */
  readonly index: LogIndex;
  /** The node that was named to take its replicas over; 0: any. */
  readonly successor: NodeId | 0;
}

/** A node that was decommissioned. Its id may be used again, by another directory. */
export interface RemovedNodeRow {
  readonly nodeId: NodeId;
  readonly removedIndex: LogIndex;
  /** None of them may come back; as in NodeRow. */
  readonly retiredDirectories: readonly string[];
}

/** What is left of a node when it is unregistered. */
export function removedNode(node: NodeRow, removedIndex: LogIndex): RemovedNodeRow {
  const retiredDirectories = withRetired(node.retiredDirectories, node.directoryId);
  return { nodeId: node.nodeId, removedIndex, retiredDirectories };
}

/** Why a registration is refused: always NODE_FENCED for the caller. */
export type RegistrationRefusal =
  | "older-incarnation"
  | "foreign-directory"
  | "retired-directory"
  | "feature-level";

/** What applying a registration does. */
export type Registration =
  | { readonly refusal: RegistrationRefusal; readonly row?: never }
  | { readonly row: NodeRow; readonly refusal?: never };

/**
 * Decides a registration.
 *
 * - a new node is taken;
 * - the same directory with the same (a repeated proposal) or a higher incarnation is taken and
 *   unfences the node;
 * - an older incarnation is a process that should be dead: refused;
 * - another directory is refused while the node counts as alive (two processes with one id), and
 *   taken once it was fenced: an emptied or replaced disk, which starts with new replicas;
 * - a directory that was replaced by another, or decommissioned, never comes back: its replicas have been given up;
 * - software that cannot write the cluster's feature level is refused (architecture §7.12).
 */
export function decideRegistration(
  known: NodeRow | undefined,
  removed: RemovedNodeRow | undefined,
  command: RegisterNode,
  at: { readonly index: LogIndex; readonly featureLevel: number },
): Registration {
  const { nodeId, directoryId, incarnation, endpoints, features } = command;
  if (features.max < at.featureLevel || features.min > at.featureLevel) {
    return { refusal: "feature-level" };
  }
  const row = { nodeId, directoryId, incarnation, endpoints, features, fenced: false };
  const retiredDirectories = (known ?? removed)?.retiredDirectories ?? [];
  if (retiredDirectories.includes(directoryId)) return { refusal: "retired-directory" };
  if (known === undefined) {
    // A founder's replica of the metadata group was there from the start; that of a removed node is gone.
    const metadataRevision = command.founder && removed === undefined ? 0 : at.index;
    return { row: { ...row, registeredIndex: at.index, metadataRevision, retiredDirectories } };
  }
  const leaving = known.decommission === undefined ? {} : { decommission: known.decommission };
  if (known.directoryId !== directoryId) {
    if (!known.fenced) return { refusal: "foreign-directory" };
    const retired = withRetired(retiredDirectories, known.directoryId);
    return {
      row: {
        ...row,
        ...leaving,
        registeredIndex: at.index,
        metadataRevision: at.index,
        retiredDirectories: retired,
      },
    };
  }
  if (incarnation < known.incarnation) return { refusal: "older-incarnation" };
  const registeredIndex = incarnation === known.incarnation ? known.registeredIndex : at.index;
  const { metadataRevision } = known;
  return { row: { ...row, ...leaving, registeredIndex, metadataRevision, retiredDirectories } };
}

function withRetired(retired: readonly string[], directoryId: string): readonly string[] {
  return [...retired, directoryId].slice(-RETIRED_DIRECTORIES_MAX);
}
