// Gauges of a broker, read from the node when somebody scrapes; counters are fed by the rooms themselves.

import { METADATA_GROUP } from "../model/ids.ts";
import { EventLoopMonitor, publishEventLoop } from "../observe/event-loop.ts";
import type { Cell, Instruments } from "../observe/metrics.ts";
import type { PartitionCounter, PartitionMetrics } from "../partition/partition-metrics.ts";
import { inSyncNodes } from "./led-groups.ts";
import type { BrokerNode } from "./node.ts";

export interface Observation {
  /** Brings every gauge up to date; called before each rendering. */
  refresh(): void;
}

/** The partition room's counters, as far as they have an instrument. */
export function createPartitionRecorder(instruments: Instruments): PartitionMetrics {
  const cells: Partial<Record<PartitionCounter, Cell>> = {
    records_appended: instruments.produceRecords.with("all"),
    bytes_appended: instruments.produceBytes.with("all"),
    batches_appended: instruments.produceBatches.with("ok"),
    duplicates_answered: instruments.produceBatches.with("duplicate"),
    appends_refused: instruments.produceBatches.with("refused"),
    bytes_fetched: instruments.fetchBytes.with("all"),
  };
  return { count: (name, by = 1) => cells[name]?.add(by) };
}

export interface ConnectionCounts {
  readonly client: number;
  readonly peer: number;
}

export function observeNode(
  node: BrokerNode,
  instruments: Instruments,
  connections: () => ConnectionCounts,
): Observation {
  const { clock } = node.ports;
  const monitor = new EventLoopMonitor();
  monitor.start();
  publishEventLoop(monitor, instruments, () => clock.monotonicMs());
  instruments.buildInfo.with("0.1.0", process.version, process.platform).set(1);
  return {
    refresh() {
      refreshReplicas(node, instruments);
      const counts = connections();
      instruments.connections.with("client").set(counts.client);
      instruments.connections.with("peer").set(counts.peer);
      instruments.diskFree.with().set(node.ports.disk.freeBytes());
      instruments.topics.with().set(node.view.image.topics.size);
      const nowMs = clock.monotonicMs();
      const nodes = [...node.view.image.nodes.values()];
      const alive = nodes.filter(({ nodeId }) => node.liveness.isAlive(nodeId, nowMs));
      instruments.nodesAlive.with().set(alive.filter(({ fenced }) => !fenced).length);
    },
  };
}

function refreshReplicas(node: BrokerNode, instruments: Instruments): void {
  let led = 0;
  let leaderless = 0;
  let underReplicated = 0;
  let failed = 0;
  let applyLag = 0;
  const bytes = new Map<string, number>();
  const inSync = new Map<string, number>();
  const replicas = node.replicas.all();
  for (const replica of replicas) {
    const status = replica.status();
    if (status.failed !== undefined) failed += 1;
    if (replica.leaderNode === 0) leaderless += 1;
    applyLag = Math.max(applyLag, status.commitIndex - status.appliedIndex);
    const topic = topicOf(node, replica.groupId);
    bytes.set(topic, (bytes.get(topic) ?? 0) + status.logBytes);
    if (!replica.isLeaderReady) continue;
    led += 1;
    const count = inSyncNodes(replica.replicaId, status).length;
    if (count < status.membership.voters.length) underReplicated += 1;
    inSync.set(topic, Math.min(inSync.get(topic) ?? count, count));
  }
  instruments.leaderships.with().set(led);
  instruments.leaderless.with().set(leaderless);
  instruments.underReplicated.with().set(underReplicated);
  instruments.applyLag.with().set(applyLag);
  instruments.replicas.with("failed").set(failed);
  instruments.replicas.with("open").set(replicas.length - failed);
  for (const [topic, count] of inSync) instruments.inSync.with(topic).set(count);
  for (const [topic, size] of bytes) instruments.logBytes.with(topic).set(size);
}

function topicOf(node: BrokerNode, groupId: Parameters<BrokerNode["replicas"]["get"]>[0]): string {
  if (groupId === METADATA_GROUP) return "__metadata";
  const row = node.view.image.partitions.get(groupId);
  const topic = row === undefined ? undefined : node.view.image.topics.get(row.topicId);
  return topic?.name ?? "__unknown";
}
