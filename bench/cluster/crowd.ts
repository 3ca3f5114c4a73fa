// Very many consumers of one subscription: what they cost while nothing happens, and whether each gets its share of a backlog
// that keeps all of them busy.
import type { Client, Consumer } from "../../src/client/index.ts";
import { pause } from "../../test/support/local-cluster.ts";
import { writeBacklog } from "./deliver.ts";
import type { BenchOptions, BenchResult } from "./options.ts";
import { withBench } from "./setup.ts";

const SUBSCRIPTION = "bench";
/** Little enough that nobody hoards: a handler's work for a fifth of a second. */
const PREFETCH = { messages: 4 };
const WORK_MS = 50;
/** Streams are open and code has settled down before the idle figure is taken. */
const REST_MS = 10_000;
const IDLE_MS = 20_000;
const ATTACH_TIMEOUT_MS = 120_000;

interface Member {
  readonly consumer: Consumer;
  readonly run: Promise<void>;
  seen: number;
  lastMs: number;
  longestGapMs: number;
}

export function benchCrowd(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    const { client, topic } = bench;
    await client.admin().subscriptions.create({
      name: SUBSCRIPTION,
      topics: [topic],
      mode: options.mode,
      start: "earliest",
    });
    const members = Array.from({ length: options.consumers }, () => join(client));
    await everybodyAttached(client, options);
    await pause(REST_MS);
    bench.resetCpu();
    await pause(IDLE_MS);
    const idle = bench.cpu();
    await writeBacklog(bench, options);
    const startMs = performance.now();
    for (const member of members) member.lastMs = startMs;
    bench.resetCpu();
    const seconds = (await workedOff(members, options)) / 1000;
    const cpu = bench.cpu();
    await Promise.all(members.map(({ consumer }) => consumer.close()));
    await Promise.all(members.map(({ run }) => run));
    const counts = members.map(({ seen }) => seen).sort((a, b) => a - b);
    const gaps = members.map(({ longestGapMs }) => longestGapMs);
    return {
      mode: options.mode,
      consumers: options.consumers,
      messages: options.messages,
      idleBrokerCpuPercent: (idle.brokerCpu / IDLE_MS) * 1e5,
      idleClientCpuPercent: (idle.clientCpu / IDLE_MS) * 1e5,
      seconds,
      perSecond: options.messages / seconds,
      fewest: counts[0] ?? 0,
      median: counts[counts.length >> 1] ?? 0,
      most: counts.at(-1) ?? 0,
      longestGapMs: Math.max(...gaps),
      ...cpu,
      verified: (counts[0] ?? 0) > 0,
    };
  });
}

function join(client: Client): Member {
  const consumer = client.consumer({ subscription: SUBSCRIPTION, prefetch: PREFETCH });
  const member: Member = {
    consumer,
    run: consumer.run(async () => {
      await pause(WORK_MS);
      const nowMs = performance.now();
      member.seen += 1;
      member.longestGapMs = Math.max(member.longestGapMs, nowMs - member.lastMs);
      member.lastMs = nowMs;
    }),
    seen: 0,
    lastMs: Number.POSITIVE_INFINITY,
    longestGapMs: 0,
  };
  return member;
}

async function everybodyAttached(client: Client, options: BenchOptions): Promise<void> {
  const endMs = performance.now() + ATTACH_TIMEOUT_MS;
  for (;;) {
    const { partitions } = await client.admin().subscriptions.progress(SUBSCRIPTION);
    const isThere = partitions.every(({ consumers }) => consumers === options.consumers);
    if (isThere && partitions.length === options.partitions) return;
    if (performance.now() > endMs) throw new Error("not all consumers were attached in time");
    await pause(500);
  }
}

/** @returns how long it took, ms */
async function workedOff(members: readonly Member[], options: BenchOptions): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const seen = members.reduce((sum, member) => sum + member.seen, 0);
    if (seen >= options.messages) return performance.now() - startMs;
    await pause(20);
  }
}
