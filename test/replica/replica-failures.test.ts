import { afterEach, describe, expect, it } from "vitest";
import { defined } from "../../src/base/assert.ts";
import type { Disk } from "../../src/log/ports.ts";
import { isBrokerError } from "../../src/model/errors.ts";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
import { COMMAND_RESERVE_BYTES } from "../../src/model/limits.ts";
import type { EntryDraft } from "../../src/replica/ports.ts";
import type { Replica } from "../../src/replica/replica.ts";
import { advanceDraft, setDraft } from "../support/ledger-machine.ts";
import { GROUP, ReplicaCluster } from "../support/replica-cluster.ts";

let cluster: ReplicaCluster;

async function start(options: ConstructorParameters<typeof ReplicaCluster>[0] = {}): Promise<void> {
  cluster = new ReplicaCluster(options);
  await cluster.start();
}

afterEach(() => {
  cluster.checkFailures();
});

describe("promises", () => {
  it("votes: leave only when term and vote are on disk", async () => {
    cluster = new ReplicaCluster();
    let checked = 0;
    cluster.network.filter = (from, _to, { message }) => {
      if (message.kind !== "vote-response" || message.pre || !message.granted) return true;
      const durable = cluster.node(from).journal.durable.get(GROUP);
      expect([durable?.term, durable?.vote]).toEqual([message.term, message.to]);
      checked += 1;
      return true;
    };
    await cluster.start();
    await cluster.leader();
    expect(checked).toBeGreaterThan(0);
  });

  it("acks (flush sync): are given when a majority holds the entry durably", async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      await start({ syncMs: 3, seed });
      const leader = await cluster.leader();
      await cluster.putMany(seed, 0);
      const { index } = leader.replica.propose(setDraft("last", "v"));
      const isAcked = (): boolean => leader.replica.watermarks.commitIndex >= index;
      expect(await cluster.clock.runUntil(isAcked, 5000)).toBe(true);
      expect(await cluster.durableHolders(index), `seed ${seed}`).toBeGreaterThanOrEqual(2);
    }
  });

  it("acks (flush sync) on disks that lie about syncs: are lost, so the test above can see a loss", async () => {
    await start();
    const leader = await cluster.leader();
    for (const { disk } of cluster.live()) {
      const effect = { kind: "lie" } as const;
      disk.inject({ operations: ["sync"], times: Number.POSITIVE_INFINITY, effect });
    }
    const { index } = leader.replica.propose(setDraft("last", "v"));
    const isAcked = (): boolean => leader.replica.watermarks.commitIndex >= index;
    expect(await cluster.clock.runUntil(isAcked, 5000)).toBe(true);
    expect(await cluster.durableHolders(index)).toBeLessThan(2);
  });

  it("watermarks (flush async): commit comes before the disks, durable commit with them", async () => {
    for (const level of ["commitIndex", "durableCommitIndex"] as const) {
      await start({ flush: "async", syncMs: 3 });
      const leader = await cluster.leader();
      await cluster.clock.run(500);
      const { index } = leader.replica.propose(setDraft("k", "v"));
      const isReached = (): boolean => leader.replica.watermarks[level] >= index;
      expect(await cluster.clock.runUntil(isReached, 5000)).toBe(true);
      const holders = await cluster.durableHolders(index);
      if (level === "commitIndex") expect(holders).toBe(0);
      else expect(holders).toBeGreaterThanOrEqual(2);
    }
  });

  it("requestFlush (flush async): makes followers flush at once", async () => {
    await start({ flush: "async" });
    const leader = await cluster.leader();
    await cluster.clock.run(500);
    const { index } = leader.replica.propose(setDraft("k", "v"));
    leader.replica.requestFlush();
    const isDurable = (): boolean => leader.replica.watermarks.durableCommitIndex >= index;
    expect(await cluster.clock.runUntil(isDurable, 40)).toBe(true);
    expect(await cluster.durableHolders(index)).toBeGreaterThanOrEqual(2);
  });

  it("an async group: is marked lazy, durably, before it acknowledges", async () => {
    await start({ flush: "async" });
    expect(cluster.node(1 as NodeId).journal.durable.get(GROUP)?.lazy).toBe(true);
    await start({ flush: "sync" });
    const leader = await cluster.leader();
    expect(cluster.node(1 as NodeId).journal.durable.get(GROUP)?.lazy).toBe(false);
    for (const node of cluster.live()) node.replica.setFlush("async");
    await cluster.clock.run(50);
    expect(cluster.node(1 as NodeId).journal.durable.get(GROUP)?.lazy).toBe(true);
    const reply = leader.replica.proposeAndApply(setDraft("k", "v"));
    expect(await cluster.clock.until(reply)).toBe("k@0");
  });
});

describe("no room for messages", () => {
  const refusal = (leader: { readonly replica: Replica }, draft: EntryDraft): unknown => {
    try {
      leader.replica.propose(draft);
      return undefined;
    } catch (error) {
      return isBrokerError(error) ? error.reason : error;
    }
  };

  it("a full disk: refuses entries with records, and takes those that free room", async () => {
    await start({ diskReserveBytes: 1024 * 1024 });
    const leader = await cluster.leader();
    leader.memory.setCapacity(512 * 1024);
    await cluster.clock.run(3000);
    expect(refusal(leader, setDraft("k", "v"))).toBe("DISK_FULL");
    const applied = leader.replica.proposeAndApply(advanceDraft(1));
    await cluster.clock.until(applied);
    leader.memory.setCapacity(undefined);
  });

  it("uncommitted bytes at their limit: entries without records have a reserve, and that is bounded too", async () => {
    await start();
    const leader = await cluster.leader();
    const large = setDraft("k", "v", 1024 * 1024);
    while (refusal(leader, large) === undefined);
    expect(refusal(leader, large)).toBe("OVERLOADED");
    let reserveBytes = 0;
    const { sections } = large;
    const command: EntryDraft = { kind: "data", recordCount: 0, layoutEpoch: 0, sections };
    while (refusal(leader, command) === undefined) reserveBytes += 1024 * 1024;
    expect(refusal(leader, command)).toBe("OVERLOADED");
    expect(reserveBytes).toBeGreaterThanOrEqual(COMMAND_RESERVE_BYTES - 1024 * 1024);
    expect(reserveBytes).toBeLessThanOrEqual(COMMAND_RESERVE_BYTES + 1024 * 1024);
  });
});

describe("failing disks", () => {
  it("a failed sync: the node acknowledges nothing more, stops voting and leading, and says so", async () => {
    await start();
    const leader = await cluster.leader();
    await cluster.putMany(5, 0);
    leader.disk.inject({
      operations: ["sync"],
      times: Number.POSITIVE_INFINITY,
      effect: { kind: "fail", as: "io" },
    });
    const outcome = leader.replica.proposeAndApply(setDraft("doomed", "v"));
    const error = await cluster.clock.until(outcome.catch((caught: unknown) => caught));
    expect(isBrokerError(error, "LEADERSHIP_LOST")).toBe(true);
    expect(leader.fatal?.message).toContain("injected");
    cluster.expectFatal(leader.nodeId);
    expect(leader.set.failed).toBeDefined();
    expect(leader.replica.isLeaderReady).toBe(false);
    expect(() => leader.replica.propose(setDraft("a", "b"))).toThrow("storage failed");
    let said = 0;
    cluster.network.filter = (from) => {
      if (from === leader.nodeId) said += 1;
      return true;
    };
    const next = await cluster.leader();
    expect(next.nodeId).not.toBe(leader.nodeId);
    await cluster.putMany(5, 5);
    // Vote requests and appends reach it, and nothing comes back.
    expect(said).toBe(0);
  });

  it("a disk that gives back wrong bits: nothing wrong is served, the node's other groups go on, another one leads", async () => {
    await start({ tailBytesMax: 0, groups: 2 });
    const leader = await cluster.leader();
    await cluster.putMany(20, 0, 100);
    const random = cluster.random;
    leader.disk.inject({
      operations: ["read"],
      times: Number.POSITIVE_INFINITY,
      effect: { kind: "flip", random },
    });
    const read = leader.replica.read(1, 1 << 20).catch((caught: unknown) => caught);
    expect(isBrokerError(await cluster.clock.until(read), "LOG_CORRUPT")).toBe(true);
    const isNoticed = (): boolean => leader.replica.damagedEntries > 0;
    expect(await cluster.clock.runUntil(isNoticed, 1000)).toBe(true);
    expect(leader.replica.status().failed).toBeUndefined();
    expect(leader.set.failed).toBeUndefined();
    const follows = (): boolean => !leader.replica.isLeaderReady;
    expect(await cluster.clock.runUntil(follows, 5000)).toBe(true);
    const other = leader.set.get(2 as GroupId);
    const before = other?.watermarks.appliedIndex ?? 0;
    const leads = (): Replica | undefined =>
      cluster.live().flatMap(({ set }) => set.all().filter(isLeaderOf(2 as GroupId)))[0];
    expect(await cluster.clock.runUntil(() => leads() !== undefined, 10_000)).toBe(true);
    leads()?.propose(setDraft("other", "v"));
    const isApplied = (): boolean => (other?.watermarks.appliedIndex ?? 0) > before;
    expect(await cluster.clock.runUntil(isApplied, 5000)).toBe(true);
    expect((await cluster.leader()).nodeId).not.toBe(leader.nodeId);
    leader.disk.heal();
    const isWhole = (): boolean => leader.replica.damagedEntries === 0;
    expect(await cluster.clock.runUntil(isWhole, 200_000)).toBe(true);
    await cluster.converge();
  });

  it("damage in the newest segment, found after a power cut: is no torn tail when the journal knows better, and is repaired", async () => {
    await start();
    await cluster.leader();
    await cluster.putMany(20, 0);
    // The journal notes about once a second how far the log must reach.
    await cluster.clock.run(1500);
    await cluster.crash(1 as NodeId, "power");
    damageMiddle(cluster.diskOf(1 as NodeId));
    await cluster.restart(1 as NodeId);
    const { replica } = cluster.node(1 as NodeId);
    expect(replica.damagedEntries).toBe(1);
    const isWhole = (): boolean => replica.damagedEntries === 0;
    expect(await cluster.clock.runUntil(isWhole, 10_000)).toBe(true);
    await cluster.converge();
    expect(cluster.node(1 as NodeId).machine.size).toBe(20);
  });

  it("damage at the very end, behind which nothing tells what there was: is refused", async () => {
    await start();
    await cluster.leader();
    await cluster.putMany(20, 0);
    await cluster.clock.run(1500);
    await cluster.crash(1 as NodeId, "power");
    damageLast(cluster.diskOf(1 as NodeId));
    const opened = cluster.restart(1 as NodeId).catch((caught: unknown) => caught);
    expect(isBrokerError(await opened, "LOG_CORRUPT")).toBe(true);
    const leader = await cluster.leader();
    expect(leader.nodeId).not.toBe(1);
  });

  it("the same damage where nothing is noted yet: is cut, and the leader sends it again", async () => {
    await start();
    await cluster.leader();
    await cluster.putMany(20, 0);
    await cluster.crash(1 as NodeId, "power");
    damageMiddle(cluster.diskOf(1 as NodeId));
    await cluster.restart(1 as NodeId);
    await cluster.converge();
    expect(cluster.node(1 as NodeId).machine.size).toBe(20);
  });

  it("keyed state ahead of the log: is rebuilt from the log", async () => {
    await start({ flush: "async" });
    const leader = await cluster.leader();
    await cluster.putMany(20, 0);
    await cluster.clock.run(1000);
    const behind = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
    await cluster.stop(behind);
    await cluster.forgeApplied(behind, (record) => ({ ...record, index: record.index + 7 }));
    await cluster.restart(behind);
    await cluster.converge();
    expect(cluster.node(behind).machine.size).toBe(20);
    expect(cluster.node(behind).counters.get("state_rebuilds")).toBe(1);
    await cluster.stop(behind);
    await cluster.forgeApplied(behind, (record) => ({ ...record, term: record.term + 1 }));
    await cluster.restart(behind);
    await cluster.converge();
    expect(cluster.node(behind).machine.text()).toBe(leader.machine.text());
    expect(cluster.node(behind).counters.get("state_rebuilds")).toBe(1);
  });

  it("keyed state gone: is rebuilt from the log", async () => {
    await start();
    await cluster.leader();
    await cluster.putMany(20, 0);
    const behind = cluster.followers()[0]?.nodeId ?? cluster.nodeIds[0];
    await cluster.stop(behind);
    await cluster.wipeKeyed(behind);
    await cluster.restart(behind);
    await cluster.converge();
    expect(cluster.node(behind).machine.size).toBe(20);
  });
});

describe("a disk that fails while a group is removed", () => {
  it("ends the removal, and the node can be closed", async () => {
    await start({ flush: "async", groups: 2 });
    await cluster.leader();
    const OTHER = 2 as GroupId;
    const leads = (): boolean =>
      cluster.live().some(({ set }) => set.get(OTHER)?.isLeaderReady === true);
    expect(await cluster.clock.runUntil(leads, 10_000)).toBe(true);
    const node = defined(
      cluster.live().find(({ set }) => set.get(OTHER)?.isLeaderReady),
      "a leader",
    );
    node.set.get(OTHER)?.propose(setDraft("k", "v"));
    await cluster.putMany(1, 0);
    const slow = { kind: "slow", ms: 500, clock: node.clock } as const;
    node.disk.inject({ operations: ["sync"], path: "groups/2-", effect: slow });
    const io = { kind: "fail", as: "io" } as const;
    node.disk.inject({ operations: ["sync"], path: "groups/1-", effect: io });
    const removal = node.set.removeGroup(OTHER).catch((error: unknown) => error);
    expect(await cluster.clock.runUntil(() => node.set.failed !== undefined, 400)).toBe(true);
    cluster.expectFatal(node.nodeId);
    expect(await cluster.clock.until(removal)).toBe(node.set.failed);
    await cluster.clock.until(node.set.close());
  });
});

describe("a failing keyed store", () => {
  const failed = { kind: "fail", as: "io" } as const;

  async function comesBackWhole(nodeId: NodeId, groups: number): Promise<void> {
    await cluster.crash(nodeId, "process");
    await cluster.restart(nodeId);
    await cluster.converge();
    expect(cluster.node(nodeId).machine.size).toBe(20);
    expect(cluster.node(nodeId).counters.get("state_rebuilds")).toBe(groups);
  }

  it("a write that fails: is the node's failure, and the next start makes the state again", async () => {
    await start({ groups: 2 });
    await cluster.putMany(20, 0);
    const node = cluster.node(1 as NodeId);
    await cluster.clock.run(1500);
    node.keyed.inject({ operation: "batch", effect: failed });
    await cluster.putMany(20, 0);
    expect(await cluster.clock.runUntil(() => node.set.failed !== undefined, 3000)).toBe(true);
    expect(node.fatal?.message).toContain("injected");
    cluster.expectFatal(node.nodeId);
    await comesBackWhole(node.nodeId, 2);
  });

  it("a read that fails while a group is opened: the same", async () => {
    await start();
    await cluster.putMany(20, 0);
    await cluster.stop(1 as NodeId);
    await cluster.boot(1 as NodeId);
    const node = cluster.node(1 as NodeId);
    node.keyed.inject({ operation: "range", effect: failed });
    const opened = cluster.open(1 as NodeId).catch((caught: unknown) => caught);
    expect(await opened).toMatchObject({ kind: "io" });
    expect(node.set.failed).toMatchObject({ kind: "io" });
    cluster.expectFatal(node.nodeId);
    await comesBackWhole(node.nodeId, 1);
  });

  it("a failure while a group is removed: is the node's failure", async () => {
    await start();
    await cluster.leader();
    const node = cluster.node(1 as NodeId);
    node.keyed.inject({ operation: "removeRange", effect: failed });
    const removed = node.set.removeGroup(GROUP).catch((caught: unknown) => caught);
    expect(await cluster.clock.until(removed)).toMatchObject({ kind: "io" });
    expect(node.set.failed).toMatchObject({ kind: "io" });
    cluster.expectFatal(node.nodeId);
  });

  it("damaged rows while a group is opened: are made again, and the node goes on", async () => {
    await start();
    await cluster.putMany(20, 0);
    await cluster.stop(1 as NodeId);
    await cluster.boot(1 as NodeId);
    const node = cluster.node(1 as NodeId);
    node.keyed.inject({ operation: "range", effect: { kind: "fail", as: "corrupt" } });
    await cluster.open(1 as NodeId);
    await cluster.converge();
    expect([node.machine.size, node.counters.get("state_rebuilds")]).toEqual([20, 1]);
    expect(node.set.failed).toBeUndefined();
  });
});

/** Flips a bit in the middle of the newest segment of the only group. */
function damageMiddle(disk: Disk): void {
  flip(disk, (bytes) => Math.floor(bytes.length / 2));
}

/** In the header of the last entry. */
function damageLast(disk: Disk): void {
  flip(disk, (bytes) => bytes.lastIndexOf("FL") + 10);
}

function flip(disk: Disk, place: (bytes: Buffer) => number): void {
  const directory = `groups/${disk.list("groups")[0]}`;
  const name = disk.list(directory).findLast((one) => one.endsWith(".seg"));
  const file = disk.open(`${directory}/${name}`, { create: false });
  const bytes = Buffer.from(file.readSync(0, file.size));
  const at = place(bytes);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  file.truncate(at);
  file.append([bytes.subarray(at)]);
  file.close();
}

function isLeaderOf(groupId: GroupId): (replica: Replica) => boolean {
  return (replica) => replica.groupId === groupId && replica.isLeaderReady;
}

describe("identity", () => {
  it("a journalled replica without its directory: is damaged, never new", async () => {
    await start();
    await cluster.leader();
    await cluster.stop(1 as NodeId);
    cluster.wipeLogs(1 as NodeId);
    const opened = cluster.restart(1 as NodeId).catch((caught: unknown) => caught);
    expect(isBrokerError(await opened, "LOG_CORRUPT")).toBe(true);
  });

  it("a removed replica: goes to the trash and never comes back under its id", async () => {
    await start();
    await cluster.leader();
    const { set, disk } = cluster.node(1 as NodeId);
    await cluster.clock.until(set.removeGroup(GROUP));
    expect(disk.list("groups")).toEqual([]);
    expect(disk.list("trash")).toHaveLength(1);
    const opened = cluster.open(1 as NodeId).catch((caught: unknown) => caught);
    expect(isBrokerError(await opened, "STALE_REPLICA")).toBe(true);
    await cluster.crash(1 as NodeId, "power");
    const again = cluster.restart(1 as NodeId).catch((caught: unknown) => caught);
    expect(isBrokerError(await again, "STALE_REPLICA")).toBe(true);
  });

  it("messages for another replica id or an unknown group: are dropped and counted", async () => {
    await start();
    const leader = await cluster.leader();
    const stray = cluster.strayMessages(leader.nodeId);
    const { set, counters, replica } = leader;
    const before = counters.get("messages_dropped") ?? 0;
    const { term } = replica;
    set.receive(stray.from, stray.items);
    await cluster.clock.run(100);
    expect((counters.get("messages_dropped") ?? 0) - before).toBe(stray.items.length);
    expect(replica.term).toBe(term);
  });
});
