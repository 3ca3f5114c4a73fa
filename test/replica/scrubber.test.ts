// Where a walk over a node's segments begins.
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import type { Replica } from "../../src/replica/replica.ts";
import { noReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { Scrubber } from "../../src/replica/scrubber.ts";
import { ReplicaCluster } from "../support/replica-cluster.ts";

describe("scrubber", () => {
  it("begins with any group, and comes to each once per walk", async () => {
    const cluster = new ReplicaCluster({ nodes: 1, groups: 5 });
    await cluster.start();
    const replicas = cluster.live()[0]?.set.all() ?? [];
    const firsts = new Set<number>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const seen: number[] = [];
      const observed = replicas.map(
        (replica): Replica =>
          new Proxy(replica, {
            get: (target, key): unknown => {
              if (key === "segments") seen.push(target.groupId);
              return key === "segments" ? () => [] : Reflect.get(target, key, target);
            },
          }),
      );
      const scrubber = new Scrubber(
        {
          clock: cluster.clock.root,
          random: seededRandom(seed),
          metrics: noReplicaMetrics,
          replicas: () => observed,
          onFailure: () => undefined,
        },
        { bytesPerSecond: 1 << 20, intervalMs: 1000 },
      );
      scrubber.start();
      await cluster.clock.runUntil(() => seen.length >= 5, 2000);
      await scrubber.close();
      expect([...seen.slice(0, 5)].sort()).toEqual([1, 2, 3, 4, 5]);
      firsts.add(seen[0] ?? 0);
    }
    expect(firsts.size).toBeGreaterThan(3);
  });
});
