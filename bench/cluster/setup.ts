// Three real brokers, one client, one topic: what every subject starts from.
import { type Client, createClient } from "../../src/client/index.ts";
import { cpuSecondsOf, LocalCluster } from "../../test/support/local-cluster.ts";
import type { BenchOptions } from "./options.ts";

export interface Bench {
  readonly cluster: LocalCluster;
  readonly client: Client;
  readonly topic: string;
  /** CPU seconds used since the last call to reset(). */
  cpu(): { readonly clientCpu: number; readonly brokerCpu: number };
  resetCpu(): void;
}

export const TOPIC = "bench";

/** Runs `body` on a fresh cluster and always ends the brokers. */
export async function withBench<T>(
  options: BenchOptions,
  body: (bench: Bench) => Promise<T>,
): Promise<T> {
  const directory = options.directory;
  const cluster = await LocalCluster.create({
    ...(directory === undefined ? {} : { directory }),
    execArgv: options.brokerFlag ?? [],
  });
  const stop = (): void => {
    void cluster.close().then(() => process.exit(130));
  };
  process.once("SIGINT", stop);
  try {
    await cluster.up();
    const client = createClient({ bootstrap: cluster.bootstrap });
    const admin = client.admin();
    await admin.createTopic({
      name: TOPIC,
      partitions: options.partitions,
      replicationFactor: 3,
      settings: { flush: options.flush },
    });
    let brokers = 0;
    let own = 0;
    const bench: Bench = {
      cluster,
      client,
      topic: TOPIC,
      resetCpu() {
        brokers = cluster.cpuSeconds();
        own = cpuSecondsOf(process.pid);
      },
      cpu: () => ({
        clientCpu: cpuSecondsOf(process.pid) - own,
        brokerCpu: cluster.cpuSeconds() - brokers,
      }),
    };
    bench.resetCpu();
    try {
      return await body(bench);
    } finally {
      await client.close();
    }
  } finally {
    process.removeListener("SIGINT", stop);
    await cluster.close();
  }
}

/** Values of the wanted size that begin with a number, so that each is unique and can be checked. */
export function valueMaker(size: number): (sequence: number) => Buffer {
  const filler = Buffer.alloc(size);
  for (let i = 0; i < size; i += 1) filler[i] = 97 + ((i * 7) % 26);
  return (sequence) => {
    const value = Buffer.allocUnsafe(size);
    filler.copy(value);
    if (size >= 8) value.writeDoubleBE(sequence, 0);
    return value;
  };
}

export function keyNames(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(`key-${i}`));
}
