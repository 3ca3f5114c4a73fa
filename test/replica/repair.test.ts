// Damage in sealed segments of running replicas: never served, no reason to stop or to lose a vote, repaired from the others;
// until then the damaged one does not lead. raft.md T48 to T50 and T67.
import { afterEach, describe, expect, it } from "vitest";
import { sleep } from "../../src/base/clock.ts";
import type { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { Disk } from "../../src/log/ports.ts";
import { BrokerError, isBrokerError } from "../../src/model/errors.ts";
import { type GroupId, type NodeId, replicaIdOf } from "../../src/model/ids.ts";
import type { LogIndex } from "../../src/model/positions.ts";
import type { Replica } from "../../src/replica/replica.ts";
import { advanceDraft, setDraft } from "../support/ledger-machine.ts";
import { type ClusterNode, GROUP, ReplicaCluster } from "../support/replica-cluster.ts";

const SCRUB = { scrubBytesPerSecond: 1 << 20, scrubIntervalMs: 2000 } as const;
const ALL = 1 << 24;

let cluster: ReplicaCluster;

/** Three replicas whose logs have several sealed segments each, with nothing of them in memory. */
async function start(
  options: ConstructorParameters<typeof ReplicaCluster>[0] = {},
): Promise<ClusterNode> {
  cluster = new ReplicaCluster({ segmentBytes: 2000, tailBytesMax: 0, ...options });
  await cluster.start();
  await cluster.leader();
  for (let round = 0; round < 6; round += 1) await cluster.putMany(10, 10 * round, 20);
  await cluster.converge();
  return cluster.leader();
}

afterEach(() => {
  cluster.checkFailures();
});

function pathOf(disk: Disk, number: number): string {
  const directory = `groups/${disk.list("groups")[0]}`;
  const names = disk.list(directory).filter((name) => name.endsWith(".seg"));
  return `${directory}/${names[number]}`;
}

/** Changes a byte of a sealed segment on the medium; segments differ by their number. */
function damage({ memory }: { readonly memory: MemoryDisk }, number: number, at = 1000): void {
  memory.damage(pathOf(memory, number), (bytes) => {
    bytes.writeUInt8(bytes.readUInt8(at) ^ 8, at);
  });
}

function bytesOf(node: ClusterNode, number: number): Buffer {
  const file = node.memory.open(pathOf(node.memory, number), { create: false });
  return Buffer.from(file.readSync(0, file.size));
}

function sealed(node: ClusterNode, number: number): { first: LogIndex; last: LogIndex } {
  const info = node.replica.segments()[number];
  return { first: info?.firstIndex ?? 0, last: info?.lastIndex ?? 0 };
}

async function readAll(node: ClusterNode): Promise<void> {
  let next = 1;
  while (next <= node.replica.watermarks.commitIndex) {
    const frames = await cluster.clock.until(node.replica.read(next, ALL));
    next += frames.length;
  }
}

async function refusal(node: ClusterNode, { first }: { first: LogIndex }): Promise<unknown> {
  return cluster.clock.until(node.replica.read(first, ALL).catch((error: unknown) => error));
}

async function until(what: string, isSo: () => boolean, ms = 20_000): Promise<void> {
  expect(await cluster.clock.runUntil(isSo, ms), what).toBe(true);
}

const isWhole = (node: ClusterNode): boolean => node.replica.damagedEntries === 0;
const count = (node: ClusterNode, name: string): number => node.counters.get(name) ?? 0;

function leaderOf(groupId: GroupId): Replica | undefined {
  const replicas = cluster.live().map(({ set }) => set.get(groupId));
  return replicas.find((replica) => replica?.isLeaderReady === true);
}

function examineAll(node: ClusterNode): void {
  for (const { firstIndex } of node.replica.segments()) {
    void node.replica.scrub(firstIndex, () => Promise.resolve());
  }
}

describe("a damaged leader", () => {
  it("refuses what is damaged, hands over at once, is repaired, and may lead again", async () => {
    const leader = await start();
    const original = bytesOf(leader, 1);
    const { first, last } = sealed(leader, 1);
    damage(leader, 1);
    expect(isBrokerError(await refusal(leader, { first }), "LOG_CORRUPT")).toBe(true);
    await until("another one leads", () =>
      cluster.live().some((node) => node !== leader && node.replica.isLeaderReady),
    );
    await until("it is repaired", () => isWhole(leader) && count(leader, "entries_repaired") > 0);
    expect(bytesOf(leader, 1).equals(original)).toBe(true);
    expect(leader.replica.status().failed).toBeUndefined();
    expect(count(leader, "damaged_ranges_found")).toBe(1);
    expect(cluster.entriesFetched).toBeLessThan(last - first);
    await cluster.leaderOn(leader.nodeId);
    await readAll(leader);
    await cluster.putMany(5, 100);
    await cluster.converge();
  });

  it("a bit that flips on the way from the disk is no damage", async () => {
    const leader = await start();
    const effect = { kind: "flip", random: cluster.random } as const;
    leader.disk.inject({ operations: ["read"], effect });
    const { first } = sealed(leader, 1);
    expect(isBrokerError(await refusal(leader, { first }), "LOG_CORRUPT")).toBe(true);
    await cluster.clock.run(3000);
    expect(leader.replica.isLeaderReady).toBe(true);
    expect(count(leader, "damaged_ranges_found")).toBe(0);
    await readAll(leader);
  });

  it("goes on leading what is readable when nobody can take over, and repairs itself", async () => {
    const leader = await start();
    const others = cluster.live().filter((node) => node !== leader);
    for (const other of others) {
      damage(other, 0);
      examineAll(other);
    }
    damage(leader, 2);
    cluster.network.filter = (_from, _to, { message }) => message.kind !== "timeout-now";
    expect(isBrokerError(await refusal(leader, sealed(leader, 2)), "LOG_CORRUPT")).toBe(true);
    await until("all are repaired", () => cluster.live().every(isWhole));
    // What is being handed over when the last one is repaired is given up within an election timeout.
    await cluster.clock.run(2000);
    await cluster.putMany(3, 200);
    await cluster.converge();
  });
});

describe("a damaged follower", () => {
  it("found by the scrubber: acknowledges on, is repaired", async () => {
    const leader = await start({ scrub: SCRUB });
    const [follower, other] = cluster.followers();
    if (follower === undefined || other === undefined) throw new Error("two followers");
    const original = bytesOf(follower, 2);
    damage(follower, 2);
    await until("it is found", () => count(follower, "damaged_ranges_found") > 0);
    await until("it is repaired", () => isWhole(follower));
    expect(bytesOf(follower, 2).equals(original)).toBe(true);
    expect(count(follower, "scrub_bytes")).toBeGreaterThan(0);
    expect((await cluster.leader()).nodeId).toBe(leader.nodeId);
  });

  it("in its newest segment: found by the scrubber too, and repaired while it is written to", async () => {
    await start({ scrub: SCRUB });
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const newest = follower.replica.segments().length - 1;
    const original = bytesOf(follower, newest);
    damage(follower, newest, 100);
    await until("it is found", () => count(follower, "damaged_ranges_found") > 0);
    await cluster.putMany(5, 500);
    await until("it is repaired", () => isWhole(follower));
    expect(bytesOf(follower, newest).subarray(0, original.length).equals(original)).toBe(true);
    await cluster.converge();
  });

  it("while nobody can give it the entries: it votes and acknowledges, and never leads", async () => {
    const leader = await start();
    const [follower, other] = cluster.followers();
    if (follower === undefined || other === undefined) throw new Error("two followers");
    // The same entry on all three: nobody can repair it, and nobody may serve it.
    for (const node of cluster.live()) damage(node, 1);
    examineAll(follower);
    await until("it is found", () => !isWhole(follower));
    const before = follower.replica.watermarks.flushedIndex;
    await cluster.putMany(5, 300);
    await until("it follows", () => follower.replica.watermarks.flushedIndex >= before + 5);
    await cluster.clock.run(5000);
    expect(isWhole(follower)).toBe(false);
    examineAll(leader);
    await cluster.clock.run(30_000);
    for (const node of cluster.live()) {
      expect(isWhole(node)).toBe(false);
      expect(node.replica.status().failed).toBeUndefined();
      const { first, last } = sealed(node, 1);
      let refused = 0;
      for (let index = first; index <= last; index += 1) {
        if (isBrokerError(await refusal(node, { first: index }), "LOG_CORRUPT")) refused += 1;
      }
      expect(refused).toBe(node.replica.damagedEntries);
    }
  });

  it("after a restart: still knows, and leaves campaigning to others until it is repaired", async () => {
    const leader = await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const { nodeId } = follower;
    damage(follower, 1);
    cluster.network.isolate(nodeId, cluster.nodeIds);
    examineAll(follower);
    await until("it is found", () => !isWhole(follower));
    await cluster.clock.until(follower.replica.close());
    await cluster.crash(nodeId, "process");
    await cluster.restart(nodeId);
    const again = cluster.node(nodeId);
    expect(isWhole(again)).toBe(false);
    await cluster.clock.run(3500);
    expect(again.replica.status()).toMatchObject({ role: "follower", leaderId: 0 });
    expect(count(again, "elections_started")).toBe(0);
    cluster.network.heal();
    await until("it is repaired", () => isWhole(again));
    expect(bytesOf(again, 1).equals(bytesOf(leader, 1))).toBe(true);
    await cluster.converge();
  });

  it("whose damaged entries are not applied yet: applies them when they are repaired", async () => {
    await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const { nodeId } = follower;
    await cluster.stop(nodeId);
    await cluster.wipeKeyed(nodeId);
    damage({ memory: cluster.diskOf(nodeId) }, 1);
    cluster.network.isolate(nodeId, cluster.nodeIds);
    await cluster.restart(nodeId);
    cluster.network.heal();
    const again = cluster.node(nodeId);
    await until("it is found", () => count(again, "damaged_ranges_found") > 0);
    await until("it is repaired", () => isWhole(again));
    await cluster.converge();
    expect(again.machine.size).toBe(60);
  });
});

describe("a blocked follower whose damaged entries the others have dropped", () => {
  /** It was away while retention took what it has not applied and can not read; its log goes beyond the others' log start. */
  async function block(): Promise<ClusterNode> {
    const leader = await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const { nodeId } = follower;
    const { last } = sealed(follower, 1);
    await cluster.stop(nodeId);
    await cluster.wipeKeyed(nodeId);
    damage({ memory: cluster.diskOf(nodeId) }, 1);
    await cluster.clock.until(leader.replica.proposeAndApply(advanceDraft(last + 2)));
    const isDropped = ({ replica }: ClusterNode): boolean =>
      (replica.segments()[0]?.firstIndex ?? 0) > last;
    await until("it is dropped", () => cluster.live().every(isDropped));
    expect(leader.replica.segments()[0]?.firstIndex).toBeLessThan(last + 20);
    await cluster.restart(nodeId);
    const again = cluster.node(nodeId);
    await until("it is blocked", () => again.replica.status().isBlocked);
    return again;
  }

  it("goes on from the leader's state, and keeps every entry that it has acknowledged", async () => {
    const again = await block();
    const held = again.replica.watermarks.flushedIndex;
    let least = held;
    await until("it goes on", () => {
      least = Math.min(least, again.replica.watermarks.flushedIndex);
      return isWhole(again) && !again.replica.status().isBlocked;
    });
    expect(least).toBe(held);
    expect(count(again, "images_installed")).toBe(1);
    await cluster.putMany(5, 300);
    await cluster.converge();
    expect(again.machine.size).toBe(65);
    await cluster.leaderOn(again.nodeId);
    await cluster.putMany(5, 400);
    await cluster.converge();
  });

  it("is cut off from power at any operation of the disk meanwhile", async () => {
    // It takes twelve.
    for (let changes = 1; changes <= 12; changes += 1) {
      const { nodeId } = await block();
      await cluster.crashAfterChanges(nodeId, changes);
      await cluster.restart(nodeId);
      const again = cluster.node(nodeId);
      await until("it goes on", () => isWhole(again) && !again.replica.status().isBlocked);
      await cluster.putMany(5, 300);
      await cluster.converge();
      expect(again.machine.size).toBe(65);
      cluster.checkFailures();
    }
  });
});

describe("damage on several replicas", () => {
  it("at different places on two, and on all three: they repair each other, without a leader if need be", async () => {
    for (const damaged of [2, 3]) {
      await start({ scrub: SCRUB });
      const nodes = cluster.live();
      const originals = nodes.map((node) => [0, 1, 2, 3].map((number) => bytesOf(node, number)));
      for (const [at, node] of nodes.slice(0, damaged).entries()) {
        damage(node, at, 700);
        damage(node, 3, 300 + 600 * at);
      }
      await until("all is found", () =>
        nodes.slice(0, damaged).every((node) => count(node, "damaged_ranges_found") >= 2),
      );
      await until("all is repaired", () => nodes.every(isWhole), 90_000);
      for (const [at, node] of nodes.entries()) {
        const now = [0, 1, 2, 3].map((number) => bytesOf(node, number));
        expect(now.every((bytes, number) => originals[at]?.[number]?.equals(bytes))).toBe(true);
      }
      await cluster.putMany(3, 400);
      await cluster.converge();
      cluster.checkFailures();
    }
  });
});

describe("a disk that does not give bytes back", () => {
  it("of a sealed segment: no node stops, entries are applied when they are repaired", async () => {
    await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const { nodeId } = follower;
    await cluster.stop(nodeId);
    await cluster.wipeKeyed(nodeId);
    const file = pathOf(cluster.diskOf(nodeId), 1);
    // The log opens from its index files; what is applied has to be read again.
    cluster.network.isolate(nodeId, cluster.nodeIds);
    await cluster.boot(nodeId);
    const again = cluster.node(nodeId);
    const effect = { kind: "fail", as: "io" } as const;
    const times = Number.POSITIVE_INFINITY;
    const opened = cluster.open(nodeId);
    const fault = again.disk.inject({ operations: ["read"], file, after: 2, times, effect });
    await opened;
    cluster.network.heal();
    await until("it is found", () => count(again, "damaged_ranges_found") > 0);
    expect(fault.hits).toBeGreaterThan(0);
    await until("it is repaired", () => count(again, "entries_repaired") > 0);
    fault.lift();
    await until("it is whole", () => isWhole(again));
    await cluster.converge();
    expect(again.machine.size).toBe(60);
    expect(again.fatal).toBeUndefined();
  });
});

describe("damage and no leader", () => {
  it("the same entry on all three, and the leader restarts: one of them leads after a while", async () => {
    const leader = await start();
    await cluster.clock.run(10_000);
    for (const node of cluster.live()) damage(node, 1);
    for (const node of cluster.live()) examineAll(node);
    await until("it is found", () => cluster.live().every((node) => !isWhole(node)));
    await cluster.crash(leader.nodeId, "process");
    await cluster.clock.run(2500);
    // Nobody says any more that it leads.
    for (const { replica } of cluster.live()) expect(replica.leaderNode).not.toBe(leader.nodeId);
    await cluster.restart(leader.nodeId);
    await cluster.leader();
    await cluster.putMany(3, 500);
    await cluster.converge();
    expect(cluster.live().some(isWhole)).toBe(false);
  });

  it("the longest log has a damaged entry that nobody knows to be committed: it is repaired and leads", async () => {
    cluster = new ReplicaCluster({ segmentBytes: 1 << 20, tailBytesMax: 0 });
    await cluster.start();
    const longest = await cluster.leader();
    await cluster.putMany(10, 0, 20);
    await cluster.converge();
    await cluster.clock.run(3000);
    const [other, gone] = cluster.followers();
    if (other === undefined || gone === undefined) throw new Error("two followers");
    await cluster.stop(gone.nodeId);
    await cluster.putMany(5, 100, 20);
    const index = longest.replica.watermarks.commitIndex;
    cluster.network.isolate(other.nodeId, cluster.nodeIds);
    for (let n = 0; n < 3; n += 1) {
      longest.replica.proposeAndApply(setDraft(`u${n}`, "v", 20)).catch(() => undefined);
    }
    await cluster.clock.run(30);
    for (const { nodeId } of [longest, other]) await cluster.crash(nodeId, "process");
    damageHeader(cluster.diskOf(longest.nodeId), index);
    cluster.network.heal();
    for (const { nodeId } of [longest, other]) await cluster.restart(nodeId);
    expect(isWhole(cluster.node(longest.nodeId))).toBe(false);
    await cluster.leader();
    await until("it is repaired", () => cluster.live().every(isWhole));
    await cluster.converge();
    for (let n = 0; n < 3; n += 1)
      expect(cluster.node(other.nodeId).machine.get(`u${n}`)).toBe("v");
  });
});

it("a damaged membership entry that is not applied: nothing is campaigned for before it is known again", async () => {
  cluster = new ReplicaCluster({ nodes: 4, voters: 3, tailBytesMax: 0 });
  await cluster.start();
  const leader = await cluster.leader();
  await cluster.putMany(5, 0, 20);
  const [follower] = cluster.followers();
  if (follower === undefined) throw new Error("a follower");
  const { voters } = leader.replica.membership;
  const learners = [replicaIdOf(4 as NodeId, 7)];
  await cluster.open(4 as NodeId, 7);
  await cluster.clock.until(leader.replica.changeMembership({ voters, learners }));
  const index = leader.replica.watermarks.commitIndex;
  await cluster.putMany(5, 10, 20);
  await cluster.converge();
  await cluster.clock.run(3000);
  const { nodeId } = follower;
  await cluster.stop(nodeId);
  await cluster.wipeKeyed(nodeId);
  damageHeader(cluster.diskOf(nodeId), index);
  cluster.network.isolate(nodeId, cluster.nodeIds);
  await cluster.restart(nodeId);
  const again = cluster.node(nodeId);
  await cluster.clock.run(15_000);
  expect(again.replica.status()).toMatchObject({ role: "follower", isBlocked: true });
  expect(count(again, "elections_started")).toBe(0);
  cluster.network.heal();
  await until("it is repaired", () => isWhole(again));
  await cluster.converge();
  expect(again.replica.status()).toMatchObject({ isBlocked: false, membership: { learners } });
});

describe("a learner of a damaged leader that nobody can repair", () => {
  async function addLearner(
    standsForLog: boolean,
  ): Promise<{ leader: ClusterNode; learner: ClusterNode }> {
    const leader = await start({ nodes: 2, voters: 1, standsForLog });
    damage(leader, 1);
    examineAll(leader);
    await until("it is found", () => !isWhole(leader));
    const TWO = 2 as NodeId;
    await cluster.open(TWO, 7);
    const { voters } = leader.replica.membership;
    const learners = [replicaIdOf(TWO, 7)];
    await cluster.clock.until(leader.replica.changeMembership({ voters, learners }));
    return { leader, learner: cluster.node(TWO) };
  }

  it("gets an image where the state stands for the log", async () => {
    const { learner, leader } = await addLearner(true);
    await cluster.converge();
    await cluster.putMany(5, 300);
    await cluster.converge();
    expect(count(learner, "images_installed")).toBe(1);
    expect(isWhole(leader)).toBe(false);
    expect(leader.replica.isLeaderReady).toBe(true);
  });

  it("gets none where that would drop what can be read", async () => {
    const { learner, leader } = await addLearner(false);
    await cluster.clock.run(30_000);
    const { first } = sealed(leader, 1);
    expect(count(learner, "images_installed")).toBe(0);
    expect(learner.replica.watermarks.writtenIndex).toBeGreaterThanOrEqual(first - 1);
    expect(learner.replica.watermarks.writtenIndex).toBeLessThan(sealed(leader, 1).last);
    await cluster.putMany(5, 300);
  });
});

/** One bit in the header of an entry of the first segment. */
function damageHeader(disk: MemoryDisk, index: LogIndex): void {
  disk.damage(pathOf(disk, 0), (bytes) => {
    let at = 64;
    while (Number(bytes.readBigUInt64BE(at + 8)) !== index) at += bytes.readUInt32BE(at + 4);
    bytes.writeUInt8(bytes.readUInt8(at + 40) ^ 4, at + 40);
  });
}

describe("limits of repair", () => {
  it("two groups of a node at a time, one attempt per segment", async () => {
    const groups = 6;
    await start({ groups });
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    for (let group = 2; group <= groups; group += 1) {
      const isLed = (): boolean => leaderOf(group as GroupId) !== undefined;
      await until("it is led", isLed);
      const leader = leaderOf(group as GroupId);
      for (let put = 0; put < 20; put += 1) {
        const reply = leader?.proposeAndApply(setDraft(`k${put}`, "v", 20)) ?? Promise.resolve();
        await cluster.clock.until(reply);
      }
    }
    await cluster.clock.run(1000);
    const { memory } = follower;
    for (const directory of memory.list("groups")) {
      const path = `groups/${directory}/${"1".padStart(20, "0")}.seg`;
      // Two ranges in the segment.
      memory.damage(path, (bytes) => {
        for (const at of [84, 1500]) bytes.writeUInt8(bytes.readUInt8(at) ^ 8, at);
      });
    }
    let running = 0;
    let most = 0;
    for (const node of cluster.live()) {
      const readEntries = node.set.readEntries.bind(node.set);
      node.set.readEntries = async (from, wanted) => {
        running += 1;
        most = Math.max(most, running);
        await sleep(node.clock, 300);
        running -= 1;
        return readEntries(from, wanted);
      };
    }
    for (const replica of follower.set.all()) void replica.scrub(1, () => Promise.resolve());
    await until("all are damaged", () => count(follower, "damaged_ranges_found") >= groups);
    await until("all are repaired", () =>
      follower.set.all().every(({ damagedEntries }) => damagedEntries === 0),
    );
    expect(most).toBe(2);
    expect(count(follower, "repairs_failed")).toBe(0);
  });

  it("waits for room for two copies of the segment, without asking for entries", async () => {
    await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const { memory } = follower;
    memory.setCapacity(1 << 30);
    const used = (1 << 30) - memory.freeBytes();
    const { bytes = 0 } = follower.replica.segments()[1] ?? {};
    memory.setCapacity(used + bytes + 500);
    damage(follower, 1);
    examineAll(follower);
    await until("it was tried", () => count(follower, "repairs_failed") > 0);
    await cluster.clock.run(5000);
    expect(cluster.entriesFetched).toBe(0);
    expect(isWhole(follower)).toBe(false);
    memory.setCapacity(undefined);
    await until("it is repaired", () => isWhole(follower));
  });

  it("a replica that closes ends its repair and its look at a segment within a piece", async () => {
    await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    damage(follower, 1);
    examineAll(follower);
    await until("it is found", () => !isWhole(follower));
    const effect = { kind: "slow", ms: 10_000, clock: follower.clock } as const;
    const times = Number.POSITIVE_INFINITY;
    const fault = follower.disk.inject({ operations: ["read"], path: ".seg", times, effect });
    await until("its repair reads", () => fault.hits > 0);
    const hits = fault.hits;
    await cluster.clock.until(follower.replica.close());
    expect(fault.hits - hits).toBeLessThanOrEqual(1);
    expect(isWhole(follower)).toBe(false);
  });

  it("what lies below the log start is not asked for, even in the same damaged range", async () => {
    const leader = await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const { first } = sealed(follower, 1);
    const logStart = first + 3;
    await cluster.clock.until(leader.replica.proposeAndApply(advanceDraft(logStart)));
    await cluster.converge();
    await cluster.clock.run(3000);
    const asked: LogIndex[] = [];
    for (const { set } of cluster.live()) {
      const readEntries = set.readEntries.bind(set);
      set.readEntries = async (by, wanted) => {
        asked.push(wanted.first);
        if (wanted.first < logStart) throw new BrokerError("OFFSET_OUT_OF_RANGE", "dropped");
        return readEntries(by, wanted);
      };
    }
    const number = follower.replica.segments().findIndex(({ firstIndex }) => firstIndex === first);
    damage(follower, number, 64 + 20);
    examineAll(follower);
    await until("it is found", () => count(follower, "damaged_ranges_found") > 0);
    await until("it is repaired", () => isWhole(follower));
    expect(Math.min(...asked)).toBe(logStart);
    const frames = await cluster.clock.until(follower.replica.read(logStart, ALL));
    expect(frames[0]?.index).toBe(logStart);
  });

  it("a segment whose file can not be opened for its repair does not stop the node", async () => {
    await start();
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    damage(follower, 1);
    const { disk, memory } = follower;
    const effect = { kind: "fail", as: "missing" } as const;
    const path = pathOf(memory, 1);
    const fault = disk.inject({ operations: ["open"], path, after: 1, effect });
    examineAll(follower);
    await until("it was tried", () => fault.hits === 1);
    await until("it is repaired", () => isWhole(follower));
    expect(count(follower, "repairs_failed")).toBe(1);
  });

  it("a replica alone goes on with what it can read", async () => {
    const node = await start({ nodes: 1 });
    damage(node, 1);
    expect(isBrokerError(await refusal(node, sealed(node, 1)), "LOG_CORRUPT")).toBe(true);
    await cluster.clock.run(5000);
    expect(node.replica.isLeaderReady).toBe(true);
    const reply = node.replica.proposeAndApply(setDraft("more", "v"));
    expect(await cluster.clock.until(reply)).toBeDefined();
    expect(node.replica.damagedEntries).toBeGreaterThan(0);
  });

  it("entries that are not here are given to nobody", async () => {
    const leader = await start();
    const { writtenIndex } = leader.replica.watermarks;
    const [follower] = cluster.followers();
    if (follower === undefined) throw new Error("a follower");
    const pair = { from: follower.replica.replicaId, to: leader.replica.replicaId };
    const wanted = {
      groupId: GROUP,
      ...pair,
      first: writtenIndex + 1,
      last: writtenIndex + 5,
      bytesMax: 1,
    };
    const by = follower.nodeId;
    const refused = leader.set.readEntries(by, wanted).catch((error: unknown) => error);
    expect(isBrokerError(await cluster.clock.until(refused), "OFFSET_OUT_OF_RANGE")).toBe(true);
    const unknown = leader.set.readEntries(by, { ...wanted, groupId: 99 as typeof GROUP });
    expect(isBrokerError(await unknown.catch((error: unknown) => error), "LEADER_UNKNOWN")).toBe(
      true,
    );
    const first = { first: 1, last: 5 };
    const former = { ...wanted, ...first, to: replicaIdOf(leader.nodeId, 9) };
    const stale = await leader.set.readEntries(by, former).catch((error: unknown) => error);
    expect(isBrokerError(stale, "STALE_REPLICA")).toBe(true);
    const other = leader.set.readEntries(leader.nodeId, { ...wanted, ...first });
    expect(isBrokerError(await other.catch((error: unknown) => error), "STALE_REPLICA")).toBe(true);
    const given = leader.set.readEntries(by, { ...wanted, ...first });
    expect((await cluster.clock.until(given))[0]?.index).toBe(1);
  });

  it("scrubbing keeps to its rate and ends with the node", async () => {
    await start({ scrub: { scrubBytesPerSecond: 1000, scrubIntervalMs: 1000 } });
    const [node] = cluster.live();
    if (node === undefined) throw new Error("a node");
    await cluster.clock.run(10_000);
    const before = count(node, "scrub_bytes");
    await cluster.clock.run(10_000);
    const read = count(node, "scrub_bytes") - before;
    expect(read).toBeGreaterThan(5000);
    expect(read).toBeLessThan(13_000);
    await cluster.stop(1 as NodeId);
  });
});
