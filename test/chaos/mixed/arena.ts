// Everything that a fault, and the code around it, works with: brokers, links, disks, topics under load, and where findings
// go. arena-opening.ts makes one.
import type { Random } from "../../../src/base/random.ts";
import type { Admin } from "../../../src/client/index.ts";
import type { LocalCluster } from "../../support/local-cluster.ts";
import type { ClusterView, PartitionView } from "../cluster-view.ts";
import type { Disks } from "../disk/disks.ts";
import type { Ledger } from "../ledger.ts";
import type { Load } from "../load.ts";
import type { Network } from "../network/network.ts";
import type { HistoryTopic, MixedHistory } from "./history.ts";
import type { BrokenDisk } from "./log-lines.ts";

/** What this machine must be able to do for a fault. */
export type Need = "images" | "strace" | "namespaces";

export interface TopicUnderTest {
  readonly history: HistoryTopic;
  readonly view: ClusterView;
  readonly load: Load;
}

export interface Arena {
  readonly random: Random;
  readonly cluster: LocalCluster;
  readonly network: Network;
  readonly disks: Disks;
  readonly topics: readonly TopicUnderTest[];
  readonly ledger: Ledger;
  readonly history: MixedHistory;
  /** Of a client of its own, not of the load's. */
  readonly admin: Admin;
  /** Acknowledged sends a second that the load makes when all is well. */
  readonly rate: number;
  /** What brokers may complain about. */
  readonly brokenDisks: BrokenDisk[];
  /** For logs and the output of tools. */
  readonly directory: string;
  /** Everything that makes the run fail, in words. */
  readonly problems: string[];
  /** Says what is going on (standard error). */
  readonly say: (text: string) => void;
}

/** One partition of one of the topics. */
export interface PlacedView extends PartitionView {
  readonly topic: TopicUnderTest;
}

/** All partitions of all topics, as the brokers see them. */
export async function describeAll({ topics }: Pick<Arena, "topics">): Promise<PlacedView[]> {
  const views = await Promise.all(
    topics.map(async (topic) => (await topic.view.describe()).map((view) => ({ ...view, topic }))),
  );
  return views.flat();
}

export function brokerIds({ cluster }: Pick<Arena, "cluster">): number[] {
  return cluster.nodes.map(({ id }) => id);
}

export async function waitAllInSync({ topics }: Arena, timeoutMs: number): Promise<void> {
  for (const { view } of topics) await view.waitInSync(timeoutMs);
}
