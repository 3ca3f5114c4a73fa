import { seededRandom } from "../../src/base/random.ts";
import { PublishClient } from "./publish-client.ts";
import { SimCluster } from "./sim-cluster.ts";

const c = new SimCluster({ seed: 1, onLine: (l) => console.log(l) });
const t0 = performance.now();
await c.start();
console.log("started", c.world.nowMs, c.world.eventCount, c.violations);
const client = new PublishClient({
  connector: c.network.connector(c.clientHost),
  bootstrap: c.bootstrap,
  clock: c.clientHost.clock,
  random: seededRandom(4),
});
await c.complete(c.clientHost, () => client.createTopic("ledger", 3, {}, 20000), 30000);
console.log("topic", c.world.nowMs);
for (let i = 0; i < 5; i++)
  console.log(
    JSON.stringify(
      await c.complete(
        c.clientHost,
        () => client.send({ topic: "ledger", key: "k" + i, value: "v" + i, deadlineMs: 5000 }),
        30000,
      ),
    ),
    c.world.nowMs,
  );
await c.world.run(60000);
console.log(
  c.world.nowMs,
  c.world.eventCount,
  c.world.traceHash(),
  c.invariants.checks,
  performance.now() - t0,
);
