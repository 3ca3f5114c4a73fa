// What docs/OPERATIONS.md tells operators to do with an async partition that has no leader although everything runs again:
// a disk was lost for good while another replica could have forgotten what it acknowledged, so the vote rule (ADR 0012)
// waits for what will never come. Called by calm.ts.
import type { GroupId } from "../../src/model/ids.ts";
import type { SimCluster } from "./sim-cluster.ts";

const LIMIT_MS = 10_000;

/**
 * `flotilla unsafe-recover`, from the longest log. Does nothing where the product says that it needs no force.
 * @returns whether force was used
 */
export async function forceLeader(cluster: SimCluster, group: GroupId): Promise<boolean> {
  if (!cluster.isAsync(group)) return false;
  const choices = cluster.brokers.flatMap(({ host, node }) => {
    const replica = node?.replicas.get(group);
    if (node === undefined || replica === undefined || replica.hasFailed) return [];
    // One that was placed here lately, and never joined, knows of nobody's losses.
    const { replicaId } = replica;
    const { outgoing, voters } = replica.status().membership;
    if (![...voters, ...(outgoing ?? [])].includes(replicaId)) return [];
    return [{ host, node, replica, view: node.recovery.inspect(replica) }];
  });
  if (choices.some(({ view }) => view.quorumAnswers)) return false;
  choices.sort((a, b) => b.view.lastTerm - a.view.lastTerm || b.view.lastIndex - a.view.lastIndex);
  const [best] = choices;
  if (best === undefined) return false;
  const { host, node, replica, view } = best;
  cluster.line(`operator forces group ${group} to go on from n${view.nodeId}`);
  cluster.invariants.forgive(group);
  const { lastIndex, replicaId } = view;
  const order = { replicaId, lastIndex, acceptDataLoss: true };
  await cluster.complete(host, () => node.recovery.recover(replica, order), LIMIT_MS);
  return true;
}
