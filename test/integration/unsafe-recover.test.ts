// Two of four brokers are lost for good, and with them the majority of two partitions: `unsafe-recover` is refused while
// a quorum could answer, goes on from the survivor otherwise, and shuts the lost replicas out when they come back.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Client, createClient } from "../../src/client/index.ts";
import { waitUntil } from "../chaos/waiting.ts";
import { LocalCluster } from "../support/local-cluster.ts";

const TOPIC = "t";
const PARTITIONS = 4;
const LOST: readonly number[] = [3, 4];

let cluster: LocalCluster;
let client: Client | undefined;
afterEach(async () => {
  await client?.close({ timeoutMs: 500 });
  await cluster.close();
});

function theClient(): Client {
  if (client === undefined) throw new Error("no client");
  return client;
}

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

async function sendTo(partitions: readonly number[], name: string): Promise<readonly string[]> {
  const producer = theClient().producer();
  const values = Array.from({ length: 100 }, (_, number) => `${name}-${number}`);
  await Promise.all(
    values.map(async (value, number) => {
      const partition = partitions[number % partitions.length] ?? 0;
      await producer.send({ topic: TOPIC, partition, value });
    }),
  );
  await producer.close();
  return values;
}

async function readAll(): Promise<readonly string[]> {
  const values: string[] = [];
  for await (const message of theClient().reader({ topic: TOPIC, until: "end" })) {
    values.push(message.value?.toString() ?? "");
  }
  return values.sort();
}

test("unsafe-recover: refused while a quorum could answer, goes on from the survivor, keeps the lost replicas out", async () => {
  cluster = await LocalCluster.create({ nodes: 4 });
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  const all = [0, 1, 2, 3];
  await client.admin().createTopic({ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3 });
  const before = await sendTo(all, "before");
  const { partitions } = await client.admin().describeTopic(TOPIC);
  const isHit = (replicas: readonly number[]): boolean => LOST.every((id) => replicas.includes(id));
  const hit = partitions.filter(({ replicas }) => isHit(replicas)).map((one) => one.partition);
  const whole = all.find((partition) => !hit.includes(partition)) ?? 0;
  expect(hit).toHaveLength(2);
  const [first = 0] = hit;
  const survivor = partitions[first]?.replicas.find((id) => !LOST.includes(id)) ?? 0;
  await Promise.all(LOST.map((id) => cluster.kill(id)));

  const yes = "--yes-i-accept-data-loss";
  // Just died: as far as anybody knows they may answer in a moment.
  const { members } = client.admin();
  const name = { topic: TOPIC, partition: first };
  const seen = await members.inspectReplica(survivor, name);
  expect(seen).toMatchObject({ quorumAnswers: true, endOffset: 25 });
  await expect(members.unsafeRecover(name, seen)).rejects.toMatchObject({
    reason: "QUORUM_ANSWERS",
  });
  await waitUntil("both are out of service", 20_000, async () => {
    const { nodes } = await theClient().admin().describeCluster();
    return nodes.filter((node) => node.fenced).length === LOST.length;
  });
  // The command waits for those that are gone: nothing is lost by asking for several partitions at a time.
  const [needless, asked] = await Promise.all([
    refusal("unsafe-recover", `${TOPIC}/${whole}`, yes),
    refusal("unsafe-recover", `${TOPIC}/${first}`),
  ]);
  expect(needless).toContain("leader");
  expect(asked).toContain("ended with 64");
  expect(asked).toContain("how many, nobody can know any more");
  await Promise.all(
    hit.map(async (partition) => flotilla("unsafe-recover", `${TOPIC}/${partition}`, yes, "-w")),
  );

  const after = await sendTo(all, "after");
  expect(await readAll()).toEqual([...before, ...after].sort());

  // The lost ones come back with what they had: it goes to the trash, and they are free for new replicas.
  for (const id of LOST) cluster.start(id);
  await Promise.all(LOST.map((id) => cluster.waitHealthy(id)));
  const trashOf = (id: number): readonly string[] => {
    try {
      return readdirSync(join(cluster.node(id).dataDir, "trash"));
    } catch {
      return [];
    }
  };
  await waitUntil("old replicas are in the trash", 20_000, () =>
    LOST.every((id) => trashOf(id).length === hit.length),
  );
  await flotilla("replica", "move", `${TOPIC}/${first}`, "--to", "3", "--watch");
  const details = await theClient().admin().describeTopic(TOPIC);
  const replicas = details.partitions.find((one) => one.partition === first)?.replicas ?? [];
  expect([...replicas].sort()).toEqual([1, 2, 3]);
  const last = await sendTo(all, "last");
  expect(await readAll()).toEqual([...before, ...after, ...last].sort());
});
