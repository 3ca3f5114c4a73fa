// A subscription's backlog: written first, then handed to one consumer that acknowledges every message; ends when all
// acknowledgements are confirmed and the leaders say that nothing is unsettled.
import type { Consumer } from "../../src/client/index.ts";
import type { BenchOptions, BenchResult } from "./options.ts";
import { type Bench, keyNames, valueMaker, withBench } from "./setup.ts";

const SUBSCRIPTION = "bench";
const PROGRESS_LOOK_MS = 20;
const PREFETCH = { messages: 50_000, bytes: 32 * 1024 * 1024 };

export function benchDeliver(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    await bench.client.admin().subscriptions.create({
      name: SUBSCRIPTION,
      topics: [bench.topic],
      mode: options.mode,
      start: "earliest",
    });
    await writeBacklog(bench, options);
    bench.resetCpu();
    const startMs = performance.now();
    const consumer = bench.client.consumer({ subscription: SUBSCRIPTION, prefetch: PREFETCH });
    const { bytes, messages, repeated } = await consume(consumer, options);
    const seconds = (performance.now() - startMs) / 1000;
    const cpu = bench.cpu();
    await consumer.close();
    const unsettled = await settledEverywhere(bench);
    const millions = messages / 1e6;
    return {
      mode: options.mode,
      messages,
      repeated,
      unsettled,
      seconds,
      perSecond: messages / seconds,
      mbPerSecond: bytes / seconds / 1e6,
      ...cpu,
      clientCpuPerMillion: cpu.clientCpu / millions,
      brokerCpuPerMillion: cpu.brokerCpu / millions,
      verified: messages === options.messages && unsettled === 0,
    };
  });
}

export async function writeBacklog({ client, topic }: Bench, options: BenchOptions): Promise<void> {
  const producer = client.producer({ acks: options.acks, flush: options.flush });
  const makeValue = valueMaker(options.size);
  const keys = keyNames(options.keys);
  for (let sent = 0; sent < options.messages; sent += 1) {
    const key = keys[sent % keys.length] as Buffer;
    producer.sendAsync({ topic, key, value: makeValue(sent) }, throwIt);
    if (sent % 256 === 0) await producer.ready();
  }
  await producer.flush();
  await producer.close();
}

function throwIt(error: Error | undefined): void {
  if (error !== undefined) throw error;
}

/** Resolves when every message of the backlog was seen, and every acknowledgement is confirmed. */
async function consume(
  consumer: Consumer,
  options: BenchOptions,
): Promise<{ readonly messages: number; readonly bytes: number; readonly repeated: number }> {
  const seen = new Uint8Array(options.messages);
  let messages = 0;
  let bytes = 0;
  let repeated = 0;
  const run = consumer.run(
    (message) => {
      const { value } = message;
      if (value === undefined) return;
      bytes += value.length;
      const sequence = value.readDoubleBE(0);
      if (seen[sequence] === 1) repeated += 1;
      else messages += 1;
      seen[sequence] = 1;
    },
    { concurrency: 1000 },
  );
  await Promise.race([run, confirmedAll(consumer, () => messages >= options.messages)]);
  return { messages, bytes, repeated };
}

async function confirmedAll(consumer: Consumer, isAllSeen: () => boolean): Promise<void> {
  while (!isAllSeen() || consumer.stats.unconfirmed > 0) {
    await new Promise((resolve) => setTimeout(resolve, PROGRESS_LOOK_MS));
  }
}

async function settledEverywhere({ client }: Bench): Promise<number> {
  const { partitions } = await client.admin().subscriptions.progress(SUBSCRIPTION);
  return partitions.reduce((sum, { unsettledMessages }) => sum + unsettledMessages, 0);
}
