// What the health pages of a broker ask. Liveness looks at this process only; readiness at what it needs to serve;
// safe-to-stop at what the cluster would lose.

import { type GroupId, METADATA_GROUP, type ReplicaId } from "../model/ids.ts";
import type { HealthCheck } from "../observe/health.ts";
import { type Ballot, tallyVotes } from "../raft/quorum.ts";
import type { ReplicaProgress } from "../raft/raft.ts";
import type { Replica } from "../replica/replica.ts";
import { recoveringMembers } from "./led-groups.ts";
import type { BrokerNode } from "./node.ts";

export function healthChecks(node: BrokerNode): readonly HealthCheck[] {
  return [
    { name: "storage", aspects: ["live", "ready"], check: () => node.replicas.failed?.message },
    {
      name: "draining",
      aspects: ["ready"],
      check: () => (node.isDraining ? "the broker is handing its leaderships over" : undefined),
    },
    {
      name: "registration",
      aspects: ["ready"],
      check: () =>
        node.isRegistered
          ? undefined
          : "not registered: no majority of metadata voters reached yet",
    },
    { name: "metadata", aspects: ["ready"], check: () => metadataProblem(node) },
    { name: "replicas", aspects: ["ready"], check: () => replicaProblem(node) },
    { name: "quorum", aspects: ["safe-to-stop"], check: () => quorumProblem(node) },
    { name: "damage", aspects: ["safe-to-stop"], check: () => damageProblem(node) },
  ];
}

/** It serves and votes, but whoever restarts the brokers one after the other should wait until it is repaired. */
function damageProblem(node: BrokerNode): string | undefined {
  const damaged = node.replicas.all().filter((replica) => replica.damagedEntries > 0);
  if (damaged.length === 0) return undefined;
  const entries = damaged.reduce((sum, replica) => sum + replica.damagedEntries, 0);
  return `${entries} entries of ${damaged.length} replicas are damaged on this disk and being repaired`;
}

function metadataProblem(node: BrokerNode): string | undefined {
  return node.metadata.leaderNode === 0 ? "the metadata group has no known leader" : undefined;
}

/** Every partition placed here is open and knows a leader. One on its way to or from this node serves nobody yet or any more. */
function replicaProblem(node: BrokerNode): string | undefined {
  let leaderless = 0;
  let forgetful = 0;
  for (const replica of node.replicas.all()) {
    if (replica.groupId === METADATA_GROUP || replica.leaderNode !== 0) continue;
    if (isMoving(node, replica.groupId)) continue;
    leaderless += 1;
    if (recoveringMembers(replica.replicaId, replica.status()).length > 0) forgetful += 1;
  }
  if (leaderless > 0) return `${leaderless} partitions have no known leader${reasonOf(forgetful)}`;
  const missing = missingPartitions(node);
  return missing === 0 ? undefined : `${missing} partitions are still being opened`;
}

/** Partitions that may need all their replicas to elect a leader (ADR 0012). */
function reasonOf(forgetful: number): string {
  if (forgetful === 0) return "";
  return `; replicas of ${forgetful} lost power and may have forgotten what they acknowledged: they wait for those that remember, or for all`;
}

function isMoving(node: BrokerNode, groupId: GroupId): boolean {
  const row = node.view.image.partitions.get(groupId);
  if (row?.change === undefined) return false;
  const isHere = (place: { readonly nodeId: number }): boolean => place.nodeId === node.nodeId;
  return !row.replicas.some(isHere) || !row.change.previous.some(isHere);
}

/** Would a group led here lose its majority without this node? Groups led elsewhere are the other leaders' business. */
function quorumProblem(node: BrokerNode): string | undefined {
  let atRisk = 0;
  for (const replica of node.replicas.all()) {
    if (!replica.isLeaderReady) continue;
    if (!canElectWithout(replica)) atRisk += 1;
  }
  return atRisk === 0 ? undefined : `${atRisk} groups led here would lose their majority`;
}

/** Whether the voters that were heard of lately would elect one of themselves soon: damaged ones take their time. */
function canElectWithout(replica: Replica): boolean {
  const { membership, progress } = replica.status();
  const heard = new Map<ReplicaId, ReplicaProgress>();
  for (const peer of progress) if (peer.isRecentlyActive) heard.set(peer.replicaId, peer);
  const ballotOf = (id: ReplicaId): Ballot | undefined => {
    const peer = heard.get(id);
    return peer === undefined ? undefined : { granted: true, recovering: peer.recovering };
  };
  const hasCandidate = [...heard.values()].some(({ damaged, isLearner }) => !damaged && !isLearner);
  return hasCandidate && tallyVotes(membership, ballotOf) === "won";
}

/** Partitions that the metadata places in this directory and that are not open. */
function missingPartitions(node: BrokerNode): number {
  const { directoryId } = node.options.nodeFile;
  let missing = 0;
  for (const row of node.view.image.partitions.values()) {
    const isHere = row.replicas.some(
      (replica) => replica.nodeId === node.nodeId && replica.directoryId === directoryId,
    );
    if (isHere && !node.partitions.isOpen(row.groupId)) missing += 1;
  }
  return missing;
}
