// What the brokers say about the topic: leaders, terms, replicas in sync, and digests of every replica's bytes.
// Each broker is asked by a client of its own; those that are not running are left out.
import type { Random } from "../../src/base/random.ts";
import { type Client, createClient } from "../../src/client/index.ts";
import type { LocalCluster } from "../support/local-cluster.ts";
import { waitUntil } from "./waiting.ts";

export interface PartitionView {
  readonly partition: number;
  /** 0: none known. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly inSync: readonly number[];
  readonly replicas: readonly number[];
}

export interface Digest {
  readonly nodeId: number;
  readonly partition: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly sha256: string;
}

const CALL = { timeoutMs: 2000 };
const DIGEST = { timeoutMs: 30_000 };
const POLL_MS = 200;

export class ClusterView {
  readonly #cluster: LocalCluster;
  readonly #topic: string;
  readonly #partitions: number;
  readonly #clients = new Map<number, Client>();

  constructor(cluster: LocalCluster, topic: string, partitions: number) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#partitions = partitions;
  }

  /**
   * Every running broker is asked, since only a partition's leader knows which replicas are in sync; per partition the
   * newest term counts.
   */
  async describe(): Promise<readonly PartitionView[]> {
    const asked = this.#running().map(async (nodeId) => {
      const details = await this.#client(nodeId).admin().describeTopic(this.#topic, CALL);
      return details.partitions;
    });
    const answers = await Promise.allSettled(asked);
    const views = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const newest = new Map<number, PartitionView>();
    for (const view of views) {
      const known = newest.get(view.partition);
      if (known === undefined || isNewer(view, known)) newest.set(view.partition, view);
    }
    if (newest.size !== this.#partitions) throw new Error(`${newest.size} partitions described`);
    return [...newest.values()].sort((a, b) => a.partition - b.partition);
  }

  /** The node that leads most partitions (one of them, by chance), and what it leads. */
  async busiestLeader(random: Random): Promise<{ nodeId: number; led: readonly PartitionView[] }> {
    const partitions = await this.describe();
    const led = leadersOf(partitions);
    const most = Math.max(...[...led.values()].map((views) => views.length));
    const candidates = [...led].filter(([, views]) => views.length === most);
    const [nodeId, views] = candidates[random.integer(0, candidates.length)] ?? [0, []];
    if (nodeId === 0) throw new Error("no partition has a known leader");
    return { nodeId, led: views };
  }

  /** Every partition has a leader and all its replicas in sync. */
  async waitInSync(timeoutMs: number): Promise<void> {
    await waitUntil(
      "all replicas in sync",
      timeoutMs,
      async () => {
        const partitions = await this.describe();
        const isSynced = (view: PartitionView): boolean =>
          view.leaderId !== 0 && view.replicas.every((nodeId) => view.inSync.includes(nodeId));
        return partitions.length === this.#partitions && partitions.every(isSynced);
      },
      POLL_MS,
    );
  }

  /** Leaders per node differ by one at most (by none where the numbers divide). Returns how long that took, ms. */
  async waitSpread(timeoutMs: number): Promise<number> {
    const startMs = performance.now();
    await waitUntil(
      "leaders spread evenly",
      timeoutMs,
      async () => {
        const led = leadersOf(await this.describe());
        const counts = this.#cluster.nodes.map((node) => led.get(node.id)?.length ?? 0);
        const total = counts.reduce((sum, count) => sum + count, 0);
        const isWhole = total === this.#partitions;
        return isWhole && Math.max(...counts) - Math.min(...counts) <= (total % counts.length && 1);
      },
      POLL_MS,
    );
    return performance.now() - startMs;
  }

  /** Digests of the same range on every replica, partition by partition. All brokers must be up and the load stopped. */
  async digests(): Promise<readonly Digest[]> {
    const digests: Digest[] = [];
    for (const { partition, replicas } of await this.describe()) {
      const nodes = replicas.filter((id) => this.#cluster.isRunning(id));
      const whole = await Promise.all(nodes.map((node) => this.#digest(node, partition)));
      const firstIndex = Math.max(...whole.map((digest) => digest.firstIndex));
      const lastIndex = Math.min(...whole.map((digest) => digest.lastIndex));
      const same = nodes.map((node) => this.#digest(node, partition, { firstIndex, lastIndex }));
      digests.push(...(await Promise.all(same)));
    }
    return digests;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    this.#clients.clear();
  }

  async #digest(
    nodeId: number,
    partition: number,
    range: { readonly firstIndex?: number; readonly lastIndex?: number } = {},
  ): Promise<Digest> {
    const client = createClient({ bootstrap: [this.#cluster.node(nodeId).client] });
    try {
      const replica = { topic: this.#topic, partition, ...range };
      const answer = await client.admin().digestReplica(nodeId, replica, DIGEST);
      return { nodeId, partition, ...answer };
    } finally {
      await client.close();
    }
  }

  #running(): number[] {
    return this.#cluster.nodes.map((node) => node.id).filter((id) => this.#cluster.isRunning(id));
  }

  /** A client that knows one broker only, and therefore asks that one. */
  #client(nodeId: number): Client {
    let client = this.#clients.get(nodeId);
    if (client === undefined) {
      client = createClient({ bootstrap: [this.#cluster.node(nodeId).client] });
      this.#clients.set(nodeId, client);
    }
    return client;
  }
}

function isNewer(view: PartitionView, known: PartitionView): boolean {
  if (view.leaderEpoch !== known.leaderEpoch) return view.leaderEpoch > known.leaderEpoch;
  return view.inSync.length > known.inSync.length;
}

/** Partitions by leader, without the leaderless. */
export function leadersOf(
  partitions: readonly PartitionView[],
): ReadonlyMap<number, readonly PartitionView[]> {
  const led = new Map<number, PartitionView[]>();
  for (const view of partitions) {
    if (view.leaderId !== 0) led.set(view.leaderId, [...(led.get(view.leaderId) ?? []), view]);
  }
  return led;
}

/** Partitions whose replicas differ, in words. */
export function digestProblems(digests: readonly Digest[]): string[] {
  const byPartition = new Map<number, Digest[]>();
  for (const digest of digests) {
    byPartition.set(digest.partition, [...(byPartition.get(digest.partition) ?? []), digest]);
  }
  const problems: string[] = [];
  for (const [partition, replicas] of byPartition) {
    const texts = replicas.map(
      (one) => `${one.firstIndex}…${one.lastIndex} ${one.sha256.slice(0, 16)} on ${one.nodeId}`,
    );
    const distinct = new Set(
      replicas.map((one) => `${one.firstIndex}/${one.lastIndex}/${one.sha256}`),
    );
    if (distinct.size !== 1) problems.push(`partition ${partition}: ${texts.join(", ")}`);
  }
  return problems;
}
