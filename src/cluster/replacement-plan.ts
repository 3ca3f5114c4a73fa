// Decides where replicas go when a node leaves, and which moves even a cluster out after nodes were added. Pure and
// deterministic: member-state.ts calls the first at apply, member-frontend.ts the second on the metadata leader.
import type { GroupId, NodeId } from "../model/ids.ts";
import type { PlacementCandidate } from "./placement-plan.ts";
import type { PartitionRow } from "./topic-table.ts";

/** A replica's way from one node to another. */
export interface PlannedMove {
  readonly groupId: GroupId;
  /** 0: the partition lacks a replica, and gets one more. */
  readonly from: NodeId | 0;
  readonly to: NodeId;
}

interface Load {
  readonly nodeId: NodeId;
  replicas: number;
  leaders: number;
}

/**
 * One move for each partition with a replica on `from`: to the successor where that holds none yet, else to the least
 * loaded candidate. The new replica takes the old one's place in the order, so preferred leaderships move with it.
 *
 * @param rows those with a replica on `from`
 * @param candidates nodes that may get replicas, `from` not among them
 * @returns the moves in group order, or the first partition for which no candidate is left
 */
export function planReplacements(
  rows: readonly PartitionRow[],
  candidates: readonly PlacementCandidate[],
  from: NodeId,
  successor: NodeId | 0,
): { readonly moves: readonly PlannedMove[] } | { readonly stuck: PartitionRow } {
  const loads = loadsOf(candidates);
  const moves: PlannedMove[] = [];
  for (const row of [...rows].sort((a, b) => a.groupId - b.groupId)) {
    const free = loads.filter((load) => !isOn(row, load.nodeId));
    const named = free.find((load) => load.nodeId === successor);
    const chosen = named ?? free.reduce<Load | undefined>(lighter, undefined);
    if (chosen === undefined) return { stuck: row };
    chosen.replicas += 1;
    if (row.replicas[0]?.nodeId === from) chosen.leaders += 1;
    moves.push({ groupId: row.groupId, from, to: chosen.nodeId });
  }
  return { moves };
}

/**
 * First a replica for each partition that lacks one, then moves that bring the numbers of replicas per node as close
 * together as single moves can. Each partition is touched at most once; those that are on their way are left alone.
 *
 * @param wantedOf how many replicas the partition's topic wants
 * @param movesMax moves in one plan, inclusive; a later plan goes on from there
 */
export function planRebalance(
  rows: Iterable<PartitionRow>,
  candidates: readonly PlacementCandidate[],
  movesMax: number,
  wantedOf: (row: PartitionRow) => number,
): readonly PlannedMove[] {
  const loads = loadsOf(candidates);
  const movable = [...rows]
    .filter((row) => row.change === undefined)
    .sort((a, b) => a.groupId - b.groupId);
  const moves = additions(loads, movable, movesMax, wantedOf);
  const moved = new Set(moves.map((move) => move.groupId));
  while (moves.length < movesMax) {
    const next = bestMove(loads, movable, moved);
    if (next === undefined) break;
    moves.push(next);
    moved.add(next.groupId);
  }
  return moves;
}

function additions(
  loads: readonly Load[],
  rows: readonly PartitionRow[],
  countMax: number,
  wantedOf: (row: PartitionRow) => number,
): PlannedMove[] {
  const moves: PlannedMove[] = [];
  for (const row of rows) {
    if (moves.length >= countMax) break;
    if (row.replicas.length >= wantedOf(row)) continue;
    const free = loads.filter((load) => !isOn(row, load.nodeId));
    const chosen = free.reduce<Load | undefined>(lighter, undefined);
    if (chosen === undefined) continue;
    chosen.replicas += 1;
    moves.push({ groupId: row.groupId, from: 0, to: chosen.nodeId });
  }
  return moves;
}

/** From the fullest node that can give to the emptiest one that can take; undefined: nothing is gained any more. */
function bestMove(
  loads: readonly Load[],
  rows: readonly PartitionRow[],
  moved: ReadonlySet<GroupId>,
): PlannedMove | undefined {
  const byLoad = [...loads].sort((a, b) => b.replicas - a.replicas || a.nodeId - b.nodeId);
  for (const giver of byLoad) {
    for (const taker of [...byLoad].reverse()) {
      if (giver.replicas - taker.replicas < 2) break;
      const row = chooseRow(rows, moved, giver, taker);
      if (row === undefined) continue;
      const isLeader = row.replicas[0]?.nodeId === giver.nodeId;
      giver.replicas -= 1;
      taker.replicas += 1;
      giver.leaders -= isLeader ? 1 : 0;
      taker.leaders += isLeader ? 1 : 0;
      return { groupId: row.groupId, from: giver.nodeId, to: taker.nodeId };
    }
  }
  return undefined;
}

/** Preferably one whose preferred leadership evens out those as well. */
function chooseRow(
  rows: readonly PartitionRow[],
  moved: ReadonlySet<GroupId>,
  giver: Load,
  taker: Load,
): PartitionRow | undefined {
  const wantsLeader = giver.leaders > taker.leaders;
  let second: PartitionRow | undefined;
  for (const row of rows) {
    if (moved.has(row.groupId) || !isOn(row, giver.nodeId) || isOn(row, taker.nodeId)) continue;
    if ((row.replicas[0]?.nodeId === giver.nodeId) === wantsLeader) return row;
    second ??= row;
  }
  return second;
}

function loadsOf(candidates: readonly PlacementCandidate[]): Load[] {
  return [...candidates]
    .sort((a, b) => a.nodeId - b.nodeId)
    .map(({ nodeId, preferredLeaders: leaders, replicas }) => ({ nodeId, replicas, leaders }));
}

function lighter(best: Load | undefined, load: Load): Load {
  if (best === undefined) return load;
  const order = load.replicas - best.replicas || load.leaders - best.leaders;
  return order < 0 ? load : best;
}

function isOn(row: PartitionRow, nodeId: NodeId): boolean {
  return row.replicas.some((replica) => replica.nodeId === nodeId);
}
