// Decides on which nodes the partitions of a new topic live, and which replica of each is preferred
// as leader. Pure and deterministic: metadata-state.ts calls it at apply, so every node computes
// the same placement.
import { assert, defined } from "../base/assert.ts";
import type { NodeId } from "../model/ids.ts";

/** A node that may get replicas, with what it holds already. */
export interface PlacementCandidate {
  readonly nodeId: NodeId;
  /** Replicas placed on it, of all topics. */
  readonly replicas: number;
  /** Partitions whose preferred leader it is, of all topics. */
  readonly preferredLeaders: number;
}

interface Load {
  readonly nodeId: NodeId;
  /** Of this topic. */
  replicas: number;
  leaders: number;
  /** Of all topics, this one included. */
  replicasTotal: number;
  leadersTotal: number;
}

/**
 * Places `partitions` × `replicationFactor` replicas.
 *
 * @param candidates distinct nodes, at least `replicationFactor`; their order does not matter
 * @returns per partition its nodes, preferred leader first; all distinct
 *
 * Invariant: within the topic, replicas per node differ by at most one, and so do preferred
 * leaders. Between equal choices the node with the smaller total wins, so many small topics even
 * out as well.
 */
export function planPlacement(
  candidates: readonly PlacementCandidate[],
  partitions: number,
  replicationFactor: number,
): readonly (readonly NodeId[])[] {
  assert(replicationFactor >= 1, "replication factor below 1", { replicationFactor });
  assert(candidates.length >= replicationFactor, "too few nodes for a placement", {
    nodes: candidates.length,
    replicationFactor,
  });
  const loads = [...candidates]
    .sort((a, b) => a.nodeId - b.nodeId)
    .map((candidate) => ({
      nodeId: candidate.nodeId,
      replicas: 0,
      leaders: 0,
      replicasTotal: candidate.replicas,
      leadersTotal: candidate.preferredLeaders,
    }));
  const sets = Array.from({ length: partitions }, (_, partition) =>
    chooseReplicas(loads, partition, replicationFactor),
  );
  const leaders = chooseLeaders(loads, sets);
  return sets.map((set, partition) => {
    const leader = defined(leaders[partition], "partition without preferred leader");
    const others = set.filter((load) => load !== leader);
    // Rotation lets the second places spread too: they are where leadership goes when the first
    // node is lost.
    const turn = others.length === 0 ? 0 : partition % others.length;
    return [leader, ...others.slice(turn), ...others.slice(0, turn)].map((load) => load.nodeId);
  });
}

/**
 * The least loaded nodes; among equals the choice turns with the partition number, so that sets are
 * mixed.
 */
function chooseReplicas(loads: readonly Load[], partition: number, count: number): readonly Load[] {
  const turned = [
    ...loads.slice(partition % loads.length),
    ...loads.slice(0, partition % loads.length),
  ];
  const chosen = turned
    .sort((a, b) => a.replicas - b.replicas || a.replicasTotal - b.replicasTotal)
    .slice(0, count);
  for (const load of chosen) {
    load.replicas += 1;
    load.replicasTotal += 1;
  }
  return chosen;
}

/**
 * Greedy choice, then leaderships are handed along chains of partitions until no node has two more
 * than another.
 */
function chooseLeaders(loads: readonly Load[], sets: readonly (readonly Load[])[]): Load[] {
  const leaders = sets.map((set) => {
    const best = set.reduce((a, b) => {
      const order = b.leaders - a.leaders || b.leadersTotal - a.leadersTotal;
      return order < 0 ? b : a;
    });
    best.leaders += 1;
    best.leadersTotal += 1;
    return best;
  });
  while (evenOut(loads, sets, leaders)) {
    // Each round lowers the sum of squares of the loads: it ends.
  }
  return leaders;
}

/**
 * Moves one leadership from a most loaded node towards one with at least two fewer. False: nothing left to gain. While there is
 * such a node, a chain leads to it from one of the most loaded, not from each of them.
 */
function evenOut(
  loads: readonly Load[],
  sets: readonly (readonly Load[])[],
  leaders: Load[],
): boolean {
  const most = Math.max(...loads.map((load) => load.leaders));
  return loads.some((load) => load.leaders === most && handOn(load, sets, leaders));
}

/** @returns whether there was a chain that ends at a node with at least two fewer */
function handOn(most: Load, sets: readonly (readonly Load[])[], leaders: Load[]): boolean {
  const cameFrom = new Map<Load, number>();
  const queue = [most];
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    if (node.leaders <= most.leaders - 2) {
      handOver(node, most, cameFrom, leaders);
      return true;
    }
    for (const [partition, leader] of leaders.entries()) {
      if (leader !== node) continue;
      for (const other of sets[partition] ?? []) {
        if (other === most || cameFrom.has(other)) continue;
        cameFrom.set(other, partition);
        queue.push(other);
      }
    }
  }
  return false;
}

/** Walks the chain back: each node on it takes the leadership through which it was reached. */
function handOver(
  to: Load,
  from: Load,
  cameFrom: ReadonlyMap<Load, number>,
  leaders: Load[],
): void {
  let node = to;
  while (node !== from) {
    const partition = defined(cameFrom.get(node), "broken chain");
    const previous = defined(leaders[partition], "partition without preferred leader");
    leaders[partition] = node;
    node = previous;
  }
  to.leaders += 1;
  to.leadersTotal += 1;
  from.leaders -= 1;
  from.leadersTotal -= 1;
}
