// Two of three brokers are lost for good, and with them the majority of everything: first the metadata, then the partitions
// go on from the survivor; one of the lost comes back and begins anew, a new node takes the other's place. The survivor lacks
// the newest entries of the metadata: what those gave is not given again.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Admin, type Client, createClient } from "../../src/client/index.ts";
import { waitUntil } from "../chaos/waiting.ts";
import { LocalCluster } from "../support/local-cluster.ts";

const TOPIC = "t";
const PARTITIONS = 2;
/** Created while the survivor was down, and after everything was lost. */
const LOST = { name: "lost", partitions: 1 };
const NEXT = { name: "next", partitions: 1, replicationFactor: 1 };
const YES = "--yes-i-accept-data-loss";

let cluster: LocalCluster;
let client: Client | undefined;
afterEach(async () => {
  await client?.close({ timeoutMs: 500 });
  await cluster.close();
});

function flotilla(...words: readonly string[]): Promise<string> {
  return cluster.command(["-o", "json", "--config", cluster.configPath, ...words]);
}

async function refusal(...words: readonly string[]): Promise<string> {
  try {
    return await flotilla(...words);
  } catch (error) {
    return String(error);
  }
}

function admin(): Admin {
  if (client === undefined) throw new Error("no client");
  return client.admin();
}

/** Partition groups in the directory of a node, by number. */
function groupsOf(nodeId: number): ReadonlySet<number> {
  const names = readdirSync(join(cluster.node(nodeId).dataDir, "groups"));
  return new Set(names.map((name) => Number(name.split("-")[0])));
}

async function send(name: string): Promise<readonly string[]> {
  if (client === undefined) throw new Error("no client");
  const producer = client.producer();
  const values = Array.from({ length: 60 }, (_, number) => `${name}-${number}`);
  await Promise.all(
    values.map(async (value) => producer.send({ topic: TOPIC, key: value, value })),
  );
  await producer.close();
  return values;
}

async function readAll(): Promise<readonly string[]> {
  if (client === undefined) throw new Error("no client");
  const values: string[] = [];
  for await (const message of client.reader({ topic: TOPIC, until: "end" })) {
    values.push(message.value?.toString() ?? "");
  }
  return values.sort();
}

test("majority of everything lost: metadata and partitions go on from the survivor, the others begin anew", async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  await client.admin().createTopic({ name: TOPIC, partitions: PARTITIONS });
  const before = await send("before");
  const recover = ["unsafe-recover", "metadata", "--from", "1", YES];
  // Its directory is locked by the broker that runs.
  expect(await refusal(...recover)).toMatch(/ended with (1|78)/);
  await cluster.stop(1);
  expect(await refusal(...recover)).toContain("nothing needs to be forced");
  cluster.start(1);
  await cluster.waitHealthy(1);

  await cluster.kill(1);
  await admin().createTopic(LOST);
  const lostGroup = PARTITIONS + 1;
  await waitUntil("node 3 holds the new topic", 10_000, () => groupsOf(3).has(lostGroup));
  await Promise.all([cluster.kill(2), cluster.kill(3)]);
  rmSync(cluster.node(2).dataDir, { recursive: true });
  expect(await refusal("unsafe-recover", "metadata", "--from", "1")).toContain("ended with 64");
  await flotilla(...recover);
  cluster.start(1);
  await waitUntil("node 1 leads the metadata group", 20_000, async () => {
    const { controllerId, nodes } = await admin().describeCluster();
    return controllerId === 1 && nodes.filter((node) => node.fenced).length === 2;
  });
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => `${TOPIC}/${partition}`);
  await Promise.all(
    partitions.map(async (partition) => flotilla("unsafe-recover", partition, YES, "--watch")),
  );
  const alone = await send("alone");
  expect(await readAll()).toEqual([...before, ...alone].sort());
  await admin().createTopic(NEXT);

  // Node 3 comes back with all it had: it gives its copy of the metadata up, and follows from its next start on.
  cluster.start(3);
  await waitUntil("it gives its copy up", 30_000, () => !cluster.isRunning(3));
  expect(cluster.logTail(3)).toContain("was given up");
  // Node 2's disk is gone: another node takes its place.
  await cluster.addNode(4);
  cluster.start(3);
  await Promise.all([cluster.waitHealthy(3), cluster.waitHealthy(4)]);
  expect(groupsOf(3)).toContain(lostGroup);
  expect(groupsOf(1)).not.toContain(lostGroup);
  await admin().deleteTopic(NEXT.name);
  await flotilla("node", "decommission", "2", "--watch");
  await cluster.forgetNode(2);
  await flotilla("cluster", "rebalance", "--execute", "--watch");
  await waitUntil("all three vote on the metadata", 20_000, async () => {
    const { nodes } = await admin().describeCluster();
    return nodes.length === 3 && nodes.every((node) => node.metadataVoter);
  });
  expect(groupsOf(3)).toContain(lostGroup);
  const { nodes } = await client.admin().describeCluster();
  expect(nodes.map((node) => [node.nodeId, node.replicas])).toEqual([
    [1, PARTITIONS],
    [3, PARTITIONS],
    [4, PARTITIONS],
  ]);

  // They count: with the survivor gone, the others go on.
  await cluster.kill(1);
  const later = await send("later");
  expect(await readAll()).toEqual([...before, ...alone, ...later].sort());
});
