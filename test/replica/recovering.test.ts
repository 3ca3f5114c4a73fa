// Who is marked as recovering, who not, and how the mark goes (ADR 0012). The vote rule itself: test/raft/scenarios.
import { expect, it } from "vitest";
import type { NodeId } from "../../src/model/ids.ts";
import { GROUP, ReplicaCluster } from "../support/replica-cluster.ts";

const [ONE, TWO, THREE] = [1 as NodeId, 2 as NodeId, 3 as NodeId];

async function asyncCluster(nodes = 3): Promise<ReplicaCluster> {
  const cluster = new ReplicaCluster({ flush: "async", nodes });
  await cluster.start();
  await cluster.leaderOn(ONE);
  return cluster;
}

function isMarked(cluster: ReplicaCluster, nodeId: NodeId): boolean {
  const { replica } = cluster.node(nodeId);
  return replica.record.recovering && replica.status().recovering;
}

it("kill -9 of all brokers: nobody is marked and nothing is lost (T65)", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(20, 1);
  for (const nodeId of cluster.nodeIds) await cluster.crash(nodeId, "process");
  for (const nodeId of cluster.nodeIds) await cluster.restart(nodeId);
  for (const nodeId of cluster.nodeIds) expect(isMarked(cluster, nodeId)).toBe(false);
  await cluster.leader();
  await cluster.converge();
  for (let n = 1; n <= 20; n += 1) expect(cluster.node(TWO).machine.get(`k${n}`)).toBe(`v${n}`);
});

it("loss of power: marked until everything is there and flushed again; the record is durable first", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(20, 1);
  await cluster.crash(TWO, "power");
  await cluster.restart(TWO);
  expect(isMarked(cluster, TWO)).toBe(true);
  const two = cluster.node(TWO);
  await cluster.clock.runUntil(() => !two.replica.status().recovering, 5000);
  expect(two.replica.status().recovering).toBe(false);
  expect(two.journal.durable.get(GROUP)?.recovering).toBe(false);
  expect(two.replica.watermarks.flushedIndex).toBeGreaterThanOrEqual(20);
  expect(two.counters.get("recoveries_begun")).toBe(1);
  expect(two.counters.get("recoveries_finished")).toBe(1);
});

it("a second crash while catching up: the mark is still there, whatever kind of crash it is (T64)", async () => {
  for (const kind of ["process", "power"] as const) {
    const cluster = await asyncCluster();
    await cluster.putMany(20, 1);
    await cluster.crash(TWO, "power");
    cluster.network.isolate(TWO, cluster.nodeIds);
    await cluster.restart(TWO);
    await cluster.clock.run(300);
    expect(isMarked(cluster, TWO)).toBe(true);
    await cluster.crash(TWO, kind);
    await cluster.restart(TWO);
    expect(isMarked(cluster, TWO)).toBe(true);
    cluster.network.heal();
    await cluster.clock.runUntil(() => !isMarked(cluster, TWO), 20_000);
    expect(isMarked(cluster, TWO)).toBe(false);
  }
});

it("an acknowledged entry outlives its follower's page cache and the loss of its leader (T61, T62)", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(5, 1);
  await cluster.clock.run(1000);
  cluster.network.isolate(THREE, cluster.nodeIds);
  const { replica } = await cluster.leader();
  const before = replica.watermarks.commitIndex;
  await cluster.putMany(1, 6);
  expect(replica.watermarks.commitIndex).toBeGreaterThan(before);
  await cluster.crash(TWO, "power");
  await cluster.crash(ONE, "process");
  cluster.network.heal();
  await cluster.restart(TWO);
  // A majority is there, but the one that remembers knows nothing of the entry.
  await cluster.clock.run(10_000);
  expect(cluster.live().some(({ replica: one }) => one.isLeaderReady)).toBe(false);
  expect(cluster.node(THREE).replica.status().recoveringPeers).toEqual([
    cluster.node(TWO).replica.replicaId,
  ]);
  await cluster.restart(ONE);
  await cluster.leader();
  await cluster.converge();
  expect(cluster.node(THREE).machine.get("k6")).toBe("v6");
});

it("all lose power: the group goes on when all are back, and all marks go (T63)", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(20, 1);
  await cluster.clock.run(1000);
  for (const nodeId of cluster.nodeIds) await cluster.crash(nodeId, "power");
  await cluster.restart(ONE);
  await cluster.restart(TWO);
  await cluster.clock.run(5000);
  expect(cluster.live().some(({ replica }) => replica.isLeaderReady)).toBe(false);
  await cluster.restart(THREE);
  await cluster.leader();
  await cluster.converge();
  await cluster.clock.run(2000);
  for (const nodeId of cluster.nodeIds) {
    expect(isMarked(cluster, nodeId)).toBe(false);
    expect(cluster.node(nodeId).machine.get("k20")).toBe("v20");
  }
});

it("a clean end, or a group that is never lazy: not marked by a new boot", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(5, 1);
  await cluster.stop(THREE);
  cluster.newBoot(THREE);
  await cluster.restart(THREE);
  expect(isMarked(cluster, THREE)).toBe(false);
  const sync = new ReplicaCluster({ flush: "sync" });
  await sync.start();
  await sync.putMany(5, 1);
  await sync.crash(THREE, "power");
  await sync.restart(THREE);
  expect(isMarked(sync, THREE)).toBe(false);
});

it("a clean end of a node whose replica stopped by itself marks that one: it was not flushed", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(5, 1);
  cluster.node(THREE).replica.stop(new Error("damaged"));
  await cluster.stop(THREE);
  cluster.newBoot(THREE);
  await cluster.restart(THREE);
  expect(isMarked(cluster, THREE)).toBe(true);
});

it("a clean end of a run that did not open the group marks it, if the run before was killed", async () => {
  const cluster = await asyncCluster();
  await cluster.putMany(5, 1);
  await cluster.crash(THREE, "process");
  await cluster.boot(THREE);
  await cluster.stop(THREE);
  cluster.newBoot(THREE);
  await cluster.restart(THREE);
  expect(isMarked(cluster, THREE)).toBe(true);
});

it("a group of one leads at once after a loss of power, and clears its mark", async () => {
  const cluster = await asyncCluster(1);
  await cluster.putMany(5, 1);
  await cluster.crash(ONE, "power");
  await cluster.restart(ONE);
  expect(isMarked(cluster, ONE)).toBe(true);
  await cluster.leader();
  await cluster.clock.run(1000);
  expect(isMarked(cluster, ONE)).toBe(false);
});
