// Elections where each sync of the journal takes about as long as the timers.
import { afterEach, describe, expect, it } from "vitest";
import { ReplicaCluster } from "../support/replica-cluster.ts";

let cluster: ReplicaCluster;

afterEach(() => {
  cluster.checkFailures();
});

describe("elections on slow disks", () => {
  it.each([400, 800, 1600])(
    "a sync takes %i ms: there is a leader, also after it dies, and it stays",
    async (syncMs) => {
      for (let seed = 1; seed <= 10; seed += 1) {
        cluster = new ReplicaCluster({ syncMs, seed });
        await cluster.start();
        const first = await cluster.leader();
        await cluster.crash(first.nodeId, "process");
        const second = await cluster.leaderOtherThan(first.nodeId);
        await cluster.converge();
        const { term } = second.replica;
        await cluster.clock.run(30_000);
        expect(second.replica.term, `seed ${seed}`).toBe(term);
        cluster.checkFailures();
      }
    },
  );
});
