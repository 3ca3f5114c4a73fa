// How well a simulated cluster is: whether each group has its leader and all its replicas, with everything. Asked by the
// calm phase, and by faults that must not come on top of others.
import { replicaOfPlacement } from "../../src/cluster/topic-table.ts";
import { type GroupId, METADATA_GROUP, type ReplicaId, replicaIdOf } from "../../src/model/ids.ts";
import type { RaftStatus } from "../../src/raft/raft.ts";
import type { SimBroker } from "./sim-broker.ts";
import type { SimCluster } from "./sim-cluster.ts";

/** Under load a replica is behind by this much when all is well. */
const BUSY_ENTRIES = 100;
const SETTLED_ENTRIES = 5;
const SETTLED_MS = 1500;

/**
 * What a group still lacks; undefined when every wanted member is a member, is up and has everything.
 * @param behindMax entries that a replica may lack
 */
export function lackOf(cluster: SimCluster, group: GroupId, behindMax = 0): string | undefined {
  const leader = cluster.leaderOf(group);
  const leading = leader?.node?.replicas.get(group);
  if (leader === undefined || leading === undefined) return "no leader";
  const status = leading.status();
  const { learners, outgoing, voters } = status.membership;
  if (outgoing !== undefined) return "its membership is changing";
  const wanted = wantedOf(leader, group);
  const members = new Set([...voters, ...learners]);
  if (members.size !== wanted.length || wanted.some((id) => !members.has(id))) {
    return `members ${[...members].join(" ")} instead of ${wanted.join(" ")}`;
  }
  if (group !== METADATA_GROUP && learners.length > 0) return "a replica does not vote yet";
  for (const broker of cluster.brokers) {
    const replica = broker.node?.replicas.get(group);
    const id = replica?.replicaId;
    const isMember = id !== undefined && members.delete(id);
    // Under load a former replica may be on its way out.
    if (id !== undefined && !isMember && behindMax === 0) return `n${broker.nodeId} keeps ${id}`;
    if (!isMember || replica === undefined) continue;
    const lack = lackOfReplica(replica.status(), status, behindMax);
    if (lack !== undefined) return `n${broker.nodeId} ${lack}`;
    if (replica.record.recovering) return `n${broker.nodeId} is recovering`;
    if (replica.damagedEntries > 0) return `n${broker.nodeId} has damaged entries`;
  }
  return members.size > 0 ? `${members.size} replicas are missing` : undefined;
}

/** What is still to be done about members; undefined when the metadata, the machines and the operator agree. */
export function memberLackOf(cluster: SimCluster): string | undefined {
  const image = cluster.metadata;
  if (image === undefined) return "nobody leads the metadata";
  const leaving = [...image.nodes.values()].find(({ decommission }) => decommission !== undefined);
  if (leaving !== undefined) return `n${leaving.nodeId} is still leaving`;
  const moving = [...image.partitions.values()].find(({ change }) => change !== undefined);
  if (moving !== undefined) return `group ${moving.groupId} is still moving`;
  const [open] = unproven(cluster);
  if (open !== undefined) return `the members of group ${open} are not proven yet`;
  const known = [...image.nodes.keys()].sort((a, b) => a - b).join(" ");
  const present = cluster.brokers.map(({ nodeId }) => nodeId).join(" ");
  return known === present ? undefined : `the metadata has nodes ${known}, there are ${present}`;
}

/** What each node has of a group, for people. */
export function describeGroup(cluster: SimCluster, group: GroupId): string {
  const texts = cluster.brokers.map(({ node, nodeId }) => {
    const status = node?.replicas.get(group)?.status();
    if (status === undefined) return `n${nodeId}: ${node === undefined ? "down" : "not open"}`;
    const { commitIndex, failed, flushedIndex, lastIndex, membership, role, term } = status;
    const { learners, outgoing, voters } = membership;
    const members = [voters, learners, outgoing ?? []].map((ids) => ids.join(" ")).join("|");
    const fate = failed === undefined ? "" : `, failed: ${failed.message}`;
    const positions = `last ${lastIndex}, flushed ${flushedIndex}, commit ${commitIndex}`;
    return `n${nodeId}: ${role} in ${term}, ${positions}, members ${members}${fate}`;
  });
  return texts.join("; ");
}

/** Everybody is up and well, no replica is being made anew, and who the members are is known for good. */
export function isWhole(cluster: SimCluster): boolean {
  const isWell = cluster.brokers.every(({ excuse, host, isAiling, isServing }) => {
    return host.isUp && isServing && !isAiling && excuse === undefined;
  });
  return (
    isWell &&
    cluster.groups.every((group) => lackOf(cluster, group, BUSY_ENTRIES) === undefined) &&
    unproven(cluster).length === 0
  );
}

/** … and everybody has had time to flush: a power cut of one node takes what others have as well. */
export function isSettled(cluster: SimCluster): boolean {
  const { nowMs } = cluster.world;
  if (cluster.brokers.some(({ bootedAtMs }) => nowMs - bootedAtMs < SETTLED_MS)) return false;
  return isWhole(cluster) && cluster.groups.every((group) => isFlushed(cluster, group));
}

/**
 * What an operator waits for, by docs/OPERATIONS.md, before the next disk may go: until new members are proven, those who
 * are left may know of the former ones only, and have no majority of them.
 */
function unproven(cluster: SimCluster): GroupId[] {
  return cluster.brokers.flatMap(({ node }) => node?.unprovenGroups ?? []);
}

function isFlushed(cluster: SimCluster, group: GroupId): boolean {
  const statuses = cluster.replicas(group).map((replica) => replica.status());
  const last = Math.max(...statuses.map(({ lastIndex }) => lastIndex));
  return statuses.every(({ flushedIndex }) => flushedIndex >= last - SETTLED_ENTRIES);
}

function lackOfReplica(
  {
    appliedIndex,
    commitIndex,
    failed,
    lastIndex,
  }: RaftStatus & { readonly failed: Error | undefined },
  leader: RaftStatus,
  behindMax: number,
): string | undefined {
  if (failed !== undefined) return `failed: ${failed.message}`;
  const least = leader.lastIndex - behindMax;
  if (lastIndex >= least && commitIndex >= least && appliedIndex >= least) return undefined;
  const positions = `last ${lastIndex}, commit ${commitIndex}, applied ${appliedIndex}`;
  return `has ${positions} of ${leader.lastIndex}`;
}

function wantedOf({ node }: SimBroker, group: GroupId): ReplicaId[] {
  const image = node?.view.image;
  if (image === undefined) return [];
  if (group !== METADATA_GROUP) {
    return image.partitions.get(group)?.replicas.map(replicaOfPlacement) ?? [];
  }
  return [...image.nodes.values()].map((member) => {
    return replicaIdOf(member.nodeId, member.metadataRevision);
  });
}
