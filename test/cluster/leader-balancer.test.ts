import { describe, expect, test } from "vitest";
import type { LedGroup } from "../../src/cluster/leader-balance-plan.ts";
import { LEADER_BALANCER_DEFAULTS, LeaderBalancer } from "../../src/cluster/leader-balancer.ts";
import { Liveness } from "../../src/cluster/liveness.ts";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { node, OneReplicaGroup, silentLog } from "./support.ts";

async function setUp(groupCount: number, replicas = [node(2), node(1)]) {
  const clock = new VirtualClock();
  const metadata = new OneReplicaGroup();
  await metadata.registerNodes(replicas.length);
  const liveness = new Liveness(node(1), 0);
  const led = new Set(Array.from({ length: groupCount }, (_, place) => (place + 1) as GroupId));
  const transfers: number[] = [];
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
  /** @param offsetMs how far the others' wall clocks are ahead of ours */
  const run = async (seconds: number, offsetMs = 0): Promise<void> => {
    const others = replicas.filter((nodeId) => nodeId !== node(1));
    for (let second = 0; second < seconds; second += 1) {
      for (const nodeId of others) {
        liveness.heard({ nodeId, incarnation: 1, draining: false }, clock.nowMs, offsetMs);
      }
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

  test("own clock: while it is off by more than 10 s, also what is led by right is handed over", async () => {
    const { balancer, led, run, transfers } = await setUp(2, [node(1), node(2), node(3)]);
    balancer.start();
    await run(10, 10_000);
    expect(transfers).toEqual([]);
    await run(10, 10_001);
    expect(transfers).toEqual([1, 2]);
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
