// Open loop: message n is due at start + n / rate, whether or not earlier ones were answered; latency counts from then.
import { build } from "hdr-histogram-js";
import { pause } from "../../test/support/local-cluster.ts";
import type { BenchOptions, BenchResult } from "./options.ts";
import { latencies } from "./report.ts";
import { keyNames, valueMaker, withBench } from "./setup.ts";

export function benchFixedRate(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    const producer = bench.client.producer({ acks: options.acks, flush: options.flush });
    const makeValue = valueMaker(options.size);
    const keys = keyNames(options.keys);
    const histogram = build({ numberOfSignificantValueDigits: 3 });
    let failed = 0;
    let sequence = 0;
    const sendFor = async (seconds: number, record: boolean): Promise<void> => {
      const startMs = performance.now();
      const total = Math.round(seconds * options.rate);
      for (let n = 0; n < total; ) {
        const dueCount = Math.min(
          total,
          Math.floor(((performance.now() - startMs) * options.rate) / 1000) + 1,
        );
        for (; n < dueCount; n += 1) {
          const intendedMs = startMs + (n * 1000) / options.rate;
          const key = keys[sequence % keys.length] as Buffer;
          producer.sendAsync({ topic: bench.topic, key, value: makeValue(sequence) }, (error) => {
            if (error !== undefined) failed += 1;
            else if (record) {
              histogram.recordValue(Math.round((performance.now() - intendedMs) * 1000));
            }
          });
          sequence += 1;
        }
        await pause(1);
      }
      await producer.flush();
    };
    await sendFor(2, false);
    bench.resetCpu();
    await sendFor(options.seconds, true);
    const cpu = bench.cpu();
    await producer.close();
    return {
      rate: options.rate,
      messages: histogram.totalCount,
      failed,
      ...latencies(histogram),
      ...cpu,
    };
  });
}
