import { describe, expect, test } from "vitest";
import type { LedGroup } from "../../src/cluster/leader-balance-plan.ts";
import { LEADER_BALANCER_DEFAULTS, LeaderBalancer } from "../../src/cluster/leader-balancer.ts";
import { Liveness } from "../../src/cluster/liveness.ts";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { node, OneReplicaGroup, silentLog } from "./support.ts";

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
