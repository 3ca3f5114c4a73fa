import { SimCluster } from "./sim-cluster.ts";
import { Workload, plainClient } from "./workload.ts";
import { TOPICS } from "./topics.ts";
const c = new SimCluster({ seed: 1, onLine: (l) => console.log(l) });
await c.start();
const p = plainClient(c);
for (const t of TOPICS) await c.complete(c.clientHost, () => p.createTopic(t.name, t.partitions, t.settings, 20000), 30000);
const w = new Workload(c); w.start(() => false);
for (let i = 0; i < 4; i++) { await c.world.run(10000);
for (const b of c.brokers) { const r = [...b.node!.partitions.registry.all()].find(x => x.settings.retentionBytes > 0)!; const st = r.replica.status(); console.log(b.nodeId, st.lastIndex, r.settings, r.state.logStartIndex, r.replica.segments().length, r.replica.segments().at(-1)); } }
console.log(c.counters);
