// A very long backlog is drained while its first message stays unacknowledged and others go on sending: does the end go as
// fast as the beginning, and what does it cost the brokers' memory?
import { Worker } from "node:worker_threads";
import type { Consumer } from "../../src/client/index.ts";
import { rssBytes } from "../../test/flood/memory-watch.ts";
import { pause } from "../../test/support/local-cluster.ts";
import { writeBacklog } from "./deliver.ts";
import type { BenchOptions, BenchResult } from "./options.ts";
import { type Bench, withBench } from "./setup.ts";
import type { SteadyLoad, SteadyResult } from "./steady-producer.ts";

const SUBSCRIPTION = "bench";
const PREFETCH = { messages: 50_000, bytes: 32 * 1024 * 1024 };
const LOOK_MS = 100;
/** After the backlog was written: memory of sends is given back, checkpoints are written. */
const REST_MS = 10_000;
const MIB = 1024 * 1024;

export function benchLongBacklog(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    await bench.client.admin().subscriptions.create({
      name: SUBSCRIPTION,
      topics: [bench.topic],
      mode: "shared",
      start: "earliest",
    });
    await writeBacklog(bench, options);
    await pause(REST_MS);
    const memory = new MemoryGrowth(bench);
    const steady = new Worker(new URL("./steady-producer.js", import.meta.url), {
      workerData: steadyLoad(bench, options),
    });
    const consumer = bench.client.consumer({ subscription: SUBSCRIPTION, prefetch: PREFETCH });
    bench.resetCpu();
    const drained = await drain(consumer, options);
    const cpu = bench.cpu();
    const produced = await stop(steady);
    const growthMib = memory.end();
    await consumer.close();
    return { messages: options.messages, ...drained, ...growthMib, ...kept(produced), ...cpu };
  });
}

function steadyLoad({ cluster, topic }: Bench, options: BenchOptions): SteadyLoad {
  const { acks, flush, keys, rate, size } = options;
  return { bootstrap: cluster.bootstrap, topic, acks, flush, keys, rate, size };
}

/** Ends when every message of the backlog but the first was handled and confirmed; then the first one is let go. */
async function drain(consumer: Consumer, options: BenchOptions): Promise<BenchResult> {
  const seen = new Uint8Array(options.messages);
  const startMs = performance.now();
  const tenthAtMs = [startMs];
  const tenth = Math.ceil(options.messages / 10);
  let messages = 0;
  let repeated = 0;
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let isHeld = false;
  const run = consumer.run(
    ({ value }) => {
      const sequence = value?.readDoubleBE(0) ?? -1;
      if (sequence < 0) return undefined;
      if (seen[sequence] === 1) repeated += 1;
      else messages += 1;
      seen[sequence] = 1;
      if (messages % tenth === 0) tenthAtMs.push(performance.now());
      if (isHeld) return undefined;
      isHeld = true;
      return held;
    },
    { concurrency: 1000 },
  );
  await Promise.race([run, allSeen(() => messages >= options.messages)]);
  const endMs = performance.now();
  if (tenthAtMs.length < 11) tenthAtMs.push(endMs);
  const rateOf = (number: number): number =>
    (tenth * 1000) / ((tenthAtMs[number] ?? endMs) - (tenthAtMs[number - 1] ?? startMs));
  const seconds = (endMs - startMs) / 1000;
  letGo();
  return {
    repeated,
    seconds,
    perSecond: messages / seconds,
    firstTenthPerSecond: rateOf(1),
    lastTenthPerSecond: rateOf(10),
    lastToFirst: rateOf(10) / rateOf(1),
  };
}

async function allSeen(isDone: () => boolean): Promise<void> {
  while (!isDone()) await pause(LOOK_MS);
}

function stop(worker: Worker): Promise<SteadyResult> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.postMessage("stop");
  });
}

function kept({ acknowledged, due, failed }: SteadyResult): BenchResult {
  return { steadyDue: due, steadyAcknowledgedRatio: acknowledged / due, steadyFailed: failed };
}

/** How much the memory of each broker grows from now on. */
class MemoryGrowth {
  readonly #before: number[];
  readonly #most: number[];
  readonly #timer: NodeJS.Timeout;

  constructor({ cluster }: Bench) {
    const pids = cluster.nodes.map(({ id }) => cluster.pid(id));
    this.#before = pids.map((pid) => rssBytes(pid));
    this.#most = [...this.#before];
    this.#timer = setInterval(() => {
      for (const [at, pid] of pids.entries()) {
        this.#most[at] = Math.max(this.#most[at] ?? 0, rssBytes(pid));
      }
    }, LOOK_MS);
  }

  end(): BenchResult {
    clearInterval(this.#timer);
    const growth = this.#most.map((most, at) => (most - (this.#before[at] ?? 0)) / MIB);
    return {
      rssBeforeMib: this.#before.map((bytes) => Math.round(bytes / MIB)).join(" "),
      rssMostMib: this.#most.map((bytes) => Math.round(bytes / MIB)).join(" "),
      rssGrowthMib: Math.max(...growth),
    };
  }
}
