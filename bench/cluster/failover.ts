// Kills the broker that leads most partitions, --rounds times, under --rate; per round the longest pause between two
// acknowledgements on the partitions it led.
import { pause } from "../../test/support/local-cluster.ts";
import type { BenchOptions, BenchResult } from "./options.ts";
import { type Bench, keyNames, valueMaker, withBench } from "./setup.ts";

export function benchFailover(options: BenchOptions): Promise<BenchResult> {
  return withBench(options, async (bench) => {
    const producer = bench.client.producer({ acks: options.acks, flush: options.flush });
    const makeValue = valueMaker(options.size);
    const keys = keyNames(options.keys);
    const firstAckAfter = new Map<number, number>();
    let killedAtMs = Number.POSITIVE_INFINITY;
    let failed = 0;
    let stop = false;
    const load = (async () => {
      const startMs = performance.now();
      let n = 0;
      while (!stop) {
        const due = Math.floor(((performance.now() - startMs) * options.rate) / 1000);
        for (; n < due; n += 1) {
          const sentAtMs = performance.now();
          const key = keys[n % keys.length] as Buffer;
          producer.sendAsync({ topic: bench.topic, key, value: makeValue(n) }, (error, receipt) => {
            if (error !== undefined || receipt === undefined) failed += 1;
            else if (sentAtMs >= killedAtMs && !firstAckAfter.has(receipt.partition)) {
              firstAckAfter.set(receipt.partition, performance.now());
            }
          });
        }
        await pause(2);
      }
    })();
    const pauses: number[] = [];
    await pause(2000);
    for (let round = 0; round < options.rounds; round += 1) {
      const { nodeId, partitions } = await busiestLeader(bench);
      firstAckAfter.clear();
      killedAtMs = performance.now();
      await bench.cluster.kill(nodeId);
      await waitFor(() => partitions.every((partition) => firstAckAfter.has(partition)), 30_000);
      for (const partition of partitions) {
        pauses.push((firstAckAfter.get(partition) ?? Number.POSITIVE_INFINITY) - killedAtMs);
      }
      bench.cluster.start(nodeId);
      await bench.cluster.waitHealthy(nodeId);
      await pause(3000);
    }
    stop = true;
    await load;
    await producer.flush();
    await producer.close();
    pauses.sort((a, b) => a - b);
    const at = (share: number): number =>
      pauses[Math.min(pauses.length - 1, Math.floor(pauses.length * share))] ?? 0;
    return { rounds: options.rounds, failed, p50ms: at(0.5), p99ms: at(0.99), worstMs: at(1) };
  });
}

async function busiestLeader(bench: Bench): Promise<{ nodeId: number; partitions: number[] }> {
  const description = await bench.client.admin().describeTopic(bench.topic);
  const led = new Map<number, number[]>();
  for (const partition of description.partitions) {
    const list = led.get(partition.leaderId) ?? [];
    list.push(partition.partition);
    led.set(partition.leaderId, list);
  }
  const [nodeId, partitions] = [...led].sort((a, b) => b[1].length - a[1].length)[0] ?? [0, []];
  return { nodeId, partitions };
}

async function waitFor(done: () => boolean, timeoutMs: number): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!done()) {
    if (performance.now() > endMs) throw new Error("no acknowledgement within 30 s of the kill");
    await pause(5);
  }
}
