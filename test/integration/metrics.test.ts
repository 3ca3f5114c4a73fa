// Every instrument of docs/METRICS.md is fed: three brokers are used as people use them, and then all that they show is
// looked through. What only trouble feeds is named here and tested with the thing that counts it.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { OverloadLog } from "../../src/broker/overload-log.ts";
import { createPartitionRecorder } from "../../src/broker/partition-recorder.ts";
import { type Client, createClient, Reject } from "../../src/client/index.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { INSTRUMENTS, type InstrumentRow } from "../../src/observe/instruments.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { LocalCluster } from "../support/local-cluster.ts";

const TOPIC = "measured";
const SUBSCRIPTION = "measuring";
/** Nobody consumes it. */
const IDLE = "idle";
/** Nothing of this happens to brokers that are well. */
const ONLY_IN_TROUBLE: readonly (keyof typeof INSTRUMENTS)[] = ["overloads", "peerDrops"];

let cluster: LocalCluster;
let client: Client;
/** Of all brokers, by metric name. */
let samples: Map<string, { readonly labels: string; readonly value: number }[]>;

beforeAll(async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
  client = createClient({ bootstrap: cluster.bootstrap });
  await client.admin().createTopic({
    name: TOPIC,
    partitions: 3,
    replicationFactor: 3,
    settings: {},
  });
  const producer = client.producer();
  for (let i = 0; i < 50; i += 1) {
    await producer.send({ topic: TOPIC, key: Buffer.from(`k${i}`), value: Buffer.alloc(100) });
  }
  await producer.close();
  const reader = client.reader({ topic: TOPIC, from: "earliest", until: "end" });
  let read = 0;
  for await (const _message of reader) read += 1;
  expect(read).toBe(50);
  await consume();
  samples = await scrapeAll();
}, 240_000);

/** Every kind of end that a delivery can have. In each partition the first message fails once, the second one for good. */
async function consume(): Promise<void> {
  const { subscriptions } = client.admin();
  await subscriptions.create({ name: SUBSCRIPTION, topics: [TOPIC], retry: { delaysMs: [10] } });
  await subscriptions.create({ name: IDLE, topics: [TOPIC] });
  const expectedFilter = { kind: "tags", tags: ["other"] } as const;
  const stranger = client.consumer({ subscription: SUBSCRIPTION, expectedFilter });
  await expect(stranger.run(() => undefined)).rejects.toMatchObject({ reason: "FILTER_MISMATCH" });
  const consumer = client.consumer({ subscription: SUBSCRIPTION });
  let isHeld = false;
  let hasLost = false;
  const run = consumer.run(
    async ({ attempt, offset, signal }) => {
      if (offset === 0 && attempt === 1) throw new Error("again");
      if (offset === 1) throw new Reject("never");
      if (offset !== 2 || hasLost) return;
      isHeld = true;
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      hasLost = true;
    },
    { concurrency: 100, onError: () => undefined },
  );
  await vi.waitFor(() => expect(isHeld).toBe(true), 10_000);
  await subscriptions.seek(SUBSCRIPTION, "earliest");
  await vi.waitFor(() => expect(hasLost).toBe(true), 10_000);
  await vi.waitFor(async () => {
    const { partitions } = await subscriptions.progress(SUBSCRIPTION);
    expect(partitions.map(({ unsettledMessages }) => unsettledMessages)).toEqual([0, 0, 0]);
  }, 10_000);
  await consumer.close();
  await run;
}

afterAll(async () => {
  await client.close();
  await cluster.close();
});

test("metrics: every instrument has a series on some broker", () => {
  const silent = (Object.entries(INSTRUMENTS) as [keyof typeof INSTRUMENTS, InstrumentRow][])
    .filter(([key, row]) => !ONLY_IN_TROUBLE.includes(key) && !samples.has(nameOf(row)))
    .map(([key]) => key);
  expect(silent).toEqual([]);
});

test("metrics: what was done is what was counted", () => {
  const byTopic = `topic="${TOPIC}"`;
  expect(sum("flotilla_partition_produce_records_total", byTopic)).toBe(50);
  expect(sum("flotilla_partition_fetch_records_total", byTopic)).toBe(50);
  expect(sum("flotilla_partition_produce_duration_seconds_count", 'acks="all"')).toBe(
    // Dead letters that were moved a second time after the seek are duplicates.
    sum("flotilla_partition_produce_batches_total", 'result="ok"') +
      sum("flotilla_partition_produce_batches_total", 'result="duplicate"'),
  );
  expect(sum("flotilla_rpc_requests_total", 'method="Admin/CreateTopic",result="ok"')).toBe(1);
  expect(sum("flotilla_partition_producers")).toBeGreaterThan(0);
  const inSync = samples.get("flotilla_replica_in_sync_replicas") ?? [];
  const ofTopic = inSync.filter(({ labels }) => labels.includes(byTopic));
  expect(new Set(ofTopic.map(({ value }) => value))).toEqual(new Set([3]));
  expect(sum("flotilla_rpc_queue_limit_bytes", 'queue="peer-bulk"')).toBeGreaterThan(0);
  expect(sum("flotilla_rpc_streams", 'method="Peer/Attach"')).toBe(18);
});

test("metrics: dead letters and the age of what is not settled are told by subscription", async () => {
  const ages = "flotilla_delivery_unsettled_age_seconds";
  const dead = "flotilla_delivery_dead_letters_total";
  const of = (name: string): string => `subscription="${name}"`;
  const seriesOf = (metric: string, labels: string): number[] =>
    (samples.get(metric) ?? [])
      .filter((sample) => sample.labels.includes(labels))
      .map(({ value }) => value);
  expect(sum(dead, `${of(SUBSCRIPTION)},result="moved"`)).toBeGreaterThanOrEqual(3);
  // There before the first one, so that its growth is seen.
  const none = seriesOf(dead, `${of(IDLE)},result="moved"`);
  expect(new Set(none)).toEqual(new Set([0]));
  expect(Math.max(...seriesOf(ages, of(SUBSCRIPTION)))).toBe(0);
  const idle = Math.max(...seriesOf(ages, of(IDLE)));
  expect(idle).toBeGreaterThan(0);
  expect(idle).toBeLessThan(60);
  await client.admin().subscriptions.delete(IDLE);
  const series = async (): Promise<number> => {
    const all = [...(await scrapeAll()).values()].flat();
    return all.filter(({ labels }) => labels.includes(of(IDLE))).length;
  };
  await expect.poll(series, { timeout: 20_000, interval: 200 }).toBe(0);
}, 240_000);

test("metrics: a deleted topic takes its series along", async () => {
  const name = "passing";
  const admin = client.admin();
  await admin.createTopic({ name, partitions: 3, replicationFactor: 3, settings: {} });
  const producer = client.producer();
  await producer.send({ topic: name, value: Buffer.from("once") });
  await producer.close();
  const series = async (): Promise<number> => {
    const all = [...(await scrapeAll()).values()].flat();
    return all.filter(({ labels }) => labels.includes(`topic="${name}"`)).length;
  };
  expect(await series()).toBeGreaterThan(0);
  await admin.deleteTopic(name);
  await expect.poll(series, { timeout: 20_000, interval: 200 }).toBe(0);
}, 240_000);

test("metrics: a refusal is counted by its reason, an overload by its limit", async () => {
  const { instruments, render } = createMetrics();
  const recorder = createPartitionRecorder(instruments, new OverloadLog(systemClock)).forTopic(
    TOPIC,
  );
  recorder.produceRefused(new BrokerError("STALE_LAYOUT", "another layout"));
  recorder.produceRefused(new BrokerError("OVERLOADED", "too much", { limit: "parkedAcks" }));
  recorder.fetchRefused(new BrokerError("OVERLOADED", "too many", { limit: "parkedFetches" }));
  const text = await render();
  expect(text).toContain('produce_batches_total{result="STALE_LAYOUT"} 1');
  expect(text).toContain('flotilla_rpc_overloads_total{limit="parkedAcks"} 1');
  expect(text).toContain('fetch_requests_total{result="OVERLOADED"} 1');
  expect(text).toContain('flotilla_rpc_overloads_total{limit="parkedFetches"} 1');
});

function nameOf(row: InstrumentRow): string {
  return row.kind === "histogram" ? `${row.name}_count` : row.name;
}

function sum(name: string, labels = ""): number {
  const found = (samples.get(name) ?? []).filter((sample) => sample.labels.includes(labels));
  return found.reduce((total, sample) => total + sample.value, 0);
}

async function scrapeAll(): Promise<typeof samples> {
  const all: typeof samples = new Map();
  for (const node of cluster.nodes) {
    const answer = await fetch(`http://${node.admin}/metrics`);
    for (const line of (await answer.text()).split("\n")) {
      const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match === null) continue;
      const [, name = "", labels = "", value = ""] = match;
      all.set(name, [...(all.get(name) ?? []), { labels, value: Number(value) }]);
    }
  }
  return all;
}
