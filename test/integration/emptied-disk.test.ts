// A broker whose data directory was emptied: it does not start by itself, nor under another's identity; `cluster init
// --join` gives it a new one, its replicas are made anew and catch up, and the lost directory can never come back.
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Client, createClient } from "../../src/client/index.ts";
import { ClusterView, digestProblems } from "../chaos/cluster-view.ts";
import { LocalCluster, pause } from "../support/local-cluster.ts";

const TOPIC = "t";
const PARTITIONS = 3;
const EMPTIED = 2;

let cluster: LocalCluster;
let client: Client;
let view: ClusterView;
afterEach(async () => {
  await view.close();
  await client.close({ timeoutMs: 500 });
  await cluster.close();
});

/** The broker ends by itself. Returns its exit code. */
async function exitOf(nodeId: number, timeoutMs: number): Promise<number | null> {
  const endMs = performance.now() + timeoutMs;
  while (cluster.isRunning(nodeId)) {
    if (performance.now() > endMs) throw new Error(`it still runs:\n${cluster.logTail(nodeId)}`);
    await pause(50);
  }
  return cluster.stop(nodeId);
}

async function sendAll(values: readonly string[]): Promise<void> {
  const producer = client.producer();
  await Promise.all(
    values.map(async (value) => producer.send({ topic: TOPIC, key: value, value })),
  );
  await producer.close();
}

async function readAll(): Promise<readonly string[]> {
  const values: string[] = [];
  for await (const message of client.reader({ topic: TOPIC, until: "end" })) {
    values.push(message.value?.toString() ?? "");
  }
  return values.sort();
}

test("emptied disk: refused as its former self, joins anew, catches up, counts for the majority", async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  view = new ClusterView(cluster, TOPIC, PARTITIONS);
  await client.admin().createTopic({ name: TOPIC, partitions: PARTITIONS });
  const before = Array.from({ length: 200 }, (_, number) => `before-${number}`);
  await sendAll(before);

  const { dataDir } = cluster.node(EMPTIED);
  await cluster.kill(EMPTIED);
  const former = join(cluster.directory, "former");
  renameSync(dataDir, former);
  mkdirSync(dataDir);
  cluster.start(EMPTIED);
  expect(await exitOf(EMPTIED, 20_000)).toBe(78);
  expect(cluster.logTail(EMPTIED)).toContain("not formatted");

  // Another node's identity does not help.
  cpSync(join(cluster.node(1).dataDir, "node.json"), join(dataDir, "node.json"));
  cluster.start(EMPTIED);
  expect(await exitOf(EMPTIED, 20_000)).not.toBe(0);
  expect(cluster.logTail(EMPTIED)).toContain("belongs to node 1");

  rmSync(dataDir, { recursive: true });
  await cluster.command([
    "cluster",
    "init",
    "--join",
    String(EMPTIED),
    "--config",
    cluster.configPath,
  ]);
  const identity = (directory: string): { directoryId: string; clusterId: string } =>
    JSON.parse(readFileSync(join(directory, "node.json"), "utf8")) as ReturnType<typeof identity>;
  expect(identity(dataDir).clusterId).toBe(identity(former).clusterId);
  expect(identity(dataDir).directoryId).not.toBe(identity(former).directoryId);

  cluster.start(EMPTIED);
  await cluster.waitHealthy(EMPTIED, 60_000);
  await view.waitInSync(60_000);
  expect(digestProblems(await view.digests())).toEqual([]);

  // It votes again, as another replica: with a third broker gone, writes go on.
  await cluster.kill(3);
  const after = Array.from({ length: 50 }, (_, number) => `after-${number}`);
  await sendAll(after);
  expect(await readAll()).toEqual([...before, ...after].sort());
  cluster.start(3);
  await cluster.waitHealthy(3);
  await view.waitInSync(60_000);

  // The lost disk is found again: it was replaced and may not take part any more.
  await cluster.stop(EMPTIED);
  renameSync(dataDir, join(cluster.directory, "present"));
  renameSync(former, dataDir);
  cluster.start(EMPTIED);
  expect(await exitOf(EMPTIED, 30_000)).not.toBe(0);
  expect(cluster.logTail(EMPTIED, 40)).toContain("retired-directory");
  expect(await readAll()).toEqual([...before, ...after].sort());
});
