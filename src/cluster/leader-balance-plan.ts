// Decides which leaderships a node gives back to their preferred replicas. Pure; leader-balancer.ts
// runs it on a timer. Every node decides only for the groups that it leads itself, so no
// coordination is needed.
import type { GroupId, NodeId } from "../model/ids.ts";

/** A group that this node leads and serves. */
export interface LedGroup {
  readonly groupId: GroupId;
  /** Nodes with a replica, preferred leader first. */
  readonly replicas: readonly NodeId[];
  /** Nodes whose replica is in sync: a transfer there is quick. */
  readonly inSync: readonly NodeId[];
}

/** What is known of another node's fitness to lead. */
export interface NodeFitness {
  readonly isAlive: boolean;
  readonly isFenced: boolean;
  readonly isDraining: boolean;
  readonly isClockTrusted: boolean;
  /** How long it has been heard from without a gap, ms. */
  readonly aliveForMs: number;
}

export interface LeaderTransfer {
  readonly groupId: GroupId;
  readonly to: NodeId;
}

export interface LeaderBalanceOptions {
  /** The deciding node. */
  readonly self: NodeId;
  /** Its own wall clock is wrong: it hands everything over that somebody else can lead (architecture §7.13). */
  readonly isSelfClockTrusted: boolean;
  /** A node that came back must have been up for so long, ms (inclusive). */
  readonly aliveForMsMin: number;
  /** Transfers in one round, inclusive. */
  readonly transfersMax: number;
}

/**
 * Transfers for this round, in group order: groups whose preferred leader is another node that is
 * alive, not fenced, not draining, with a clock that is believed, up for long enough and in sync. Everything else stays where it
 * is: a leadership on the wrong node costs balance, a transfer that fails costs availability.
 */
export function planLeaderTransfers(
  led: readonly LedGroup[],
  fitness: (nodeId: NodeId) => NodeFitness | undefined,
  options: LeaderBalanceOptions,
): readonly LeaderTransfer[] {
  const transfers: LeaderTransfer[] = [];
  for (const group of [...led].sort((a, b) => a.groupId - b.groupId)) {
    if (transfers.length >= options.transfersMax) break;
    const candidates = options.isSelfClockTrusted ? group.replicas.slice(0, 1) : group.replicas;
    const to = candidates.find(
      (nodeId) =>
        nodeId !== options.self && group.inSync.includes(nodeId) && isFit(fitness(nodeId), options),
    );
    if (to !== undefined) transfers.push({ groupId: group.groupId, to });
  }
  return transfers;
}

function isFit(node: NodeFitness | undefined, options: LeaderBalanceOptions): boolean {
  if (node === undefined || !node.isAlive || node.isFenced || node.isDraining) return false;
  if (!node.isClockTrusted) return false;
  return node.aliveForMs >= options.aliveForMsMin;
}
