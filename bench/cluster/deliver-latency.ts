// A consumer with an empty backlog: how long after its being sent does it see a message. Sends follow a clock, so that a
// slow one does not hold up the next (no coordinated omission).
import { build } from "hdr-histogram-js";
import type { BenchOptions, BenchResult } from "./options.ts";
import { latencies } from "./report.ts";
import { keyNames, withBench } from "./setup.ts";

const SUBSCRIPTION = "bench";
const INTERVAL_MS = 5;
/** Connections are open, leaders are where they belong and code is compiled after so long; then it counts. */
const WARM_UP_MS = 12_000;

export function benchDeliverLatency(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    const { client, topic } = bench;
    await client.admin().subscriptions.create({
      name: SUBSCRIPTION,
      topics: [topic],
      mode: options.mode,
      start: "earliest",
    });
    const producer = client.producer({ acks: options.acks, flush: options.flush });
    const consumer = client.consumer({ subscription: SUBSCRIPTION });
    const histogram = build({ numberOfSignificantValueDigits: 3 });
    const keys = keyNames(options.keys);
    const startMs = performance.now();
    const countsFromMs = startMs + WARM_UP_MS;
    let seen = 0;
    let again = 0;
    const run = consumer.run(({ handedOut, value }) => {
      if (value === undefined) return;
      seen += 1;
      if (handedOut > 1) again += 1;
      const sentMs = value.readDoubleBE(0);
      if (sentMs >= countsFromMs) {
        histogram.recordValue(Math.round((performance.now() - sentMs) * 1000));
      }
    });
    let sent = 0;
    while (performance.now() - countsFromMs < options.seconds * 1000) {
      const dueMs = startMs + sent * INTERVAL_MS;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const value = Buffer.alloc(options.size);
      value.writeDoubleBE(performance.now(), 0);
      producer.sendAsync(
        { topic, key: keys[sent % keys.length] as Buffer, value },
        () => undefined,
      );
      sent += 1;
    }
    await producer.close();
    await consumer.close();
    await run;
    return { mode: options.mode, sent, seen, again, ...latencies(histogram), ...bench.cpu() };
  });
}
