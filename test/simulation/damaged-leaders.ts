// Which leaders know of damaged entries of theirs, and whether another voter could take over. Asked by sim-cluster.ts for
// invariants/damage-checks.ts.
import { type GroupId, nodeOfReplica, type ReplicaId } from "../../src/model/ids.ts";
import type { RaftStatus } from "../../src/raft/raft.ts";
import type { DamagedLeader } from "./invariants/damage-checks.ts";
import type { SimBroker } from "./sim-broker.ts";
import type { SimCluster } from "./sim-cluster.ts";

/** As far behind as a voter may be that counts as in sync, entries. */
const BEHIND_MAX = 50;

/** @param isDisturbed a fault is under way that may keep a sound voter from leading */
export function damagedLeaders(cluster: SimCluster, isDisturbed: boolean): DamagedLeader[] {
  const found: DamagedLeader[] = [];
  for (const broker of cluster.brokers) {
    for (const replica of broker.node?.replicas.all() ?? []) {
      if (replica.damagedEntries === 0) continue;
      const status = replica.status();
      if (status.role !== "leader" || status.failed !== undefined) continue;
      const { groupId: group, replicaId } = replica;
      const { outgoing, voters } = status.membership;
      const hasSoundVoter =
        !isDisturbed &&
        !broker.host.isPaused &&
        outgoing === undefined &&
        voters.some((id) => id !== replicaId && isSound(cluster, broker, group, id, status));
      found.push({ node: broker.nodeId, group, term: status.term, hasSoundVoter });
    }
  }
  return found;
}

function isSound(
  { brokers, network }: SimCluster,
  leader: SimBroker,
  group: GroupId,
  id: ReplicaId,
  { lastIndex }: RaftStatus,
): boolean {
  const broker = brokers.find(({ nodeId }) => nodeId === nodeOfReplica(id));
  const replica = broker?.node?.replicas.get(group);
  if (broker === undefined || replica?.replicaId !== id || !broker.isServing) return false;
  const { host } = broker;
  if (!host.isUp || host.isPaused || broker.excuse !== undefined || broker.isAiling) return false;
  if (network.isCut(host, leader.host) || network.isCut(leader.host, host)) return false;
  const status = replica.status();
  const isWhole = replica.damagedEntries === 0 && !status.recovering && status.failed === undefined;
  return isWhole && status.lastIndex >= lastIndex - BEHIND_MAX;
}
