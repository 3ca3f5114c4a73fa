import { afterEach, describe, expect, it } from "vitest";
import { isBrokerError } from "../../src/model/errors.ts";
import { advanceDraft, setDraft } from "../support/ledger-machine.ts";
import { ReplicaCluster } from "../support/replica-cluster.ts";

let cluster: ReplicaCluster;

async function start(options: ConstructorParameters<typeof ReplicaCluster>[0] = {}): Promise<void> {
  cluster = new ReplicaCluster(options);
  await cluster.start();
}

afterEach(() => {
  cluster.checkFailures();
});

describe("replicated group", () => {
  it("three nodes: elect a leader and apply the same entries everywhere", async () => {
    await start();
    const leader = await cluster.leader();
    const replies = await cluster.clock.until(
      Promise.all([1, 2, 3].map((n) => leader.replica.proposeAndApply(setDraft(`k${n}`, `v${n}`)))),
    );
    expect(replies).toEqual(["k1@0", "k2@1", "k3@2"]);
    await cluster.converge();
    expect(leader.machine.get("k3")).toBe("v3");
    expect(leader.replica.highWatermark).toBe(3);
  });

  it("followers: refuse proposals with a hint at the leader", async () => {
    await start();
    const leader = await cluster.leader();
    await cluster.clock.run(500);
    const follower = cluster.followers()[0];
    let error: unknown;
    try {
      follower?.replica.propose(setDraft("a", "b"));
    } catch (caught) {
      error = caught;
    }
    expect(isBrokerError(error, "NOT_LEADER") && error.fields["leaderId"]).toBe(leader.nodeId);
  });

  it("proposals of one turn: share one write, one message per follower and one flush round", async () => {
    await start();
    const leader = await cluster.leader();
    await cluster.clock.run(500);
    const before = cluster.appendsDelivered;
    for (let n = 0; n < 100; n += 1) leader.replica.propose(setDraft(`k${n}`, "v"));
    await cluster.clock.run(20);
    expect(leader.replica.highWatermark).toBe(100);
    // Two followers; some more for the news of the commit.
    expect(cluster.appendsDelivered - before).toBeLessThan(10);
  });

  it("each node crashes and restarts in turn: everything acknowledged is still there", async () => {
    await start();
    let acked = 0;
    for (const nodeId of cluster.nodeIds) {
      await cluster.putMany(20, acked);
      acked += 20;
      await cluster.crash(nodeId, "power");
      await cluster.putMany(20, acked);
      acked += 20;
      await cluster.restart(nodeId);
    }
    await cluster.converge();
    for (let n = 0; n < acked; n += 1) {
      for (const node of cluster.live()) expect(node.machine.get(`k${n}`)).toBe(`v${n}`);
    }
  });

  it("power cut of all nodes at once (flush sync): nothing acknowledged is lost", async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      await start({ seed });
      await cluster.putMany(50, 0);
      await Promise.all(cluster.nodeIds.map((nodeId) => cluster.crash(nodeId, "power")));
      for (const nodeId of cluster.nodeIds) await cluster.restart(nodeId);
      await cluster.leader();
      await cluster.converge();
      for (const node of cluster.live()) {
        for (let n = 0; n < 50; n += 1) expect(node.machine.get(`k${n}`), `${seed}`).toBe(`v${n}`);
      }
    }
  });

  it("kill of all nodes at once (flush async): nothing acknowledged is lost", async () => {
    await start({ flush: "async" });
    await cluster.putMany(50, 0);
    await Promise.all(cluster.nodeIds.map((nodeId) => cluster.crash(nodeId, "process")));
    for (const nodeId of cluster.nodeIds) await cluster.restart(nodeId);
    await cluster.leader();
    await cluster.converge();
    for (const node of cluster.live()) expect(node.machine.size).toBe(50);
  });

  it("high watermark and log start: are the same after a restart", async () => {
    await start();
    await cluster.putMany(30, 0);
    await cluster.converge();
    const [nodeId] = cluster.nodeIds;
    await cluster.stop(nodeId);
    await cluster.restart(nodeId);
    await cluster.leader();
    await cluster.converge();
    expect(cluster.node(nodeId).replica.highWatermark).toBe(30);
    expect(cluster.node(nodeId).replica.logStartOffset).toBe(0);
  });

  it("appendTime: never goes back though the new leader's clock does", async () => {
    await start({ skewMs: [60_000, 0, 0] });
    const first = cluster.nodeIds[0];
    await cluster.leaderOn(first);
    await cluster.putMany(1, 0);
    await cluster.crash(first, "power");
    await cluster.putMany(1, 1);
    const leader = await cluster.leader();
    const frames = await cluster.clock.until(leader.replica.read(1, 1 << 20));
    const times = frames.map((frame) => frame.appendTimeMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
  });
});

describe("a follower that fell behind", () => {
  it("catches up from the leader's disk when the entries left memory", async () => {
    await start({ tailBytesMax: 4096 });
    await cluster.leader();
    const behind = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
    await cluster.crash(behind, "power");
    await cluster.putMany(200, 0, 200);
    await cluster.restart(behind);
    await cluster.converge();
    expect(cluster.node(behind).machine.size).toBe(200);
    expect(cluster.node(behind).machine.appliedKeys).toHaveLength(200);
  });

  it("gets an image when the log start moved, then leads, and survives a restart", async () => {
    await start({ segmentBytes: 4096, tailBytesMax: 4096 });
    await cluster.leader();
    const behind = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
    await cluster.crash(behind, "power");
    await cluster.putMany(100, 0, 200);
    const { replica } = await cluster.leader();
    await cluster.clock.until(replica.proposeAndApply(advanceDraft(80)));
    const dropped = await cluster.clock.runUntil(
      () => (replica.segments()[0]?.firstIndex ?? 1) > 1,
      10_000,
    );
    expect(dropped).toBe(true);
    expect(replica.logStartOffset).toBeGreaterThan(70);
    await cluster.putMany(10, 100, 200);
    await cluster.restart(behind);
    await cluster.converge();
    const caughtUp = cluster.node(behind);
    // Everything is there, but most of it was never applied here.
    expect(caughtUp.machine.size).toBe(110);
    expect(caughtUp.machine.appliedKeys.length).toBeLessThan(50);
    expect(caughtUp.replica.logStartOffset).toBe(replica.logStartOffset);
    await cluster.leaderOn(behind);
    await cluster.putMany(10, 110);
    await cluster.crash(behind, "power");
    await cluster.restart(behind);
    await cluster.leader();
    await cluster.converge();
    expect(cluster.node(behind).machine.size).toBe(120);
  });

  it("an image is sent by a leader that cannot commit without its receiver (flush async)", async () => {
    await start({ flush: "async", segmentBytes: 4096, tailBytesMax: 4096 });
    const former = await cluster.leader();
    const [behind, survivor] = cluster.followers();
    if (behind === undefined || survivor === undefined) throw new Error("two followers");
    await cluster.crash(behind.nodeId, "process");
    await cluster.putMany(100, 0, 200);
    const { replica } = former;
    await cluster.clock.until(replica.proposeAndApply(advanceDraft(80)));
    const hasDropped = (): boolean =>
      [former, survivor].every((node) => (node.replica.segments()[0]?.firstIndex ?? 1) > 1);
    expect(await cluster.clock.runUntil(hasDropped, 10_000)).toBe(true);
    // The newest entry is committed, on no majority of disks, and its leader does not come back.
    await cluster.clock.until(replica.proposeAndApply(setDraft("k100", "v100")));
    const { commitIndex } = replica.watermarks;
    const hasHeard = (): boolean => survivor.replica.watermarks.appliedIndex === commitIndex;
    expect(await cluster.clock.runUntil(hasHeard, 1000)).toBe(true);
    expect(survivor.replica.watermarks.durableCommitIndex).toBeLessThan(commitIndex);
    await cluster.crash(former.nodeId, "process");
    await cluster.restart(behind.nodeId);
    await cluster.putMany(1, 101);
    await cluster.converge();
    expect(cluster.node(behind.nodeId).machine.size).toBe(102);
  });

  it("while it fills up after an image, the log start that it was given stays on the leader", async () => {
    await start({ segmentBytes: 4096, tailBytesMax: 4096 });
    await cluster.leader();
    const behind = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
    await cluster.crash(behind, "power");
    await cluster.putMany(100, 0, 200);
    const { replica, counters } = await cluster.leader();
    const firstIndex = (): number => replica.segments()[0]?.firstIndex ?? 1;
    await cluster.clock.until(replica.proposeAndApply(advanceDraft(50)));
    await cluster.clock.runUntil(() => firstIndex() > 1, 10_000);
    const pinned = firstIndex();
    // The image gets through, the entries after it do not.
    cluster.network.filter = (_from, to, { message }) =>
      to !== behind || message.kind !== "append-request" || message.entries.length === 0;
    await cluster.restart(behind);
    await cluster.clock.runUntil(() => counters.get("images_sent") === 1, 10_000);
    await cluster.clock.until(replica.proposeAndApply(advanceDraft(95)));
    await cluster.clock.run(10_000);
    expect(firstIndex()).toBe(pinned);
    cluster.network.filter = () => true;
    await cluster.converge();
    expect(await cluster.clock.runUntil(() => firstIndex() > pinned, 10_000)).toBe(true);
    expect(cluster.node(behind).machine.size).toBe(100);
  });

  it("a crash at any point of an installation is finished or repeated", async () => {
    for (let seed = 1; seed <= 12; seed += 1) {
      await start({ segmentBytes: 4096, tailBytesMax: 4096, seed });
      await cluster.leader();
      const behind = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
      await cluster.putMany(10, 0, 200);
      await cluster.crash(behind, "power");
      await cluster.putMany(100, 10, 200);
      const { replica } = await cluster.leader();
      await cluster.clock.until(replica.proposeAndApply(advanceDraft(80)));
      await cluster.clock.runUntil(() => (replica.segments()[0]?.firstIndex ?? 1) > 1, 10_000);
      await cluster.restart(behind);
      // The installation's steps are disk operations: the power goes at a different one for each seed.
      await cluster.crashAfterChanges(behind, seed);
      await cluster.restart(behind);
      await cluster.converge();
      expect(cluster.node(behind).machine.size, `seed ${seed}`).toBe(110);
    }
  });
});
