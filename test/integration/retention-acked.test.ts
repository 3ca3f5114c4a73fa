// Retention by acknowledgement on three real brokers: the log start follows the slowest subscription, and nothing moves it
// where there is none.
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Client, createClient } from "../../src/client/index.ts";
import type { TopicId } from "../../src/model/ids.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";
import { pause } from "../support/local-cluster.ts";
import { WireClient } from "../support/wire-client.ts";

const RETENTION_INTERVAL_MS = 50;
const SEGMENT_BYTES = 64 * 1024;
const MESSAGES = 120;
/** Of the slow subscription at first. */
const SOME = 50;
const SETTINGS = { "segment.bytes": String(SEGMENT_BYTES), "retention.acked": "true" };

let cluster: InProcessCluster;
let client: Client;

beforeEach(async () => {
  cluster = await InProcessCluster.start({ node: { retentionIntervalMs: RETENTION_INTERVAL_MS } });
  client = createClient({ bootstrap: cluster.nodes.map((node) => node.client) });
});

afterEach(async () => {
  await client.close({ timeoutMs: 500 });
  await cluster.close();
});

async function write(topic: string): Promise<void> {
  const producer = client.producer();
  for (let number = 0; number < MESSAGES; number += 1) {
    await producer.send({ topic, value: String(number).padEnd(4096) });
  }
}

/** Acknowledges so many messages, in order, and leaves. */
async function acknowledge(subscription: string, count: number): Promise<void> {
  let left = count;
  for await (const message of client.consumer({ subscription, prefetch: { messages: 1 } })) {
    await message.ack();
    left -= 1;
    if (left === 0) break;
  }
}

async function logStartOf(topic: string, topicId: TopicId): Promise<number> {
  const leader = await cluster.leaderOf(topicId);
  const wire = new WireClient(cluster.connect(leader.id), topic, topicId);
  return (await wire.offsets()).logStartOffset;
}

/** Many rounds of retention later. */
async function settledLogStartOf(topic: string, topicId: TopicId): Promise<number> {
  await pause(RETENTION_INTERVAL_MS * 10);
  return logStartOf(topic, topicId);
}

test("retention acked: drops what both subscriptions have settled, as far as the slower one", async () => {
  const topicId = await cluster.createTopic("t", SETTINGS);
  for (const name of ["quick", "slow"]) {
    await client.admin().subscriptions.create({ name, topics: "t", mode: "exclusive" });
  }
  await write("t");
  await acknowledge("quick", MESSAGES);
  expect(await settledLogStartOf("t", topicId)).toBe(0);

  await acknowledge("slow", SOME);
  await expect.poll(() => logStartOf("t", topicId), { timeout: 10_000 }).toBeGreaterThan(0);
  const start = await settledLogStartOf("t", topicId);
  expect(start).toBeLessThanOrEqual(SOME);
  expect(start).toBeGreaterThan(SOME - (2 * SEGMENT_BYTES) / 4096);

  await acknowledge("slow", MESSAGES - SOME);
  await expect.poll(() => logStartOf("t", topicId), { timeout: 10_000 }).toBeGreaterThan(SOME);
});

test("retention acked: without a subscription nothing is dropped", async () => {
  const topicId = await cluster.createTopic("t", SETTINGS);
  await write("t");
  expect(await settledLogStartOf("t", topicId)).toBe(0);
});
