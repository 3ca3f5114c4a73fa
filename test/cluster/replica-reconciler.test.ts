import { describe, expect, test } from "vitest";
import { OPEN_RETRY_MS } from "../../src/cluster/open-retries.ts";
import type { LocalGroup, LocalGroups, PartitionAssignment } from "../../src/cluster/ports.ts";
import { ReplicaReconciler } from "../../src/cluster/replica-reconciler.ts";
import { recoveredRevision } from "../../src/cluster/revisions.ts";
import { type GroupId, type ReplicaId, replicaIdOf, type TopicId } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { creation, node, OneReplicaGroup, registration, silentLog, topicId } from "./support.ts";

class FakeGroups implements LocalGroups {
  readonly held = new Map<GroupId, LocalGroup>();
  readonly calls: string[] = [];
  failures = 0;
  /** Can not be opened. */
  readonly broken = new Set<GroupId>();
  async open(assignment: PartitionAssignment): Promise<void> {
    await this.#note(`open ${assignment.groupId}`);
    if (this.broken.has(assignment.groupId)) throw new Error("damaged");
    const { groupId, replicaId, topicId: topic } = assignment;
    this.held.set(groupId, { groupId, replicaId, topicId: topic });
  }
  async update(assignment: PartitionAssignment): Promise<void> {
    await this.#note(`update ${assignment.groupId} ${JSON.stringify(assignment.settings)}`);
  }
  async succeed(assignment: PartitionAssignment, from: ReplicaId): Promise<void> {
    const { groupId, replicaId, topicId: topic } = assignment;
    await this.#note(`succeed ${groupId} ${from}`);
    this.held.set(groupId, { groupId, replicaId, topicId: topic });
    if (this.broken.has(groupId)) throw new Error("succeeded, and could not be opened");
  }
  async remove(groupId: GroupId): Promise<void> {
    await this.#note(`remove ${groupId}`);
    this.held.delete(groupId);
  }
  list(): readonly LocalGroup[] {
    return [...this.held.values()];
  }
  async #note(call: string): Promise<void> {
    this.calls.push(call);
    await Promise.resolve();
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("disk");
    }
  }
}

async function setUp(directoryId = "directory-1") {
  const clock = new VirtualClock();
  const group = new OneReplicaGroup();
  await group.registerNodes(3);
  const groups = new FakeGroups();
  const reconciler = new ReplicaReconciler({
    nodeId: node(1),
    directoryId,
    view: group.view,
    groups,
    clock: clock.root,
    log: silentLog,
  });
  return { clock, group, groups, reconciler };
}

function held(id: number, topic: string | undefined, revision: number): LocalGroup {
  return {
    groupId: id as GroupId,
    replicaId: replicaIdOf(node(1), revision),
    topicId: topic as TopicId | undefined,
  };
}

describe("replica reconciler", () => {
  test("life of a topic: opened, told of new settings, removed; each once", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    reconciler.start();
    await group.controller.propose(creation("orders", 2, 3));
    await clock.run(10);
    expect(groups.calls).toEqual(["open 1", "open 2"]);
    await group.controller.propose({
      type: "alter-topic",
      topicId: topicId("id-of-orders"),
      settings: { flush: "async" },
    });
    await clock.run(10);
    expect(groups.calls.slice(2)).toEqual([
      'update 1 {"flush":"async"}',
      'update 2 {"flush":"async"}',
    ]);
    await group.controller.propose(registration(2, { incarnation: 2 }));
    await clock.run(10);
    expect(groups.calls).toHaveLength(4);
    await group.controller.propose({ type: "delete-topic", topicId: topicId("id-of-orders") });
    await clock.run(10);
    expect(groups.calls.slice(4)).toEqual(["remove 1", "remove 2"]);
    await clock.run(10_000);
    expect(groups.calls).toHaveLength(6);
    await reconciler.close();
  });

  test("placement: opens only what is placed on this node and in this directory", async () => {
    const { clock, group, groups, reconciler } = await setUp("another-directory");
    reconciler.start();
    await group.controller.propose(creation("orders", 3, 3));
    await clock.run(10);
    expect(groups.calls).toEqual([]);
    await reconciler.close();
  });

  test("missing metadata: nothing is removed while it is empty or behind", async () => {
    const { clock, groups, reconciler } = await setUp();
    groups.held.set(9 as GroupId, held(9, "unknown", 1));
    reconciler.start();
    await clock.run(60_000);
    expect(groups.calls).toEqual([]);
    expect([...reconciler.orphans]).toEqual([9]);
    await reconciler.close();
  });

  test("deletion while down: removed after the restart, a group of another topic is kept", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(creation("orders", 2, 3));
    await group.controller.propose({ type: "delete-topic", topicId: topicId("id-of-orders") });
    groups.held.set(1 as GroupId, held(1, "id-of-orders", 4));
    groups.held.set(2 as GroupId, held(2, "from-another-cluster", 4));
    reconciler.start();
    await clock.run(10);
    expect(groups.calls).toEqual(["remove 1"]);
    expect([...reconciler.orphans]).toEqual([2]);
    await reconciler.close();
  });

  test("former self: another replica of a wanted group is neither opened nor removed", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(creation("orders", 1, 3));
    groups.held.set(1 as GroupId, held(1, "id-of-orders", 99));
    reconciler.start();
    await clock.run(10);
    expect(groups.calls).toEqual([]);
    expect([...reconciler.orphans]).toEqual([1]);
    await reconciler.close();
  });

  test("another topic's replica under the same ids: neither opened nor removed", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(creation("orders", 1, 3));
    const { version } = group.view.image;
    groups.held.set(1 as GroupId, held(1, "id-of-lost", version));
    reconciler.start();
    await clock.run(10);
    expect(groups.calls).toEqual([]);
    expect([...reconciler.orphans]).toEqual([1]);
    await reconciler.close();
  });

  test("metadata that lost entries: what those placed is kept, what ended before them or after is removed", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(creation("orders", 3, 3));
    const { version } = group.view.image;
    const revision = recoveredRevision(version, replicaIdOf(node(1), 0));
    await group.controller.propose({ type: "recover-metadata", nodeId: node(1), revision });
    groups.held.set(1 as GroupId, held(1, "id-of-orders", version - 1));
    groups.held.set(2 as GroupId, held(2, "id-of-orders", version + 1));
    groups.held.set(3 as GroupId, held(3, "id-of-orders", revision));
    reconciler.start();
    await clock.run(10);
    expect(groups.calls.filter((call) => call.startsWith("remove"))).toEqual([
      "remove 1",
      "remove 3",
    ]);
    expect([...reconciler.orphans]).toEqual([2]);
    await reconciler.close();
  });

  test("what lost metadata placed gives way to a replica that is placed there anew", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    const groupId = 1 as GroupId;
    await group.controller.propose(registration(4, { founder: false }));
    await group.controller.propose(creation("orders", 1, 3));
    const { view } = group;
    const move = { type: "move-replica", groupId } as const;
    const places = () => view.image.partitions.get(groupId)?.replicas ?? [];
    if (places().some((place) => place.nodeId === 1)) {
      const free = [2, 3, 4].find((id) => places().every((place) => place.nodeId !== id)) ?? 0;
      await group.controller.propose({ ...move, from: node(1), to: node(free) });
      const changeIndex = view.image.partitions.get(groupId)?.change?.index ?? 0;
      await group.controller.propose({ type: "finish-move", groupId, changeIndex });
    }
    const { version } = view.image;
    groups.held.set(groupId, held(1, "id-of-orders", version + 1));
    const revision = recoveredRevision(version, replicaIdOf(node(1), 0));
    await group.controller.propose({ type: "recover-metadata", nodeId: node(1), revision });
    reconciler.start();
    await clock.run(10);
    expect(groups.calls).toEqual([]);
    const from = places()[0]?.nodeId ?? node(0);
    await group.controller.propose({ ...move, from, to: node(1) });
    await clock.run(10);
    expect(groups.calls).toEqual(["remove 1", "open 1"]);
    await reconciler.close();
  });

  test("moved away: kept while it may be a member, removed when the change is finished", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(registration(4, { founder: false }));
    await group.controller.propose(creation("orders", 1, 3));
    reconciler.start();
    const { view } = group;
    const row = () => view.image.partitions.get(1 as GroupId);
    const candidates = row()?.replicas.map((place) => place.nodeId) ?? [];
    const free = [2, 3, 4].find((id) => !candidates.includes(node(id))) ?? 0;
    await clock.run(10);
    expect(groups.calls).toEqual(candidates.includes(node(1)) ? ["open 1"] : []);
    const groupId = 1 as GroupId;
    await group.controller.propose({
      type: "move-replica",
      groupId,
      from: node(1),
      to: node(free),
    });
    await clock.run(60_000);
    expect(groups.calls).toHaveLength(1);
    const finish = {
      type: "finish-move",
      groupId,
      changeIndex: row()?.change?.index ?? 0,
    } as const;
    await group.controller.propose(finish);
    await clock.run(10);
    expect(groups.calls.slice(1)).toEqual(["remove 1"]);
    // Back again, as another replica.
    await group.controller.propose({
      type: "move-replica",
      groupId,
      from: node(free),
      to: node(1),
    });
    await clock.run(10);
    expect(groups.calls.slice(2)).toEqual(["open 1"]);
    expect(groups.held.get(groupId)?.replicaId).toBe(replicaIdOf(node(1), view.image.version));
    await reconciler.close();
  });

  test("moved away and back while this node was down: the old replica goes before the new one is opened", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(registration(4, { founder: false }));
    await group.controller.propose(creation("orders", 1, 3));
    const groupId = 1 as GroupId;
    groups.held.set(groupId, held(1, "id-of-orders", 5));
    const row = () => group.view.image.partitions.get(groupId);
    const nodes = row()?.replicas.map((place) => place.nodeId) ?? [];
    const free = [2, 3, 4].find((id) => !nodes.includes(node(id))) ?? 0;
    for (const [from, to] of [
      [1, free],
      [free, 1],
    ] as const) {
      await group.controller.propose({
        type: "move-replica",
        groupId,
        from: node(from),
        to: node(to),
      });
      const changeIndex = row()?.change?.index ?? 0;
      await group.controller.propose({ type: "finish-move", groupId, changeIndex });
    }
    reconciler.start();
    await clock.run(10);
    expect(groups.calls).toEqual(["remove 1", "open 1"]);
    await reconciler.close();
  });

  test("majority lost: a survivor that got its new id and could not be opened is opened later", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(creation("orders", 1, 3));
    const groupId = 1 as GroupId;
    const replicaId = replicaIdOf(node(1), group.view.image.version);
    reconciler.start();
    await clock.run(10);
    groups.broken.add(groupId);
    await group.controller.propose({ type: "recover-group", groupId, nodeId: node(1), replicaId });
    await clock.run(10);
    groups.broken.delete(groupId);
    await clock.run(OPEN_RETRY_MS.last);
    expect(groups.calls).toEqual(["open 1", `succeed 1 ${replicaId}`, "open 1"]);
    await reconciler.close();
  });

  test("majority lost: the survivor goes on under its new id, once; without its data nothing is made up", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    await group.controller.propose(creation("orders", 1, 3));
    const groupId = 1 as GroupId;
    const from = replicaIdOf(node(1), group.view.image.version);
    reconciler.start();
    await clock.run(10);
    await group.controller.propose({
      type: "recover-group",
      groupId,
      nodeId: node(1),
      replicaId: from,
    });
    await clock.run(10);
    expect(groups.calls).toEqual(["open 1", `succeed 1 ${from}`]);
    const to = replicaIdOf(node(1), group.view.image.version);
    expect(groups.held.get(groupId)?.replicaId).toBe(to);
    await clock.run(10_000);
    expect(groups.calls).toHaveLength(2);
    await reconciler.close();
    groups.held.clear();
    const restarted = new ReplicaReconciler({
      nodeId: node(1),
      directoryId: "directory-1",
      view: group.view,
      groups,
      clock: clock.root,
      log: silentLog,
    });
    restarted.start();
    await clock.run(10_000);
    expect(groups.calls).toHaveLength(2);
    await restarted.close();
  });

  test("failure: tried again after a pause, others are not held up", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    groups.failures = 1;
    await group.controller.propose(creation("orders", 2, 3));
    reconciler.start();
    await clock.run(10);
    expect(groups.calls).toEqual(["open 1", "open 2"]);
    await clock.run(OPEN_RETRY_MS.first);
    expect(groups.calls.slice(2)).toEqual(["open 1"]);
    await reconciler.close();
    await group.controller.propose(creation("other", 1, 3));
    await clock.run(10_000);
    expect(groups.calls).toHaveLength(3);
  });

  test("a group that can not be opened is tried less and less often, others at once", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    groups.broken.add(1 as GroupId);
    await group.controller.propose(creation("orders", 1, 3));
    reconciler.start();
    await clock.run(500);
    expect(groups.calls).toEqual(["open 1"]);
    const triedAt: number[] = [];
    for (let second = 1; second < 40; second += 1) {
      const tried = groups.calls.length;
      // Changes of the metadata do not hurry it.
      await group.controller.propose(registration(2, { incarnation: 2 + second }));
      await clock.run(1000);
      if (groups.calls.length > tried) triedAt.push(second);
    }
    expect(triedAt).toEqual([1, 3, 7, 15, 23, 31, 39]);
    await group.controller.propose(creation("other", 1, 3));
    await clock.run(10);
    expect(groups.calls.at(-1)).toBe("open 2");
    groups.broken.clear();
    await clock.run(OPEN_RETRY_MS.last);
    expect(groups.calls.at(-1)).toBe("open 1");
    await clock.run(600_000);
    expect(groups.calls).toHaveLength(10);
    await reconciler.close();
  });

  test("a group that could not be opened is given up when its topic is deleted, and tried at once when it is placed anew", async () => {
    const { clock, group, groups, reconciler } = await setUp();
    groups.broken.add(1 as GroupId).add(2 as GroupId);
    await group.controller.propose(registration(4, { founder: false }));
    await group.controller.propose(creation("orders", 1, 4));
    await group.controller.propose(creation("other", 1, 3));
    reconciler.start();
    await clock.run(100_000);
    await group.controller.propose({ type: "delete-topic", topicId: topicId("id-of-orders") });
    const groupId = 2 as GroupId;
    const row = () => group.view.image.partitions.get(groupId);
    const nodes = row()?.replicas.map((place) => place.nodeId) ?? [];
    const free = [2, 3, 4].map(node).find((id) => !nodes.includes(id)) ?? node(0);
    groups.calls.length = 0;
    const move = { type: "move-replica", groupId } as const;
    await group.controller.propose({ ...move, from: node(1), to: free });
    const changeIndex = row()?.change?.index ?? 0;
    await group.controller.propose({ type: "finish-move", groupId, changeIndex });
    await group.controller.propose({ ...move, from: free, to: node(1) });
    await clock.run(10);
    expect(groups.calls).toEqual(["open 2"]);
    await clock.run(OPEN_RETRY_MS.first);
    expect(groups.calls).toEqual(["open 2", "open 2"]);
    await reconciler.close();
  });
});
