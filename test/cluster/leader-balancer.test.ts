import { describe, expect, test } from "vitest";
import type { LedGroup } from "../../src/cluster/leader-balance-plan.ts";
import { LEADER_BALANCER_DEFAULTS, LeaderBalancer } from "../../src/cluster/leader-balancer.ts";
import { Liveness } from "../../src/cluster/liveness.ts";
import { nextMembership, wantedOfMetadata } from "../../src/cluster/membership-plan.ts";
import { MembershipReconciler } from "../../src/cluster/membership-reconciler.ts";
import type { LedMembership, Memberships } from "../../src/cluster/ports.ts";
import { type GroupId, METADATA_GROUP, type NodeId, replicaIdOf } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { creation, node, OneReplicaGroup, registration, silentLog } from "./support.ts";

async function setUp(groupCount: number) {
  const clock = new VirtualClock();
  const metadata = new OneReplicaGroup();
  await metadata.registerNodes(2);
  const liveness = new Liveness(node(1), 0);
  const led = new Set(Array.from({ length: groupCount }, (_, place) => (place + 1) as GroupId));
  const transfers: number[] = [];
  const replicas = [node(2), node(1)];
  const groups = {
    fails: false,
    list: (): LedGroup[] => [...led].map((groupId) => ({ groupId, replicas, inSync: replicas })),
    transfer: async (groupId: GroupId, _to: NodeId): Promise<void> => {
      transfers.push(groupId);
      await Promise.resolve();
      if (groups.fails) throw new Error("timeout");
      led.delete(groupId);
    },
  };
  const balancer = new LeaderBalancer({
    nodeId: node(1),
    groups,
    view: metadata.view,
    liveness,
    clock: clock.root,
    log: silentLog,
    settings: LEADER_BALANCER_DEFAULTS,
  });
  const run = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      liveness.heard({ nodeId: 2, incarnation: 1, draining: false }, clock.nowMs);
      await clock.run(1000);
    }
  };
  return { balancer, clock, groups, led, run, transfers };
}

describe("leader balancer", () => {
  test("return: leaderships go back a few at a time once the node has been up for long enough", async () => {
    const { balancer, led, run, transfers } = await setUp(10);
    balancer.start();
    await run(4);
    expect(transfers).toEqual([]);
    await run(2);
    expect(transfers.length).toBeGreaterThan(0);
    expect(transfers.length).toBeLessThanOrEqual(8);
    await run(4);
    expect(led.size).toBe(0);
    await balancer.close();
  });

  test("failure: the group is left alone for a while", async () => {
    const { balancer, groups, run, transfers } = await setUp(1);
    groups.fails = true;
    balancer.start();
    await run(14);
    expect(transfers).toHaveLength(1);
    await run(5);
    expect(transfers).toHaveLength(2);
    await balancer.close();
  });

  test("draining: no transfer is started any more", async () => {
    const { balancer, run, transfers } = await setUp(3);
    balancer.start();
    balancer.drain();
    await run(20);
    expect(transfers).toEqual([]);
    await balancer.close();
  });
});

const id = (nodeId: number, revision: number) => replicaIdOf(node(nodeId), revision);

function members(fields: Partial<LedMembership>): LedMembership {
  return {
    groupId: 1 as GroupId,
    voters: [id(1, 0), id(2, 0), id(3, 0)],
    learners: [],
    isChanging: false,
    caughtUp: [],
    ...fields,
  };
}

describe("membership", () => {
  const wanted = { voters: [id(1, 0), id(2, 9), id(3, 0)], learners: [] };

  test("replacement: joins as a learner, then takes over in one change", () => {
    const before = members({});
    const joined = nextMembership(before, wanted);
    expect(joined).toEqual({ voters: before.voters, learners: [id(2, 9)] });
    const learning = members({ learners: [id(2, 9)] });
    expect(nextMembership(learning, wanted)).toBeUndefined();
    expect(nextMembership({ ...learning, caughtUp: [id(2, 9)] }, wanted)).toEqual(wanted);
    expect(nextMembership(members({ voters: wanted.voters }), wanted)).toBeUndefined();
    expect(nextMembership(members({ isChanging: true }), wanted)).toBeUndefined();
  });

  test("metadata group: an emptied node's voter is replaced, further nodes learn", async () => {
    const metadata = new OneReplicaGroup();
    await metadata.registerNodes(3);
    await metadata.controller.propose(registration(4, { founder: false }));
    await metadata.controller.propose({ type: "fence-node", nodeId: node(2), incarnation: 1 });
    await metadata.controller.propose(registration(2, { directoryId: "new", founder: true }));
    const current = members({ groupId: METADATA_GROUP });
    expect(wantedOfMetadata(metadata.view.image, current)).toEqual({
      voters: [id(1, 0), id(2, 6), id(3, 0)],
      learners: [id(4, 4)],
    });
  });

  test("metadata group: voters that have not registered yet stay", () => {
    const { image } = new OneReplicaGroup().view;
    const current = members({ groupId: METADATA_GROUP, learners: [id(4, 0)] });
    expect(nextMembership(current, wantedOfMetadata(image, current))).toBeUndefined();
  });

  test("reconciler: follows the placement and leaves groups of unknown topics alone", async () => {
    const clock = new VirtualClock();
    const metadata = new OneReplicaGroup();
    await metadata.registerNodes(3);
    await metadata.controller.propose(creation("orders", 1, 3));
    const list = [
      members({ voters: [id(1, 4), id(2, 4), id(3, 4)], groupId: 1 as GroupId }),
      members({ groupId: 99 as GroupId }),
    ];
    const changes: unknown[] = [];
    const memberships: Memberships = {
      list: () => list,
      change: async (groupId, target) => {
        await Promise.resolve();
        changes.push([groupId, target.learners]);
        throw new Error("not now");
      },
    };
    const { view } = metadata;
    const reconciler = new MembershipReconciler({
      memberships,
      view,
      clock: clock.root,
      log: silentLog,
    });
    reconciler.start();
    await clock.run(3000);
    expect(changes).toEqual([]);
    await metadata.controller.propose({ type: "fence-node", nodeId: node(3), incarnation: 1 });
    await metadata.controller.propose(registration(3, { directoryId: "new" }));
    const command = { type: "replace-replicas" as const, nodeId: node(3), directoryId: "new" };
    await metadata.controller.propose(command);
    await clock.run(1000);
    expect(changes).toEqual([[1, [id(3, 7)]]]);
    await reconciler.close();
  });
});
