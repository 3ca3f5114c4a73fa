// Replay: a backlog is written, then one reader reads all of it from the beginning.
import type { BenchOptions, BenchResult } from "./options.ts";
import { keyNames, valueMaker, withBench } from "./setup.ts";

export function benchFetch(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    const producer = bench.client.producer({ acks: options.acks, flush: options.flush });
    const makeValue = valueMaker(options.size);
    const keys = keyNames(options.keys);
    const endMs = performance.now() + options.seconds * 1000;
    let sent = 0;
    while (performance.now() < endMs) {
      for (let i = 0; i < 256; i += 1) {
        const key = keys[sent % keys.length] as Buffer;
        producer.sendAsync({ topic: bench.topic, key, value: makeValue(sent) }, () => undefined);
        sent += 1;
      }
      await producer.ready();
    }
    await producer.flush();
    await producer.close();
    bench.resetCpu();
    const startMs = performance.now();
    let messages = 0;
    let bytes = 0;
    const reader = bench.client.reader({ topic: bench.topic, from: "earliest", until: "end" });
    for await (const message of reader) {
      messages += 1;
      bytes += message.value?.length ?? 0;
    }
    const seconds = (performance.now() - startMs) / 1000;
    return {
      sent,
      messages,
      seconds,
      perSecond: messages / seconds,
      mbPerSecond: bytes / seconds / 1e6,
      ...bench.cpu(),
    };
  });
}
