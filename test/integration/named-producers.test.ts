// Two producers of one name on a real cluster: the later one has it, whatever becomes of the earlier one.
import { afterEach, expect, test } from "vitest";
import { type Client, createClient } from "../../src/client/index.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";

let cluster: InProcessCluster;
const clients: Client[] = [];
afterEach(async () => {
  for (const node of cluster.nodes) node.gates.releaseSyncs();
  await Promise.all(clients.splice(0).map(async (client) => client.close({ timeoutMs: 1000 })));
  await cluster.close();
});

/** A process of its own. */
function client(): Client {
  const made = createClient({ bootstrap: cluster.nodes.map((node) => node.client) });
  clients.push(made);
  return made;
}

test("a producer that gives up a batch does not fence the one that replaced it", async () => {
  cluster = await InProcessCluster.start();
  await cluster.createTopic("t", { flush: "sync" });
  await cluster.createTopic("u", { flush: "sync" });
  const old = client().producer({ name: "writer", deliveryTimeoutMs: 2000 });
  await old.send({ topic: "t", value: "old" });

  for (const node of cluster.nodes) node.gates.holdSyncs();
  await expect(old.send({ topic: "t", value: "lost" })).rejects.toMatchObject({
    reason: "DEADLINE",
    outcome: "unknown",
  });
  for (const node of cluster.nodes) node.gates.releaseSyncs();

  const successor = client().producer({ name: "writer" });
  await successor.send({ topic: "u", value: "new" });
  const fenced = { reason: "PRODUCER_FENCED", outcome: "not-applied" };
  await expect(old.send({ topic: "t", value: "zombie" })).rejects.toMatchObject(fenced);
  await expect(old.send({ topic: "u", value: "zombie" })).rejects.toMatchObject(fenced);
  const receipts = [
    await successor.send({ topic: "u", value: "newer" }),
    await successor.send({ topic: "t", value: "newer" }),
  ];
  expect(receipts.map(({ duplicate }) => duplicate)).toEqual([false, false]);
});
