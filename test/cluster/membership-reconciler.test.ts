import { describe, expect, test } from "vitest";
import type { MembershipTarget } from "../../src/cluster/membership-plan.ts";
import { CATCH_UPS_MAX, MembershipReconciler } from "../../src/cluster/membership-reconciler.ts";
import type { LedMembership, Memberships } from "../../src/cluster/ports.ts";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import {
  creation,
  group,
  id,
  members,
  node,
  OneReplicaGroup,
  registration,
  silentLog,
} from "./support.ts";

/** Groups that follow every change at once; learners catch up when told to. */
class FakeMemberships implements Memberships {
  readonly led = new Map<GroupId, LedMembership>();
  readonly calls: string[] = [];
  fails = false;
  add(fields: Partial<LedMembership>): void {
    const current = members(fields);
    this.led.set(current.groupId, current);
  }
  list(): readonly LedMembership[] {
    return [...this.led.values()];
  }
  get(groupId: GroupId): LedMembership | undefined {
    return this.led.get(groupId);
  }
  async change(groupId: GroupId, target: MembershipTarget): Promise<void> {
    const nodes = (list: MembershipTarget["voters"]): string =>
      list.map((replica) => replica % 4096).join();
    this.calls.push(`${groupId}: ${nodes(target.voters)}+${nodes(target.learners)}`);
    await Promise.resolve();
    if (this.fails) throw new Error("not now");
    const before = this.led.get(groupId);
    if (before === undefined) throw new Error("not led here");
    const commitIndex = before.commitIndex + 1;
    const lagging = target.learners.filter((replica) => !before.caughtUp.includes(replica));
    this.led.set(groupId, { ...before, ...target, commitIndex, lagging });
  }
  async transfer(groupId: GroupId, to: NodeId): Promise<void> {
    this.calls.push(`${groupId}: to ${to}`);
    await Promise.resolve();
    if (this.fails) throw new Error("not now");
    this.led.delete(groupId);
  }
  catchUp(groupId: GroupId): void {
    const before = this.led.get(groupId);
    if (before === undefined) return;
    const caughtUp = [...before.voters, ...before.learners];
    this.led.set(groupId, { ...before, caughtUp, lagging: [] });
  }
  flush(groupId: GroupId): void {
    const before = this.led.get(groupId);
    if (before !== undefined) {
      this.led.set(groupId, { ...before, durableCommitIndex: before.commitIndex });
    }
  }
}

async function setUp(nodes: number, partitions = 1) {
  const clock = new VirtualClock();
  const metadata = new OneReplicaGroup();
  await metadata.registerNodes(3);
  // Created while there were three nodes.
  await metadata.controller.propose(creation("orders", partitions, 3));
  for (let nodeId = 4; nodeId <= nodes; nodeId += 1) {
    await metadata.controller.propose(registration(nodeId, { founder: false }));
  }
  const memberships = new FakeMemberships();
  const reconciler = new MembershipReconciler({
    memberships,
    controller: metadata.controller,
    view: metadata.view,
    metadataFounders: { voters: [1, 2, 3].map((nodeId) => id(nodeId, 0)), learners: [] },
    clock: clock.root,
    log: silentLog,
  });
  const row = (groupId: number) => metadata.view.image.partitions.get(group(groupId));
  return { clock, memberships, metadata, reconciler, row };
}

const FOUNDERS = [id(1, 4), id(2, 4), id(3, 4)];

describe("membership reconciler", () => {
  test("move: joins, catches up, takes over, is sealed, and only then reported as finished", async () => {
    const { clock, memberships, metadata, reconciler, row } = await setUp(4);
    memberships.add({ groupId: group(1), self: id(2, 4), voters: FOUNDERS, caughtUp: FOUNDERS });
    reconciler.start();
    await clock.run(5000);
    expect(memberships.calls).toEqual([]);
    const move = { type: "move-replica", groupId: group(1), from: node(1), to: node(4) } as const;
    await metadata.controller.propose(move);
    await clock.run(5000);
    expect(memberships.calls).toEqual(["1: 1,2,3+4"]);
    memberships.catchUp(group(1));
    await clock.run(5000);
    // The second entry with the same members is the proof that the first one is committed.
    const place = row(1)
      ?.replicas.map((replica) => replica.nodeId)
      .join();
    expect(memberships.calls.slice(1)).toEqual([`1: ${place}+`, `1: ${place}+`]);
    expect(row(1)?.change).toBeDefined();
    memberships.flush(group(1));
    await clock.run(2000);
    expect(row(1)?.change).toBeUndefined();
    expect(
      row(1)
        ?.replicas.map((replica) => replica.nodeId)
        .sort(),
    ).toEqual([2, 3, 4]);
    await clock.run(60_000);
    expect(memberships.calls).toHaveLength(3);
    await reconciler.close();
  });

  test("move of the leader's replica: leadership goes first; if nobody takes it, the change comes anyway", async () => {
    const { clock, memberships, metadata, reconciler } = await setUp(4);
    const learner = id(4, 6);
    const fields = { groupId: group(1), self: id(1, 4), voters: FOUNDERS };
    memberships.add({ ...fields, learners: [learner], caughtUp: [...FOUNDERS, learner] });
    const move = { type: "move-replica", groupId: group(1), from: node(1), to: node(4) } as const;
    await metadata.controller.propose(move);
    memberships.fails = true;
    reconciler.start();
    await clock.run(2500);
    expect(memberships.calls[0]).toMatch(/^1: to [23]$/);
    expect(memberships.calls[1]).toMatch(/^1: [234],[234],[234]\+$/);
    await reconciler.close();
  });

  test("catching up: only so many groups at a time, the others follow", async () => {
    const { clock, memberships, metadata, reconciler } = await setUp(4, 10);
    for (let groupId = 1; groupId <= 10; groupId += 1) {
      const fields = { self: id(2, 4), voters: FOUNDERS, caughtUp: FOUNDERS };
      memberships.add({ ...fields, groupId: group(groupId) });
      const move = { type: "move-replica", from: node(1), to: node(4) } as const;
      await metadata.controller.propose({ ...move, groupId: group(groupId) });
    }
    reconciler.start();
    await clock.run(10_000);
    expect(memberships.calls).toHaveLength(CATCH_UPS_MAX);
    memberships.catchUp(group(1));
    await clock.run(2000);
    expect(memberships.calls.filter((call) => call.endsWith("+4"))).toHaveLength(CATCH_UPS_MAX + 1);
    await reconciler.close();
  });

  test("a change that is turned round right after its votes were given is sealed again", async () => {
    const { clock, memberships, metadata, reconciler, row } = await setUp(5);
    memberships.add({ groupId: group(1), self: id(2, 4), voters: FOUNDERS, caughtUp: FOUNDERS });
    reconciler.start();
    const move = { type: "move-replica", groupId: group(1) } as const;
    await metadata.controller.propose({ ...move, from: node(1), to: node(4) });
    await clock.run(1500);
    memberships.catchUp(group(1));
    await clock.run(2000);
    memberships.flush(group(1));
    await clock.run(2000);
    expect(row(1)?.change).toBeUndefined();
    const seal = memberships.calls.at(-1);
    memberships.calls.length = 0;
    await metadata.controller.propose({ ...move, from: node(4), to: node(5) });
    await clock.run(1500);
    memberships.catchUp(group(1));
    await clock.runUntil(() => memberships.calls.length === 2, 5000);
    await metadata.controller.propose({ type: "cancel-move", groupId: group(1) });
    await clock.run(1500);
    memberships.catchUp(group(1));
    await clock.run(5000);
    // The last entry of the way back is the proof of it; that of the first move proves nothing any more.
    expect(memberships.calls.slice(-2)).toEqual([seal, seal]);
    expect(row(1)?.change).toBeDefined();
    expect(reconciler.unproven()).toEqual([1]);
    memberships.flush(group(1));
    await clock.run(2000);
    expect(row(1)?.change).toBeUndefined();
    expect(reconciler.unproven()).toEqual([]);
    await reconciler.close();
  });

  test("emptied disk: follows the placement, and is sealed although no move is under way", async () => {
    const { clock, memberships, metadata, reconciler } = await setUp(3);
    memberships.add({ groupId: group(1), self: id(1, 4), voters: FOUNDERS, caughtUp: FOUNDERS });
    memberships.add({ groupId: group(99) });
    await metadata.controller.propose({ type: "fence-node", nodeId: node(3), incarnation: 1 });
    await metadata.controller.propose(registration(3, { directoryId: "new" }));
    const command = { type: "replace-replicas", nodeId: node(3), directoryId: "new" } as const;
    await metadata.controller.propose(command);
    memberships.fails = true;
    reconciler.start();
    await clock.run(1000);
    expect(memberships.calls).toEqual(["1: 1,2,3+3"]);
    memberships.fails = false;
    await clock.run(1000);
    memberships.catchUp(group(1));
    await clock.run(2000);
    expect(memberships.get(group(1))?.voters).toContain(id(3, 7));
    expect(memberships.calls).toHaveLength(4);
    await clock.run(60_000);
    expect(memberships.calls).toHaveLength(4);
    await reconciler.close();
  });

  test("emptied disk: the new members are unproven until a majority has the seal on its disks", async () => {
    const { clock, memberships, metadata, reconciler } = await setUp(3);
    memberships.add({ groupId: group(1), self: id(1, 4), voters: FOUNDERS, caughtUp: FOUNDERS });
    // Its topic was deleted: nobody wants members for it any more.
    memberships.add({ groupId: group(99) });
    reconciler.start();
    await clock.run(2000);
    expect(reconciler.unproven()).toEqual([]);
    await metadata.controller.propose({ type: "fence-node", nodeId: node(3), incarnation: 1 });
    await metadata.controller.propose(registration(3, { directoryId: "new" }));
    const command = { type: "replace-replicas", nodeId: node(3), directoryId: "new" } as const;
    await metadata.controller.propose(command);
    expect(reconciler.unproven()).toEqual([1]);
    await clock.run(2000);
    memberships.fails = true;
    memberships.catchUp(group(1));
    const joined = memberships.get(group(1));
    const voters = [id(1, 4), id(2, 4), id(3, 7)];
    // The leader knows that the change is committed, and nobody else may.
    memberships.add({ ...joined, groupId: group(1), voters, learners: [], isChanging: true });
    expect(reconciler.unproven()).toEqual([1]);
    memberships.add({ ...joined, groupId: group(1), voters, learners: [], isChanging: false });
    expect(reconciler.unproven()).toEqual([1]);
    memberships.fails = false;
    await clock.run(2000);
    expect(memberships.calls.at(-1)).toBe("1: 1,2,3+");
    expect(reconciler.unproven()).toEqual([1]);
    memberships.flush(group(1));
    expect(reconciler.unproven()).toEqual([]);
    await reconciler.close();
  });

  test("a new leader of a group whose members have changed proves them again", async () => {
    const { clock, memberships, metadata, reconciler } = await setUp(3);
    await metadata.controller.propose({ type: "fence-node", nodeId: node(3), incarnation: 1 });
    await metadata.controller.propose(registration(3, { directoryId: "new" }));
    const command = { type: "replace-replicas", nodeId: node(3), directoryId: "new" } as const;
    await metadata.controller.propose(command);
    const voters = [id(1, 4), id(2, 4), id(3, 7)];
    memberships.add({ groupId: group(1), self: id(2, 4), voters, caughtUp: voters });
    expect(reconciler.unproven()).toEqual([1]);
    reconciler.start();
    await clock.run(2000);
    memberships.flush(group(1));
    expect(reconciler.unproven()).toEqual([]);
    expect(memberships.calls).toEqual(["1: 1,2,3+"]);
    // Lost and won again between two rounds: others led meanwhile, and may have changed the members there and back.
    const led = { groupId: group(1), self: id(2, 4), voters, caughtUp: voters };
    memberships.add({ ...led, term: 3, commitIndex: 20 });
    expect(reconciler.unproven()).toEqual([1]);
    await clock.run(2000);
    expect(memberships.calls).toEqual(["1: 1,2,3+", "1: 1,2,3+"]);
    memberships.flush(group(1));
    expect(reconciler.unproven()).toEqual([]);
    await reconciler.close();
  });

  test("metadata group: a configuration that is not the founding one is sealed once per leadership", async () => {
    const { clock, memberships, reconciler } = await setUp(4);
    const voters = [id(1, 0), id(2, 0), id(3, 0)];
    memberships.add({ groupId: group(0), self: id(1, 0), voters, caughtUp: voters });
    reconciler.start();
    await clock.run(5000);
    expect(memberships.calls).toEqual(["0: 1,2,3+4", "0: 1,2,3+4"]);
    await clock.run(60_000);
    expect(memberships.calls).toHaveLength(2);
    await reconciler.close();
  });
});
