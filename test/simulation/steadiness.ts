// L3, when all is calm: a healthy leader is not unseated by a replica that it cannot reach, nor by one that comes back, and
// a leader that reaches nobody does not go on leading. First one link between two machines is cut, then one machine is cut
// off from all others. Leadership that is handed over may move at any time. Run by calm.ts.
import type { GroupId } from "../../src/model/ids.ts";
import type { Term } from "../../src/model/positions.ts";
import type { SimBroker } from "./sim-broker.ts";
import type { SimCluster } from "./sim-cluster.ts";

/** Longer than the longest election timeout, its campaign, and the quorum check; connections bear it. */
const CUT_MS = 4000;
/** For what was held back, and what follows from it. */
const RETURN_MS = 2500;

type Link = readonly [from: string, to: string];
type Terms = ReadonlyMap<GroupId, Term>;

export async function checkSteadiness(
  cluster: SimCluster,
  groups: readonly GroupId[],
): Promise<void> {
  const { brokers, world } = cluster;
  const from = world.random.integer(0, brokers.length);
  const [victim, ...others] = [...brokers.slice(from), ...brokers.slice(0, from)];
  const [other] = others;
  if (victim === undefined || other === undefined) return;
  const run = new Steadiness(cluster, groups);
  await run.cutLink(victim, other);
  if (!cluster.fatal) await run.isolate(victim, others);
}

class Steadiness {
  readonly #cluster: SimCluster;
  readonly #groups: readonly GroupId[];

  constructor(cluster: SimCluster, groups: readonly GroupId[]) {
    this.#cluster = cluster;
    this.#groups = groups;
  }

  /** Everybody else reaches both: whoever leads goes on. */
  async cutLink(victim: SimBroker, other: SimBroker): Promise<void> {
    const terms = this.#terms();
    await this.#whileCut([victim, other], linksOf(victim, [other]));
    this.#requireSteady(terms, `the link between n${victim.nodeId} and n${other.nodeId} was cut`);
  }

  /** What it led is led by others, who stay; what others led, they lead on. */
  async isolate(victim: SimBroker, others: readonly SimBroker[]): Promise<void> {
    const before = this.#terms((leader) => leader !== victim);
    let meanwhile: Terms = new Map();
    await this.#whileCut([victim], linksOf(victim, others), () => {
      this.#requireDeposed(victim);
      meanwhile = this.#terms((leader) => leader !== victim);
    });
    this.#requireSteady(before, `n${victim.nodeId} was cut off and came back`);
    this.#requireSteady(meanwhile, `n${victim.nodeId} came back`);
  }

  async #whileCut(
    brokers: readonly SimBroker[],
    links: readonly Link[],
    atEnd: () => void = () => undefined,
  ): Promise<void> {
    const { network, world } = this.#cluster;
    this.#cluster.line(`cut off: ${brokers.map(({ nodeId }) => `n${nodeId}`).join(" from ")}`);
    const { end } = network.cut(links);
    await world.runUntil(() => this.#cluster.fatal, CUT_MS);
    atEnd();
    end();
    this.#cluster.line("together again");
    await world.runUntil(() => this.#cluster.fatal, RETURN_MS);
  }

  /** Terms of the groups whose leader suits. */
  #terms(suits: (leader: SimBroker) => boolean = () => true): Terms {
    const terms = new Map<GroupId, Term>();
    for (const group of this.#groups) {
      const leader = this.#cluster.leaderOf(group);
      const replica = leader?.node?.replicas.get(group);
      if (leader !== undefined && replica !== undefined && suits(leader)) {
        terms.set(group, replica.term);
      }
    }
    return terms;
  }

  #requireSteady(terms: Terms, why: string): void {
    const { invariants } = this.#cluster;
    for (const [group, before] of terms) {
      const now = Math.max(...this.#cluster.replicas(group).map(({ term }) => term));
      for (let term = before + 1; term <= now; term += 1) {
        if (invariants.wasHandedOver(group, term)) continue;
        this.#cluster.violation(
          `unseated: the leader of group ${group} in term ${before}, by a campaign in term ${term}: ${why}`,
        );
        break;
      }
    }
  }

  #requireDeposed({ node, nodeId }: SimBroker): void {
    for (const group of this.#groups) {
      const status = node?.replicas.get(group)?.status();
      if (status?.role !== "leader") continue;
      this.#cluster.violation(
        `leads alone: n${nodeId} still leads group ${group} in term ${status.term} after ${CUT_MS} ms without anybody else`,
      );
    }
  }
}

function linksOf({ host }: SimBroker, others: readonly SimBroker[]): Link[] {
  return others.flatMap((other): Link[] => [
    [host.name, other.host.name],
    [other.host.name, host.name],
  ]);
}
