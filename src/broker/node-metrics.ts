// Gauges of a broker, read from the node when somebody scrapes; counters are fed by the rooms themselves.

import { wantedReplicas } from "../cluster/member-rules.ts";
import { UnsettledAges } from "../delivery/unsettled-ages.ts";
import { type GroupId, METADATA_GROUP } from "../model/ids.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import { EventLoopMonitor, publishEventLoop } from "../observe/event-loop.ts";
import type { Instruments } from "../observe/metrics.ts";
import { forgetSubscription } from "./delivery-recorder.ts";
import { inSyncNodes, isUnderReplicated } from "./led-groups.ts";
import type { BrokerNode } from "./node.ts";

export interface Observation {
  /** Brings every gauge up to date; called before each rendering, one call after the other. */
  refresh(): Promise<void>;
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
  const ages = new UnsettledAges(clock);
  const counted = new Set<string>();
  return {
    async refresh() {
      await ages.look(node.partitions.delivery.runners());
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
      refreshPartitions(node, instruments);
      refreshDelivery(node, instruments, ages);
      followSubscriptions(node, instruments, counted);
      refreshQueues(node, instruments);
      refreshMemory(node.memory, instruments);
    },
  };
}

function refreshReplicas(node: BrokerNode, instruments: Instruments): void {
  let led = 0;
  let leaderless = 0;
  let underReplicated = 0;
  let failed = 0;
  let recovering = 0;
  let applyLag = 0;
  let damaged = 0;
  let damagedEntries = 0;
  const bytes = new Map<string, number>();
  const inSync = new Map<string, number>();
  const replicas = node.replicas.all();
  for (const replica of replicas) {
    const status = replica.status();
    if (status.failed !== undefined) failed += 1;
    else if (replica.damagedEntries > 0) damaged += 1;
    damagedEntries += replica.damagedEntries;
    if (status.recovering) recovering += 1;
    if (replica.leaderNode === 0) leaderless += 1;
    applyLag = Math.max(applyLag, status.commitIndex - status.appliedIndex);
    const topic = topicOf(node, replica.groupId);
    bytes.set(topic, (bytes.get(topic) ?? 0) + status.logBytes);
    if (!replica.isLeaderReady) continue;
    led += 1;
    const count = inSyncNodes(replica.replicaId, status).length;
    const wanted = wantedOf(node, replica.groupId);
    if (isUnderReplicated(replica.replicaId, status, wanted)) underReplicated += 1;
    inSync.set(topic, Math.min(inSync.get(topic) ?? count, count));
  }
  instruments.leaderships.with().set(led);
  instruments.leaderless.with().set(leaderless);
  instruments.underReplicated.with().set(underReplicated);
  instruments.unproven.with().set(node.unprovenGroups.length);
  instruments.applyLag.with().set(applyLag);
  instruments.replicas.with("failed").set(failed);
  instruments.recovering.with().set(recovering);
  instruments.replicas.with("damaged").set(damaged);
  instruments.replicas.with("open").set(replicas.length - failed - damaged);
  instruments.damagedEntries.with().set(damagedEntries);
  // Topics that were deleted, and those that this node leads no more, are shown no more.
  instruments.inSync.replace(inSync);
  instruments.logBytes.replace(bytes);
}

function refreshPartitions(node: BrokerNode, instruments: Instruments): void {
  let producers = 0;
  for (const { state } of node.partitions.registry.all()) producers += state.producers.size;
  instruments.producers.with().set(producers);
  instruments.parkedFetches.with().set(node.partitions.slots.taken);
  const metadata = node.replicas.get(METADATA_GROUP)?.status();
  const lag = metadata === undefined ? 0 : metadata.commitIndex - metadata.appliedIndex;
  instruments.metadataLag.with().set(lag);
}

function refreshDelivery(node: BrokerNode, instruments: Instruments, ages: UnsettledAges): void {
  const unsettled = new Map<string, number>();
  const unsettledAge = new Map<string, number>();
  const outstanding = new Map<string, number>();
  const parked = new Map<string, number>();
  for (const runner of node.partitions.delivery.runners()) {
    const { name } = runner.row.definition;
    const { outstandingMessages, parkedKeys, unsettledMessages } = runner.progress();
    unsettled.set(name, (unsettled.get(name) ?? 0) + unsettledMessages);
    outstanding.set(name, (outstanding.get(name) ?? 0) + outstandingMessages);
    parked.set(name, (parked.get(name) ?? 0) + parkedKeys);
    const ageMs = ages.ageMs(runner);
    if (ageMs === undefined) continue;
    unsettledAge.set(name, Math.max(unsettledAge.get(name) ?? 0, ageMs / 1000));
  }
  instruments.unsettled.replace(unsettled);
  instruments.unsettledAge.replace(unsettledAge);
  instruments.outstanding.replace(outstanding);
  instruments.parkedKeys.replace(parked);
  instruments.pushSessions.with().set(node.partitions.delivery.sessions);
}

/**
 * Counters of dead letters are there before the first one: an alert on their growth would miss it otherwise. Those of
 * subscriptions that were deleted go.
 * @param counted names that have series here
 */
function followSubscriptions(
  node: BrokerNode,
  instruments: Instruments,
  counted: Set<string>,
): void {
  for (const { row } of node.partitions.delivery.runners()) {
    const { deadLetterTopic, name } = row.definition;
    counted.add(name);
    if (deadLetterTopic !== undefined) instruments.deadLetters.with(name, "moved");
  }
  for (const name of counted) {
    if (node.view.image.subscriptionByName(name) !== undefined) continue;
    forgetSubscription(instruments, name);
    counted.delete(name);
  }
}

function refreshQueues(node: BrokerNode, instruments: Instruments): void {
  for (const { lane, bytes, bytesMax } of node.transport.queues()) {
    instruments.queueDepth.with(`peer-${lane}`).set(bytes);
    instruments.queueLimit.with(`peer-${lane}`).set(bytesMax);
  }
}

function refreshMemory(memory: MemoryBudget, instruments: Instruments): void {
  for (const { limitBytes, purpose, usedBytes } of memory.uses()) {
    instruments.memoryUsed.with(purpose).set(usedBytes);
    instruments.memoryLimit.with(purpose).set(limitBytes);
  }
  instruments.memoryUsed.with("process").set(memory.processBytes);
  instruments.memoryLimit.with("process").set(memory.bytes);
}

/** Replicas that the topic wants; 0 for the metadata group. */
function wantedOf(node: BrokerNode, groupId: GroupId): number {
  const { partitions, topics } = node.view.image;
  const row = partitions.get(groupId);
  return row === undefined ? 0 : wantedReplicas(topics, row);
}

function topicOf(node: BrokerNode, groupId: GroupId): string {
  if (groupId === METADATA_GROUP) return "__metadata";
  const row = node.view.image.partitions.get(groupId);
  const topic = row === undefined ? undefined : node.view.image.topics.get(row.topicId);
  return topic?.name ?? "__unknown";
}
