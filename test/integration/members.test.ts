// The life of a cluster under load, all through the command line: grows from three brokers to five, moves a replica,
// changes its mind about a node, replaces one that was killed, shrinks back to three – and then loses its power, with
// other members than it was founded with. Nothing acknowledged is lost, doubled or reordered.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type Admin, type Client, createClient } from "../../src/client/index.ts";
import { Ledger } from "../chaos/ledger.ts";
import { Load } from "../chaos/load.ts";
import { readBack } from "../chaos/read-back.ts";
import { RunHistory } from "../chaos/run-history.ts";
import { judge } from "../chaos/verdict.ts";
import { waitUntil } from "../chaos/waiting.ts";
import { LocalCluster } from "../support/local-cluster.ts";

const TOPIC = "shop/orders";
const PARTITIONS = 6;
const RATE = 300;
const FEW_PARTITIONS = 4;
/** A topic for as long as a node is to be kept from leaving. */
const HOLDING = "holding";
const NEW_BOOT = fileURLToPath(new URL("../chaos/new-boot.mjs", import.meta.url));

interface NodeLine {
  readonly nodeId: number;
  readonly state: string;
  readonly metadata: string;
  readonly replicas: number;
  readonly fenced: boolean;
}

interface MoveLine {
  readonly topic: string;
  readonly partition: number;
  readonly replicas: readonly number[];
  readonly previous: readonly number[];
  readonly causeNode: number;
  readonly cancelled: boolean;
}

let cluster: LocalCluster;
let client: Client | undefined;
/** What brokers take for the kernel's boot id. */
const bootFile = join(mkdtempSync(join(tmpdir(), "flotilla-boot-")), "boot-id");
afterEach(async () => {
  await client?.close({ timeoutMs: 500 });
  await cluster.close();
  rmSync(dirname(bootFile), { recursive: true });
});

/** One command of the tool, in JSON. */
async function flotilla(...words: readonly string[]): Promise<unknown> {
  const out = await cluster.command(["-o", "json", "--config", cluster.configPath, ...words]);
  return out === "" ? undefined : JSON.parse(out);
}

/** A command that waits; returns what it says meanwhile to people. */
async function watched(...words: readonly string[]): Promise<string> {
  const args = ["--config", cluster.configPath, ...words, "--watch"];
  return (await cluster.commandOutputs(args)).err;
}

async function nodeList(): Promise<readonly NodeLine[]> {
  return (await flotilla("node", "list")) as readonly NodeLine[];
}

async function replicasOf(partition: number): Promise<readonly number[]> {
  const details = (await flotilla("topic", "describe", TOPIC)) as {
    readonly partitions: readonly { readonly replicas: readonly number[] }[];
  };
  return details.partitions[partition]?.replicas ?? [];
}

async function moveList(): Promise<readonly MoveLine[]> {
  return (await flotilla("replica", "list")) as readonly MoveLine[];
}

function isReceiving(move: MoveLine, id: number): boolean {
  return move.replicas.includes(id) && !move.previous.includes(id);
}

/**
 * Makes a topic whose partitions are on two nodes each: without one of them nothing can be decided there, not even who else
 * is to hold them.
 * @returns a node that shares one of them with node 5, not the one that leads the metadata if there is another
 */
async function partnerOfFive(): Promise<number> {
  await admin().createTopic({ name: HOLDING, partitions: 5, replicationFactor: 2 });
  const { partitions } = await admin().describeTopic(HOLDING);
  const { controllerId } = await admin().describeCluster();
  const partners = partitions
    .filter(({ replicas }) => replicas.includes(5))
    .flatMap(({ replicas }) => replicas.filter((id) => id !== 5));
  const partner = partners.find((id) => id !== controllerId) ?? partners[0];
  if (partner === undefined) throw new Error("node 5 holds nothing of it");
  return partner;
}

/**
 * A move by hand, taken back while it is under way: the node that is to receive stands still, so that the move can not end
 * before. Then a node that leaves and is to stay after all, whatever has moved meanwhile: it can not be gone before, since it
 * shares a partition with the one that stands still.
 * @returns what was moving by hand, and the partitions' replicas before
 */
async function takeBack(still: number): Promise<{
  readonly moves: readonly MoveLine[];
  readonly before: readonly (readonly number[])[];
}> {
  const before = await allReplicas();
  const partition = before.findIndex((replicas) => !replicas.includes(still));
  const place = `${TOPIC}/${partition}`;
  cluster.signal(still, "SIGSTOP");
  try {
    const from = before[partition]?.find((id) => id !== 5) ?? 0;
    await flotilla("replica", "move", place, "--from", String(from), "--to", String(still));
    const byHand = (await moveList()).filter((move) => isReceiving(move, still));
    await flotilla("replica", "cancel", place);
    await flotilla("node", "decommission", "5");
    await flotilla("node", "cancel", "5");
    return { moves: byHand, before };
  } finally {
    cluster.signal(still, "SIGCONT");
  }
}

/** "fails with" and the words that the tool gives as the reason. */
async function refusal(...words: readonly string[]): Promise<string> {
  try {
    await flotilla(...words);
  } catch (error) {
    return String(error);
  }
  return "none";
}

/** A few messages to each partition of a topic with fewer replicas; returns what they say. */
async function sendFew(topic: string, replicationFactor: number): Promise<readonly string[]> {
  if (client === undefined) throw new Error("no client");
  await admin().createTopic({ name: topic, partitions: FEW_PARTITIONS, replicationFactor });
  const producer = client.producer();
  const values = Array.from({ length: 40 }, (_, number) => `${topic}-${number}`);
  await Promise.all(values.map(async (value) => producer.send({ topic, key: value, value })));
  await producer.close();
  return values.sort();
}

async function readAll(topic: string): Promise<readonly string[]> {
  if (client === undefined) throw new Error("no client");
  const values: string[] = [];
  for await (const message of client.reader({ topic, until: "end" })) {
    values.push(message.value?.toString() ?? "");
  }
  return values.sort();
}

/** What a wait looks at is asked without starting a process each time. */
function admin(): Admin {
  if (client === undefined) throw new Error("no client");
  return client.admin();
}

async function allReplicas(): Promise<readonly (readonly number[])[]> {
  const { partitions } = await admin().describeTopic(TOPIC);
  return partitions.map(({ replicas }) => replicas);
}

async function nothingMoves(): Promise<void> {
  await waitUntil("nothing moves", 20_000, async () => {
    const { total } = await admin().members.listMoves();
    return total === 0;
  });
}

async function untilVoters(count: number): Promise<void> {
  await waitUntil(`${count} voters`, 20_000, async () => {
    const { nodes } = await admin().describeCluster();
    return nodes.filter((node) => node.metadataVoter).length === count;
  });
}

test("members: grow, move, cancel, replace, shrink under load, and a power loss of what is left", async () => {
  writeFileSync(bootFile, "first-boot");
  cluster = await LocalCluster.create({
    execArgv: ["--import", NEW_BOOT],
    env: { CHAOS_BOOT_ID_FILE: bootFile },
  });
  const phases: string[] = [];
  let phaseMs = performance.now();
  const phase = (name: string): void => {
    const nowMs = performance.now();
    phases.push(`${name} ${Math.round((nowMs - phaseMs) / 100) / 10}`);
    phaseMs = nowMs;
  };
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  await client.admin().createTopic({ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3 });
  const ledger = new Ledger();
  const load = new Load({
    client,
    ledger,
    topic: TOPIC,
    random: seededRandom(1),
    producer: "p",
    rate: RATE,
    deliveryTimeoutMs: 30_000,
  });
  load.start();

  // Three are needed for three replicas.
  expect(await refusal("node", "decommission", "3")).toContain("NOT_ENOUGH_NODES");

  phase("up");
  // Growing.
  await cluster.addNode(4);
  await cluster.addNode(5);
  await Promise.all([cluster.waitHealthy(4), cluster.waitHealthy(5)]);
  await flotilla("cluster", "metadata-voters", "5");
  await flotilla("cluster", "rebalance", "--execute", "--watch");
  const grown = await nodeList();
  expect(grown.map((node) => node.state)).toEqual(Array(5).fill("in service"));
  const counts = grown.map((node) => node.replicas);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  await untilVoters(5);

  phase("grow");
  // One replica by hand.
  const before = await replicasOf(0);
  const from = before[0] ?? 0;
  const to = [1, 2, 3, 4, 5].find((id) => !before.includes(id)) ?? 0;
  const move = ["replica", "move", `${TOPIC}/0`, "--from", String(from), "--to", String(to)];
  await flotilla(...move, "--watch");
  expect(await replicasOf(0)).toEqual(before.map((id) => (id === from ? to : id)));

  phase("move");
  // A move that is turned round, and a node that leaves and stays.
  const { before: former, moves } = await takeBack(await partnerOfFive());
  await nothingMoves();
  await admin().deleteTopic(HOLDING);
  const now = await allReplicas();
  expect(moves.length).toBeGreaterThan(0);
  for (const { partition, previous } of moves) {
    expect(now[partition]).toEqual(former[partition]);
    expect(previous).toEqual(former[partition]);
  }
  expect((await nodeList()).find((node) => node.nodeId === 5)?.state).toBe("in service");

  phase("cancel");
  // A node that dies for good.
  expect(await refusal("node", "replace", "2", "--with", "5")).toContain("in service");
  await cluster.kill(2);
  await cluster.addNode(6);
  await waitUntil("node 2 is out of service", 20_000, async () => {
    const { nodes } = await admin().describeCluster();
    return nodes.some((node) => node.nodeId === 2 && node.fenced);
  });
  await flotilla("node", "replace", "2", "--with", "6", "--watch");
  await cluster.forgetNode(2);

  phase("replace");
  // Groups of one and two: after a move no founder, or no majority of them, is left.
  const single = await sendFew("single", 1);
  const pair = await sendFew("pair", 2);

  // Shrinking, down to one founder.
  let progress = "";
  const ends: Promise<void>[] = [];
  for (const id of [4, 3]) {
    progress += await watched("node", "decommission", String(id));
    ends.push(waitUntil("its process ends by itself", 10_000, () => !cluster.isRunning(id)));
  }
  await Promise.all(ends);
  for (const id of [4, 3]) await cluster.forgetNode(id);
  expect(progress).toMatch(
    /^node [43]: \d+ partitions? left(, about [\d.]+ \w+( or more)? to copy)?$/m,
  );
  const shrunk = await nodeList();
  expect(shrunk.map((node) => node.nodeId)).toEqual([1, 5, 6]);
  const replicas = shrunk.reduce((sum, node) => sum + node.replicas, 0);
  expect(replicas).toBe(3 * PARTITIONS + 3 * FEW_PARTITIONS);
  await untilVoters(3);
  expect(load.ackRate(1000)).toBeGreaterThan(RATE / 3);
  await load.stop();
  await load.flush();

  phase("shrink");
  // Power loss of the whole cluster: what is not synced is not trusted.
  await Promise.all(cluster.nodes.map((node) => cluster.kill(node.id)));
  writeFileSync(bootFile, "second-boot");
  await cluster.up();
  load.start();
  await waitUntil("writes go on", 20_000, () => load.ackRate(1000) > RATE / 3, 200);
  await load.stop();
  await load.close();
  expect(await readAll("single")).toEqual(single);
  expect(await readAll("pair")).toEqual(pair);

  phase("power");
  const history = new RunHistory("members", ledger, TOPIC);
  history.reads = await readBack(cluster.bootstrap, TOPIC, PARTITIONS);
  const verdict = judge(history);
  console.info(
    `sent ${verdict.sent}, acknowledged ${verdict.acknowledged}, failed ${verdict.failed}, read ${verdict.read}; s: ${phases.join(", ")}`,
  );
  expect(verdict.anomalies).toEqual([]);
  expect(verdict.failed).toBe(0);
  expect(verdict.acknowledged).toBeGreaterThan(5000);
}, 240_000);
