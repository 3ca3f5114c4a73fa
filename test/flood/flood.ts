// One flood from beginning to end: three brokers with a memory budget, a good client, all attacks, and what became of it.
// Called by run.ts and by the integration test.
import { createClient } from "../../src/client/index.ts";
import { LocalCluster, pause } from "../support/local-cluster.ts";
import { readProcessorTimes, sharesBetween } from "../support/processor-times.ts";
import type { Target } from "./attack.ts";
import { ATTACKS } from "./attacks/all.ts";
import { GoodClient, type GoodResult } from "./good-client.ts";
import { MemoryWatch, rssBytes } from "./memory-watch.ts";
import { Pressure } from "./pressure.ts";
import { judgeUse, type ResourceUse, ResourceWatch } from "./resource-watch.ts";
import { attackAll, plan } from "./schedule.ts";
import type { Tally } from "./tally.ts";

export interface FloodOptions {
  readonly durationMs: number;
  /** Names of attacks; empty: all. */
  readonly only: readonly string[];
  /** Attacking processes at a time. */
  readonly processes: number;
  readonly budgetMib: number;
  /** Good sends a second. */
  readonly rate: number;
  readonly onProgress: (line: string) => void;
  readonly keep: boolean;
  /** Where each broker leaves a CPU profile; undefined: nowhere. */
  readonly profileDirectory?: string | undefined;
}

export interface FloodReport {
  readonly attacks: ReadonlyMap<string, Tally>;
  readonly errors: readonly string[];
  readonly good: GoodResult;
  /** Bytes, by node. */
  readonly peaks: ReadonlyMap<number, number>;
  readonly samples: number;
  /** Before, in and after the flood. */
  readonly resources: ResourceUse;
  /** Brokers that are not the processes any more that they were. */
  readonly ended: readonly number[];
  /** Reasons that the health pages gave, each with how often it was seen. */
  readonly pressure: ReadonlyMap<string, number>;
  /** Looks at the health pages that were not answered. */
  readonly unansweredLooks: number;
  /** Of all brokers' metrics at the end: refusals by limit. */
  readonly refusals: ReadonlyMap<string, number>;
  /** What the machine's processors did meanwhile, in one line. */
  readonly processors: string;
}

const GOOD_TOPIC = "good";
const BULK_TOPIC = "bulk";
const GOOD_SUBSCRIPTION = "good";
const BULK_SUBSCRIPTION = "bulk";
const PARTITIONS = 3;
const MIB = 1024 * 1024;
const PROGRESS_MS = 10_000;
const BASELINE_MS = 3000;
/** Connections that were broken off are noticed, buffers are collected; the least of this time counts. */
const IDLE_MS = 10_000;

export async function flood(options: FloodOptions): Promise<FloodReport> {
  const cluster = await LocalCluster.create({
    extraYaml: `limits:\n  memory:\n    budget: ${options.budgetMib}MiB\nlogging:\n  level: warn\n`,
    execArgv: ["--max-semi-space-size=16", ...profiling(options.profileDirectory)],
    detached: true,
    ...(options.keep ? { directory: `flood-${process.pid}` } : {}),
  });
  // They are in sessions of their own: nobody else ends them when this process is ended.
  const endBrokers = (): void => {
    for (const { id } of cluster.nodes) cluster.signal(id, "SIGKILL");
  };
  process.once("exit", endBrokers);
  try {
    await cluster.up(60_000);
    const target = await prepare(cluster);
    return await run(options, cluster, target);
  } finally {
    // Profiles are written by processes that end, not by those that are killed.
    if (options.profileDirectory !== undefined) {
      for (const { id } of cluster.nodes) await cluster.stop(id);
    }
    await cluster.close();
    process.removeListener("exit", endBrokers);
  }
}

function profiling(directory: string | undefined): string[] {
  if (directory === undefined) return [];
  return ["--cpu-prof", `--cpu-prof-dir=${directory}`, "--cpu-prof-interval=2000"];
}

async function prepare(cluster: LocalCluster): Promise<Target> {
  const client = createClient({ bootstrap: cluster.bootstrap });
  const admin = client.admin();
  const shape = { partitions: PARTITIONS, replicationFactor: 3 };
  await admin.createTopic({ name: GOOD_TOPIC, ...shape, settings: {} });
  const settings = {
    flush: "async",
    "message.bytes.max": String(8 * MIB),
    "retention.bytes": String(32 * MIB),
    "segment.bytes": String(8 * MIB),
  };
  await admin.createTopic({ name: BULK_TOPIC, ...shape, settings });
  const { topic } = await admin.describeTopic(BULK_TOPIC);
  await fill(client);
  await admin.subscriptions.create({ name: GOOD_SUBSCRIPTION, topics: GOOD_TOPIC });
  await admin.subscriptions.create({
    name: BULK_SUBSCRIPTION,
    topics: BULK_TOPIC,
    ackDeadlineMs: 1000,
    retry: { attempts: 1000, delaysMs: [10] },
    deadLetter: false,
  });
  await client.close();
  return {
    clients: cluster.nodes.map((node) => node.client),
    admins: cluster.nodes.map((node) => node.admin),
    topic: BULK_TOPIC,
    topicId: topic?.topicId ?? "",
    partitions: PARTITIONS,
    subscription: BULK_SUBSCRIPTION,
  };
}

/** Something to read for those that do not. */
async function fill(client: ReturnType<typeof createClient>): Promise<void> {
  const producer = client.producer({ acks: "all" });
  const value = Buffer.alloc(100_000, "b");
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(
      Array.from({ length: 15 }, (_, place) => {
        const key = Buffer.from(`${round}-${place}`);
        return producer.send({ topic: BULK_TOPIC, key, value });
      }),
    );
  }
  await producer.close();
}

async function run(
  options: FloodOptions,
  cluster: LocalCluster,
  target: Target,
): Promise<FloodReport> {
  const pids = new Map(cluster.nodes.map((node) => [node.id, cluster.pid(node.id)]));
  const memory = new MemoryWatch(pids);
  const pressure = new Pressure(target.admins);
  const good = new GoodClient({
    bootstrap: cluster.bootstrap,
    topic: GOOD_TOPIC,
    subscription: GOOD_SUBSCRIPTION,
    rate: options.rate,
    valueBytes: 100,
  });
  const resources = new ResourceWatch(
    cluster.nodes.map(({ admin, id }) => ({ node: id, pid: cluster.pid(id), admin })),
  );
  await pause(BASELINE_MS);
  resources.begin("load");
  const processors = readProcessorTimes();
  good.start();
  const running = new Set<string>();
  const progress = setInterval(() => {
    const { consumedP99Ms, leaderChanges, p99Ms, sent } = good.recent;
    const rss = [...pids.values()].map((pid) => Math.round(rssBytes(pid) / MIB)).join(" ");
    const attacks = [...running].join(", ");
    options.onProgress(
      `good ${sent}, p99 ${p99Ms.toFixed(0)} ms, consumed ${consumedP99Ms.toFixed(0)} ms, ${leaderChanges} leader changes; RSS ${rss} MiB; ${attacks}`,
    );
  }, PROGRESS_MS);
  try {
    const names = ATTACKS.map(({ name }) => name).filter(
      (name) => options.only.length === 0 || options.only.includes(name),
    );
    const lanes = plan(names, options.processes, options.durationMs);
    const active = new Map<number, string>();
    const { errors, tallies } = await attackAll(lanes, target, (slot, lane) => {
      active.set(lane, slot.attack);
      running.clear();
      for (const name of active.values()) running.add(name);
    });
    const shares = sharesBetween(processors, readProcessorTimes());
    const result = await good.finish();
    resources.begin("idle");
    await pause(IDLE_MS);
    await resources.close();
    await pressure.close();
    return {
      attacks: tallies,
      errors,
      good: result,
      peaks: memory.peaks,
      samples: memory.samples,
      resources: judgeUse(resources.samples),
      ended: cluster.nodes.filter(({ id }) => !cluster.isRunning(id)).map(({ id }) => id),
      pressure: pressure.reasons,
      unansweredLooks: pressure.unanswered,
      refusals: await pressure.refusals(),
      processors: shares,
    };
  } finally {
    clearInterval(progress);
    memory.close();
    await resources.close();
  }
}
