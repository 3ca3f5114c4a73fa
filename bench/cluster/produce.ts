// As many acknowledged messages as possible through one producer, for --seconds; then every record is read back and
// compared with what was sent (size, key and running number, order per key).
import { build } from "hdr-histogram-js";
import type { Receipt } from "../../src/client/index.ts";
import type { BenchOptions, BenchResult } from "./options.ts";
import { latencies } from "./report.ts";
import { type Bench, keyNames, valueMaker, withBench } from "./setup.ts";

/** One send in so many is timed: reading the clock for each would be measured too. */
const SAMPLE_EVERY = 101;

export function benchProduce(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    await warmUp(bench, options);
    const load = await produceFor(bench, options);
    const result: BenchResult = {
      ...load.result,
      verified: true,
    };
    if (!options.verify) return { ...result, verified: "skipped" };
    return { ...result, ...(await verify(bench, options, load.counts)) };
  });
}

async function warmUp(bench: Bench, options: BenchOptions): Promise<void> {
  const producer = bench.client.producer({ acks: options.acks, flush: options.flush });
  const makeValue = valueMaker(options.size);
  const keys = keyNames(options.keys);
  const endMs = performance.now() + 2000;
  let sequence = -1;
  while (performance.now() < endMs) {
    for (let i = 0; i < 256; i += 1) {
      const key = keys[-sequence % keys.length] as Buffer;
      producer.sendAsync({ topic: bench.topic, key, value: makeValue(sequence) }, () => undefined);
      sequence -= 1;
    }
    await producer.ready();
  }
  await producer.flush();
  await producer.close();
}

interface Load {
  readonly result: BenchResult;
  /** Acknowledged messages per key. */
  readonly counts: readonly number[];
}

async function produceFor(bench: Bench, options: BenchOptions): Promise<Load> {
  const producer = bench.client.producer({ acks: options.acks, flush: options.flush });
  const makeValue = valueMaker(options.size);
  const keys = keyNames(options.keys);
  const counts = new Array<number>(keys.length).fill(0);
  const histogram = build({ numberOfSignificantValueDigits: 3 });
  let acknowledged = 0;
  let failed = 0;
  let sent = 0;
  const onDone = (error: Error | undefined, _receipt: Receipt | undefined): void => {
    if (error === undefined) acknowledged += 1;
    else failed += 1;
  };
  bench.resetCpu();
  const startMs = performance.now();
  const endMs = startMs + options.seconds * 1000;
  while (performance.now() < endMs) {
    for (let i = 0; i < 256; i += 1) {
      const slot = sent % keys.length;
      const key = keys[slot] as Buffer;
      let done = onDone;
      if (sent % SAMPLE_EVERY === 0) {
        const atMs = performance.now();
        done = (error, receipt) => {
          histogram.recordValue(Math.round((performance.now() - atMs) * 1000));
          onDone(error, receipt);
        };
      }
      const sequence = counts[slot] as number;
      counts[slot] = sequence + 1;
      producer.sendAsync({ topic: bench.topic, key, value: makeValue(sequence) }, done);
      sent += 1;
    }
    await producer.ready();
  }
  await producer.flush();
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = bench.cpu();
  await producer.close();
  const millions = acknowledged / 1e6;
  return {
    counts,
    result: {
      messages: acknowledged,
      failed,
      seconds,
      perSecond: acknowledged / seconds,
      mbPerSecond: (acknowledged * options.size) / seconds / 1e6,
      ...latencies(histogram),
      ...cpu,
      clientCpuPerMillion: cpu.clientCpu / millions,
      brokerCpuPerMillion: cpu.brokerCpu / millions,
    },
  };
}

/** Reads the whole topic: per key, the numbers 0, 1, 2 … must stand in order, once each. */
async function verify(
  bench: Bench,
  options: BenchOptions,
  counts: readonly number[],
): Promise<BenchResult> {
  const next = new Array<number>(counts.length).fill(0);
  const slots = new Map(keyNames(options.keys).map((key, slot) => [key.toString(), slot]));
  let read = 0;
  let wrong = 0;
  const expectedValue = valueMaker(options.size);
  const reader = bench.client.reader({ topic: bench.topic, from: "earliest", until: "end" });
  const startMs = performance.now();
  for await (const message of reader) {
    const slot = slots.get(Buffer.from(message.key ?? []).toString());
    const value = Buffer.from(message.value ?? []);
    if (slot === undefined || value.length !== options.size) {
      wrong += 1;
      continue;
    }
    if (options.size < 8) continue;
    const sequence = value.readDoubleBE(0);
    if (sequence < 0) continue;
    read += 1;
    if (sequence !== next[slot] || !value.equals(expectedValue(sequence))) wrong += 1;
    next[slot] = sequence + 1;
  }
  let missing = 0;
  counts.forEach((count, slot) => {
    missing += Math.abs(count - (next[slot] ?? 0));
  });
  const seconds = (performance.now() - startMs) / 1000;
  return {
    read,
    missing,
    wrong,
    readBackPerSecond: read / seconds,
    verified: missing === 0 && wrong === 0,
  };
}
