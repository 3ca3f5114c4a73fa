// Consumers of the SDK against three real brokers that are killed and hand over: what was confirmed never comes again,
// nothing is left out, and order is kept where it was promised.
import { afterEach, describe, expect, it } from "vitest";
import {
  type Client,
  createClient,
  isBrokerError,
  type SubscriptionMode,
} from "../../src/client/index.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";
import { pause } from "../support/local-cluster.ts";

const PARTITIONS = 3;
const MESSAGES = 250;

let cluster: InProcessCluster | undefined;
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close({ timeoutMs: 2000 });
  await cluster?.close();
  cluster = undefined;
});

interface Ledger {
  /** "partition/offset" of what was confirmed. */
  readonly confirmed: Set<string>;
  /** Of what the outcome is unknown: settled, or handed out anew. */
  readonly unknown: Set<string>;
  /** Handed out although it was confirmed. */
  readonly repeated: string[];
  /** Offsets by partition, as handlers began. */
  readonly begun: number[][];
}

async function start(mode: SubscriptionMode): Promise<InProcessCluster> {
  cluster = await InProcessCluster.start();
  await cluster.createTopic("t", {}, PARTITIONS);
  await newClient(cluster)
    .admin()
    .subscriptions.create({
      name: "s",
      topics: "t",
      mode,
      ackDeadlineMs: 5000,
      retry: { delaysMs: [100] },
    });
  return cluster;
}

function newClient(of: InProcessCluster): Client {
  const client = createClient({ bootstrap: of.nodes.map((node) => node.client) });
  clients.push(client);
  return client;
}

function consume(client: Client, ledger: Ledger): Promise<void> {
  return client.consumer({ subscription: "s", prefetch: { messages: 300 } }).run(
    async (message) => {
      const name = `${message.partition}/${message.offset}`;
      if (ledger.confirmed.has(name)) ledger.repeated.push(name);
      ledger.begun[message.partition]?.push(message.offset);
      if (message.offset % 50 === 7 && message.attempt === 1) throw new Error("once");
      await pause(2);
      try {
        await message.ack();
        ledger.confirmed.add(name);
      } catch (error) {
        if (isBrokerError(error) && error.outcome === "unknown") ledger.unknown.add(name);
      }
    },
    { concurrency: 20, onError: () => undefined },
  );
}

async function produce(client: Client): Promise<void> {
  const producer = client.producer();
  for (let i = 0; i < MESSAGES; i += 1) {
    await Promise.all(
      Array.from({ length: PARTITIONS }, (_, partition) =>
        producer.send({ topic: "t", partition, key: `k${i % 10}`, value: `${i}` }),
      ),
    );
    if (i % 10 === 0) await pause(20);
  }
}

async function disturb(of: InProcessCluster, isOver: () => boolean): Promise<void> {
  for (let round = 0; round < 4 && !isOver(); round += 1) {
    const nodeId = (round % 3) + 1;
    await pause(1000);
    await of.killNode(nodeId);
    await pause(800);
    await of.startNode(nodeId);
    await of.until("it is back", () => of.node(nodeId).broker.isRegistered);
  }
}

async function run(mode: SubscriptionMode): Promise<Ledger> {
  const brokers = await start(mode);
  const ledger: Ledger = {
    confirmed: new Set(),
    unknown: new Set(),
    repeated: [],
    begun: [[], [], []],
  };
  const runs = [1, 2].map(() => consume(newClient(brokers), ledger));
  let isProduced = false;
  const faults = disturb(brokers, () => isProduced);
  await produce(newClient(brokers));
  isProduced = true;
  await faults;
  const admin = newClient(brokers).admin();
  const isDone = async (): Promise<boolean> => {
    const { partitions, unknown } = await admin.subscriptions.progress("s");
    return unknown.length === 0 && partitions.every((one) => one.unsettledMessages === 0);
  };
  const endMs = performance.now() + 60_000;
  while (!(await isDone()) && performance.now() < endMs) await pause(200);
  for (const client of clients.splice(0)) await client.close({ timeoutMs: 5000 });
  await Promise.all(runs);
  const handled = new Set([...ledger.confirmed, ...ledger.unknown]);
  expect(handled.size, mode).toBe(PARTITIONS * MESSAGES);
  expect(ledger.confirmed.size, mode).toBeGreaterThan(PARTITIONS * MESSAGES * 0.9);
  expect(ledger.repeated, mode).toEqual([]);
  return ledger;
}

describe("consumers and brokers that die", () => {
  it("shared: everything is confirmed, and nothing confirmed comes again", async () => {
    await run("shared");
  });

  it("exclusive: each partition in its order", async () => {
    const { begun } = await run("exclusive");
    for (const offsets of begun) {
      // What was not confirmed is begun again; but never is anything begun before what is in front of it.
      let next = 0;
      for (const offset of offsets) {
        expect(offset).toBeLessThanOrEqual(next);
        next = Math.max(next, offset + 1);
      }
    }
  });
});
