// A group whose majority is gone for good: one survivor goes on, and whoever comes back later is kept apart.
import { afterEach, describe, expect, it } from "vitest";
import { isBrokerError } from "../../src/model/errors.ts";
import { type NodeId, replicaIdOf } from "../../src/model/ids.ts";
import { setDraft } from "../support/ledger-machine.ts";
import { GROUP, ReplicaCluster } from "../support/replica-cluster.ts";

const NEW_REVISION = 50;
let cluster: ReplicaCluster;

afterEach(() => {
  cluster.checkFailures();
});

/** Three nodes with ten entries everywhere; the other two die. Returns the survivor. */
async function survivorOf(kind: "process" | "power" = "process"): Promise<NodeId> {
  cluster = new ReplicaCluster();
  await cluster.start();
  await cluster.putMany(10, 0);
  await cluster.converge();
  const [survivor, ...others] = cluster.nodeIds;
  for (const nodeId of others) await cluster.crash(nodeId, kind);
  return survivor;
}

function successionOn(nodeId: NodeId) {
  return {
    groupId: GROUP,
    from: replicaIdOf(nodeId, 0),
    to: replicaIdOf(nodeId, NEW_REVISION),
  };
}

async function succeedOn(nodeId: NodeId): Promise<void> {
  await cluster.clock.until(cluster.node(nodeId).set.succeedGroup(successionOn(nodeId)));
}

describe("succession", () => {
  it("the survivor leads alone with everything that it had, committed or not", async () => {
    const nodeId = await survivorOf();
    const { replica } = cluster.node(nodeId);
    if (replica.isLeaderReady)
      void replica.proposeAndApply(setDraft("uncommitted", "v")).catch(() => undefined);
    await cluster.clock.run(5000);
    expect(cluster.node(nodeId).replica.isLeaderReady).toBe(false);
    const before = cluster.node(nodeId).replica.watermarks.writtenIndex;
    await succeedOn(nodeId);
    await cluster.open(nodeId, NEW_REVISION);
    const leader = await cluster.leader();
    expect(leader.nodeId).toBe(nodeId);
    expect(leader.replica.membership).toEqual({
      voters: [replicaIdOf(nodeId, NEW_REVISION)],
      learners: [],
    });
    expect(leader.replica.watermarks.commitIndex).toBeGreaterThan(before);
    await cluster.putMany(5, 10);
    for (let n = 0; n < 15; n += 1) expect(leader.machine.get(`k${n}`)).toBe(`v${n}`);
  });

  it("those who come back find nobody: no message of theirs reaches the new replica, nor the reverse", async () => {
    const nodeId = await survivorOf();
    await cluster.clock.run(5000);
    await succeedOn(nodeId);
    await cluster.open(nodeId, NEW_REVISION);
    await cluster.leader();
    await cluster.putMany(5, 10);
    const { term } = cluster.node(nodeId).replica;
    for (const other of cluster.nodeIds.slice(1)) await cluster.restart(other);
    await cluster.clock.run(20_000);
    const { replica } = cluster.node(nodeId);
    expect(replica.isLeaderReady).toBe(true);
    expect(replica.term).toBe(term);
    for (const other of cluster.nodeIds.slice(1)) {
      expect(cluster.node(other).machine.get("k12")).toBeUndefined();
    }
  });

  it("repeated: once is enough; another directory's replica is refused", async () => {
    const nodeId = await survivorOf();
    await succeedOn(nodeId);
    await succeedOn(nodeId);
    await cluster.open(nodeId, NEW_REVISION);
    await cluster.leader();
    const wrong = { ...successionOn(nodeId), to: replicaIdOf(nodeId, NEW_REVISION + 1) };
    const refusal = cluster
      .node(nodeId)
      .set.succeedGroup(wrong)
      .catch((error: unknown) => error);
    expect(isBrokerError(await cluster.clock.until(refusal), "STALE_REPLICA")).toBe(true);
  });

  it("power cut after any step: repeated, it ends the same", async () => {
    for (let changes = 0; changes < 8; changes += 1) {
      const nodeId = await survivorOf("power");
      await cluster.clock.run(5000);
      const done = cluster.node(nodeId).set.succeedGroup(successionOn(nodeId));
      done.catch(() => undefined);
      await cluster.crashAfterChanges(nodeId, changes);
      await cluster.boot(nodeId);
      await succeedOn(nodeId);
      await cluster.open(nodeId, NEW_REVISION);
      const leader = await cluster.leader();
      await cluster.putMany(1, 10);
      for (let n = 0; n < 11; n += 1) expect(leader.machine.get(`k${n}`)).toBe(`v${n}`);
      cluster.checkFailures();
    }
  });

  it("a command goes with it: applied once, before anything else, also when it had to be repeated", async () => {
    const nodeId = await survivorOf();
    await cluster.clock.run(5000);
    const [section] = setDraft("decree", "v").sections;
    const command = section?.bytes;
    if (command === undefined) throw new Error("a command");
    const succession = { ...successionOn(nodeId), command };
    await cluster.clock.until(cluster.node(nodeId).set.succeedGroup(succession));
    await cluster.clock.until(cluster.node(nodeId).set.succeedGroup(succession));
    await cluster.open(nodeId, NEW_REVISION);
    const leader = await cluster.leader();
    expect(leader.machine.get("decree")).toBe("v");
    expect(leader.machine.get("k9")).toBe("v9");
  });

  it("grows again: new replicas join the survivor by ordinary changes", async () => {
    const nodeId = await survivorOf();
    await succeedOn(nodeId);
    await cluster.open(nodeId, NEW_REVISION);
    const leader = await cluster.leader();
    const [, second] = cluster.nodeIds;
    if (second === undefined) throw new Error("three nodes");
    await cluster.boot(second);
    await cluster.open(second, NEW_REVISION + 1);
    const members = [nodeId, second].map((id, place) => replicaIdOf(id, NEW_REVISION + place));
    const [first, other] = members;
    if (first === undefined || other === undefined) throw new Error("two members");
    await cluster.clock.until(
      leader.replica.changeMembership({ voters: [first], learners: [other] }),
    );
    await cluster.clock.run(2000);
    await cluster.clock.until(leader.replica.changeMembership({ voters: members, learners: [] }));
    await cluster.putMany(3, 10);
    await cluster.clock.run(2000);
    expect(cluster.node(second).machine.text()).toBe(leader.machine.text());
  });
});
