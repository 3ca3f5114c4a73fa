import { afterEach, describe, expect, it } from "vitest";
import { isBrokerError } from "../../src/model/errors.ts";
import { type NodeId, nodeOfReplica, type ReplicaId, replicaIdOf } from "../../src/model/ids.ts";
import { setDraft } from "../support/ledger-machine.ts";
import { ReplicaCluster } from "../support/replica-cluster.ts";

let cluster: ReplicaCluster;

async function start(options: ConstructorParameters<typeof ReplicaCluster>[0] = {}): Promise<void> {
  cluster = new ReplicaCluster(options);
  await cluster.start();
}

afterEach(() => {
  cluster.checkFailures();
});

function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
}

describe("waiting for an entry", () => {
  it("leadership lost before commit: the outcome is unknown, not success", async () => {
    await start();
    const leader = await cluster.leader();
    cluster.network.isolate(leader.nodeId, cluster.nodeIds);
    const outcome = failure(leader.replica.proposeAndApply(setDraft("lost", "v")));
    await cluster.leaderOtherThan(leader.nodeId);
    await cluster.putMany(3, 0);
    cluster.network.heal();
    expect(isBrokerError(await cluster.clock.until(outcome), "LEADERSHIP_LOST")).toBe(true);
    await cluster.converge();
    expect(leader.machine.get("lost")).toBeUndefined();
    expect(leader.machine.get("k2")).toBe("v2");
  });

  it("listeners: hear of ready, of advances, and of the end for the same term", async () => {
    await start();
    const leader = await cluster.leader();
    const seen: string[] = [];
    leader.replica.listen({
      onAdvance: () => seen.push("advance"),
      onLeaderReady: (term) => seen.push(`ready ${term}`),
      onLeadershipLost: (term) => seen.push(`lost ${term}`),
    });
    await cluster.putMany(1, 0);
    expect(seen).toContain("advance");
    const { term } = leader.replica;
    cluster.network.isolate(leader.nodeId, cluster.nodeIds);
    await cluster.leaderOtherThan(leader.nodeId);
    cluster.network.heal();
    await cluster.converge();
    expect(seen).toContain(`lost ${term}`);
    await cluster.leaderOn(leader.nodeId);
    expect(seen).toContain(`ready ${leader.replica.term}`);
  });
});

describe("linearizable reads", () => {
  it("a barrier: passes on the leader and includes what was committed before", async () => {
    await start();
    const leader = await cluster.leader();
    const { index } = leader.replica.propose(setDraft("k", "v"));
    await cluster.clock.runUntil(() => leader.replica.watermarks.commitIndex >= index, 5000);
    await cluster.clock.until(leader.replica.readBarrier());
    expect(leader.machine.get("k")).toBe("v");
  });

  it("a barrier on a leader that is cut off: fails, it never passes", async () => {
    await start();
    const leader = await cluster.leader();
    cluster.network.isolate(leader.nodeId, cluster.nodeIds);
    const outcome = await cluster.clock.until(failure(leader.replica.readBarrier()));
    expect(isBrokerError(outcome)).toBe(true);
  });
});

describe("handing over", () => {
  it("transfer: the named node leads and nothing acknowledged is lost", async () => {
    await start();
    const leader = await cluster.leader();
    await cluster.putMany(10, 0);
    const target = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
    await cluster.clock.until(leader.replica.transferLeadership(target));
    expect((await cluster.leader()).nodeId).toBe(target);
    await cluster.putMany(10, 10);
    await cluster.converge();
    expect(leader.machine.size).toBe(20);
  });

  it("transfer without target: the best candidate leads; a dead target is refused or times out", async () => {
    await start();
    const leader = await cluster.leader();
    await cluster.clock.until(leader.replica.transferLeadership());
    const second = await cluster.leader();
    expect(second.nodeId).not.toBe(leader.nodeId);
    await cluster.crash(leader.nodeId, "power");
    const outcome = failure(second.replica.transferLeadership(leader.nodeId));
    expect(isBrokerError(await cluster.clock.until(outcome), "NOT_ENOUGH_REPLICAS")).toBe(true);
    await cluster.putMany(3, 0);
  });

  it("membership: a second change while one is under way is refused with CHANGE_IN_PROGRESS", async () => {
    await start();
    const leader = await cluster.leader();
    const voters = cluster.nodeIds.map((nodeId) => replicaIdOf(nodeId, 0));
    const target = { voters, learners: [replicaIdOf(4 as NodeId, 0)] };
    const first = leader.replica.changeMembership(target);
    const second = failure(leader.replica.changeMembership({ voters, learners: [] }));
    expect(isBrokerError(await cluster.clock.until(second), "CHANGE_IN_PROGRESS")).toBe(true);
    await cluster.clock.until(first);
    expect(leader.replica.membership.learners).toEqual(target.learners);
  });

  it("membership: a learner is added, catches up, replaces a voter; it survives restarts", async () => {
    await start({ nodes: 4, voters: 3 });
    const leader = await cluster.leader();
    await cluster.putMany(20, 0);
    const ids = cluster.nodeIds.map((nodeId) => replicaIdOf(nodeId, 0));
    const [one, two, three, four] = ids as unknown as [ReplicaId, ReplicaId, ReplicaId, ReplicaId];
    const others = [one, two, three].filter((id) => id !== leader.replica.replicaId);
    const removed = others[0] ?? three;
    const final = [one, two, three].filter((id) => id !== removed);
    const change = (voters: ReplicaId[], learners: ReplicaId[]): Promise<void> =>
      cluster.clock.until(leader.replica.changeMembership({ voters, learners }));
    await change([one, two, three], [four]);
    await cluster.open(4 as NodeId);
    const newcomer = cluster.node(4 as NodeId);
    await cluster.clock.runUntil(() => newcomer.machine.size === 20, 5000);
    expect(newcomer.machine.size).toBe(20);
    await change([...final, four], []);
    await cluster.crash(nodeOfReplica(removed), "power");
    await cluster.putMany(5, 20);
    for (const nodeId of cluster.liveIds()) {
      await cluster.crash(nodeId, "power");
      await cluster.restart(nodeId);
      await cluster.leader();
    }
    await cluster.putMany(5, 25);
    await cluster.converge();
    const { voters } = cluster.node(4 as NodeId).replica.membership;
    expect([...voters].sort((left, right) => left - right)).toEqual([...final, four]);
  });
});

describe("membership after a power cut", () => {
  it("founders are gone for good, the group's state is made again from its log: the present members elect", async () => {
    await start({ nodes: 5, voters: 3 });
    await cluster.leader();
    await cluster.putMany(10, 0);
    const ids = cluster.nodeIds.map((nodeId) => replicaIdOf(nodeId, 0));
    const [one, two, three, four, five] = ids as [
      ReplicaId,
      ReplicaId,
      ReplicaId,
      ReplicaId,
      ReplicaId,
    ];
    await cluster.leaderOn(1 as NodeId);
    const change = (voters: ReplicaId[], learners: ReplicaId[]): Promise<void> =>
      cluster.clock.until(cluster.node(1 as NodeId).replica.changeMembership({ voters, learners }));
    await change([one, two, three], [four, five]);
    await cluster.open(4 as NodeId);
    await cluster.open(5 as NodeId);
    await cluster.converge();
    await change([one, four, five], []);
    await cluster.crash(2 as NodeId, "power");
    await cluster.crash(3 as NodeId, "power");
    await cluster.putMany(5, 10);
    await cluster.converge();
    for (const nodeId of cluster.liveIds()) {
      await cluster.crash(nodeId, "power");
      await cluster.wipeKeyed(nodeId);
    }
    for (const nodeId of [1, 4, 5] as NodeId[]) await cluster.restart(nodeId);
    await cluster.putMany(5, 15);
    await cluster.converge();
    expect(cluster.node(4 as NodeId).machine.size).toBe(20);
  });
});

describe("many groups", () => {
  it("heartbeats: travel bundled per node pair", async () => {
    await start({ groups: 30 });
    await cluster.leader();
    await cluster.clock.run(3000);
    const sends = cluster.network.sends;
    await cluster.clock.run(1000);
    // 30 groups would be 30 × 2 × 2 × 6.7 = 800 messages; bundled: 20 ticks × 3 nodes × 2 peers × both ways at most.
    expect(cluster.network.sends - sends).toBeLessThan(300);
    expect(cluster.leadersPerGroup()).toBe(30);
  });
});
