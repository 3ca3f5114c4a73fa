// Bits that rot in the stored messages of running brokers: nothing damaged is ever served, the leadership moves away from a
// damaged replica, and it repairs itself from the others, byte for byte. Three broker processes on real files.
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Client, createClient } from "../../src/client/index.ts";
import { LocalCluster, type LocalNode, pause } from "../support/local-cluster.ts";

const TOPIC = "rots";
const MESSAGES = 120;
/** Each message makes a frame of about 8 KiB, so a segment holds seven. */
const VALUE_BYTES = 8000;
/** Behind the segment's header and two frames, in the records of the third. */
const AT = 64 + 2 * 8200 + 4000;

let cluster: LocalCluster;
let client: Client;
afterEach(async () => {
  await client.close({ timeoutMs: 1000 });
  await cluster.close();
});

const textOf = (number: number): string => String(number).padEnd(VALUE_BYTES, ".");

/** Three brokers, one partition with a dozen sealed segments, flushed. */
async function start(scrubIntervalMs: number): Promise<void> {
  const scrub = `scrubRate: 256MiB, scrubInterval: ${scrubIntervalMs}ms`;
  cluster = await LocalCluster.create({
    extraYaml: `storage: { diskFreeMin: 0B, ${scrub} }\nlogging: { level: info }\n`,
  });
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  await client.admin().createTopic({
    name: TOPIC,
    partitions: 1,
    replicationFactor: 3,
    settings: { "segment.bytes": "65536" },
  });
  const producer = client.producer();
  for (let number = 0; number < MESSAGES; number += 1) {
    await producer.send({ topic: TOPIC, key: "k", value: textOf(number) });
  }
  await untilEqual();
}

/** Followers learn a moment later what is committed. */
async function untilEqual(): Promise<void> {
  await until("all replicas hold the same", async () => {
    const digests = await Promise.all(cluster.nodes.map((node) => digestOf(node)));
    return new Set(digests).size === 1;
  });
}

async function digestOf({ id }: LocalNode): Promise<string> {
  const { lastIndex, sha256 } = await client.admin().digestReplica(id, {
    topic: TOPIC,
    partition: 0,
  });
  return `${lastIndex} ${sha256}`;
}

/** The directory of the only partition: the metadata group has the other one. */
function directoryOf({ dataDir }: LocalNode): string {
  const names = readdirSync(join(dataDir, "groups"));
  const name = names.find((one) => !one.startsWith("0-"));
  if (name === undefined) throw new Error(`no partition in ${names.join()}`);
  return join(dataDir, "groups", name);
}

function segmentOf(node: LocalNode, number: number): string {
  const directory = directoryOf(node);
  const names = readdirSync(directory).filter((name) => name.endsWith(".seg"));
  const name = names.sort()[number];
  if (name === undefined || number >= names.length - 1) throw new Error("no such sealed segment");
  return join(directory, name);
}

function flip(node: LocalNode, number: number, at = AT): void {
  const file = openSync(segmentOf(node, number), "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 4;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}

async function metric({ admin }: LocalNode, name: string): Promise<number> {
  const answer = await fetch(`http://${admin}/metrics`);
  const line = (await answer.text()).split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.split(" ")[1] ?? 0);
}

const found = (node: LocalNode): Promise<number> =>
  metric(node, "flotilla_replica_damaged_ranges_total");
const damaged = (node: LocalNode): Promise<number> =>
  metric(node, "flotilla_replica_damaged_entries");
const repaired = (node: LocalNode): Promise<number> =>
  metric(node, "flotilla_replica_entries_repaired_total");

async function until(what: string, isSo: () => Promise<boolean>, limitMs = 30_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) {
      throw new Error(
        `not within ${limitMs} ms: ${what}\n${cluster.nodes.map(({ id }) => cluster.logTail(id, 5)).join("\n")}`,
      );
    }
    await pause(20);
  }
}

async function leader(): Promise<LocalNode> {
  let node: LocalNode | undefined;
  await until("a leader is known", async () => {
    const { partitions } = await client.admin().describeTopic(TOPIC);
    node = cluster.nodes.find(({ id }) => id === partitions[0]?.leaderId);
    return node !== undefined;
  });
  if (node === undefined) throw new Error("no leader");
  return node;
}

async function lead(node: LocalNode): Promise<void> {
  await until(`node ${node.id} leads`, async () => {
    if ((await leader()).id === node.id) return true;
    await client
      .admin()
      .transferLeadership(TOPIC, 0, node.id)
      .catch(() => undefined);
    return false;
  });
}

/** Whatever is damaged meanwhile, a reader sees what was sent, in order. */
async function readAll(): Promise<void> {
  let number = 0;
  for await (const message of client.reader({ topic: TOPIC, until: "end" })) {
    expect(message.value?.toString()).toBe(textOf(number));
    number += 1;
  }
  expect(number).toBe(MESSAGES);
}

async function expectEqualFiles(numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    const [first, ...others] = cluster.nodes.map((node) => readFileSync(segmentOf(node, number)));
    for (const other of others) expect(other.equals(first ?? Buffer.alloc(0))).toBe(true);
  }
  await untilEqual();
}

test("a leader: found when somebody reads, never served, led away from, repaired, leads again", async () => {
  await start(3_600_000);
  const node = await leader();
  const original = readFileSync(segmentOf(node, 2));
  // What was written last is in memory; started anew, the broker has to read its files.
  await cluster.stop(node.id);
  await cluster.up();
  await lead(node);
  flip(node, 2);
  await readAll();
  expect(await found(node)).toBe(1);
  await until("it is repaired", async () => (await damaged(node)) === 0);
  expect(await repaired(node)).toBe(1);
  await until("another one leads", async () => (await leader()).id !== node.id);
  expect(readFileSync(segmentOf(node, 2)).equals(original)).toBe(true);
  expect(readdirSync(join(directoryOf(node), "damaged")).length).toBe(1);
  await expectEqualFiles([0, 1, 2, 3]);
  await lead(node);
  await readAll();
  expect(await found(node)).toBe(1);
}, 240_000);

test("a follower: found by the scrub, repaired; and two of three at different places, from each other", async () => {
  await start(1000);
  const first = await leader();
  const [second, third] = cluster.nodes.filter(({ id }) => id !== first.id);
  if (second === undefined || third === undefined) throw new Error("three nodes");
  flip(second, 1);
  await until("it is found", async () => (await found(second)) === 1);
  await until("it is repaired", async () => (await damaged(second)) === 0);
  await expectEqualFiles([0, 1, 2, 3]);
  // Header and records, on the leader and on a follower.
  flip(first, 3, 64 + 20);
  flip(third, 2);
  flip(third, 5);
  await until("all is found", async () => (await found(first)) === 1 && (await found(third)) === 2);
  const all = [first, second, third];
  await until("all is repaired", async () => {
    const left = await Promise.all(all.map(damaged));
    return left.every((entries) => entries === 0);
  });
  await expectEqualFiles([0, 1, 2, 3, 4, 5, 6]);
  await readAll();
  for (const node of all) await lead(node);
  await readAll();
  expect(await found(third)).toBe(2);
}, 240_000);
