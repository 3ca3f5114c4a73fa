// Each send is awaited before the next: what most users see first. Latency and rate of a single caller.
import { build } from "hdr-histogram-js";
import type { BenchOptions, BenchResult } from "./options.ts";
import { latencies } from "./report.ts";
import { keyNames, valueMaker, withBench } from "./setup.ts";

export function benchOneAtATime(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    const producer = bench.client.producer({ acks: options.acks, flush: options.flush });
    const makeValue = valueMaker(options.size);
    const keys = keyNames(options.keys);
    const histogram = build({ numberOfSignificantValueDigits: 3 });
    let sequence = 0;
    const sendFor = async (seconds: number, record: boolean): Promise<number> => {
      const startMs = performance.now();
      let count = 0;
      while (performance.now() - startMs < seconds * 1000) {
        const atMs = performance.now();
        const key = keys[sequence % keys.length] as Buffer;
        await producer.send({ topic: bench.topic, key, value: makeValue(sequence) });
        sequence += 1;
        count += 1;
        if (record) histogram.recordValue(Math.round((performance.now() - atMs) * 1000));
      }
      return count / ((performance.now() - startMs) / 1000);
    };
    await sendFor(2, false);
    bench.resetCpu();
    const perSecond = await sendFor(options.seconds, true);
    const cpu = bench.cpu();
    await producer.close();
    return { messages: histogram.totalCount, perSecond, ...latencies(histogram), ...cpu };
  });
}
