// Chance decides what fails; the promises must hold for every seed: acknowledged messages are stored exactly once at the
// offset of their receipt, "not-applied" ones never, nothing is stored twice, and order per partition is the sending order.
import { describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { createClient, type FlotillaError, type Receipt } from "../../src/client/index.ts";
import type { ErrorReason } from "../../src/model/errors.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

const PARTITIONS = 3;
const REFUSALS: readonly { readonly reason: ErrorReason; readonly storeFirst?: boolean }[] = [
  { reason: "OVERLOADED" },
  { reason: "LEADER_UNKNOWN" },
  { reason: "LEADERSHIP_LOST", storeFirst: true },
  { reason: "LEADERSHIP_LOST" },
  { reason: "REPLICATION_TIMEOUT", storeFirst: true },
  { reason: "RECORD_TOO_LARGE" },
  { reason: "CORRUPT_BATCH" },
  { reason: "INTERNAL", storeFirst: true },
  { reason: "SHUTTING_DOWN" },
];

interface Sent {
  readonly partition: number;
  readonly value: string;
  receipt?: Receipt;
  error?: FlotillaError;
}

function disturb(cluster: FakeCluster, random: Random): void {
  const broker = cluster.brokers[random.integer(0, cluster.brokers.length)];
  const partition = cluster.partition("t", random.integer(0, PARTITIONS));
  const target = cluster.brokers[random.integer(0, cluster.brokers.length)];
  if (broker === undefined || target === undefined) return;
  switch (random.integer(0, 7)) {
    case 0:
      broker.breakStreams();
      return;
    case 1:
      broker.isSilent = true;
      return;
    case 2:
      broker.speak();
      return;
    case 3:
      cluster.moveLeader(partition, target.endpoint);
      return;
    case 4:
      broker.stop();
      return;
    case 5:
      broker.isDown = false;
      return;
    default: {
      const refusal = REFUSALS[random.integer(0, REFUSALS.length)];
      if (refusal !== undefined) partition.refusals.push(refusal);
    }
  }
}

function calm(cluster: FakeCluster): void {
  for (const broker of cluster.brokers) {
    broker.isDown = false;
    broker.breakStreams();
    broker.speak();
  }
  for (let i = 0; i < PARTITIONS; i += 1) cluster.partition("t", i).refusals.length = 0;
}

async function run(
  seed: number,
  timeoutMs: number,
): Promise<{ cluster: FakeCluster; sent: Sent[] }> {
  const random = seededRandom(seed);
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  cluster.addTopic("t", PARTITIONS);
  const { bootstrap, connector } = cluster;
  const clock = time.fork();
  const client = createClient({ bootstrap, connector, clock, random: seededRandom(seed + 1) });
  const producer = client.producer({ deliveryTimeoutMs: timeoutMs, batchBytes: 300 });
  const sent: Sent[] = [];
  for (let step = 0; step < 120; step += 1) {
    for (let i = random.integer(0, 12); i > 0; i -= 1) {
      const message: Sent = { partition: random.integer(0, PARTITIONS), value: `m${sent.length}` };
      sent.push(message);
      const { partition, value } = message;
      producer.sendAsync({ topic: "t", partition, value }, (error, receipt) => {
        if (message.receipt !== undefined || message.error !== undefined)
          throw new Error("told twice");
        if (error !== undefined) message.error = error;
        if (receipt !== undefined) message.receipt = receipt;
      });
    }
    if (random.next() < 0.3) disturb(cluster, random);
    await time.run(random.integer(0, 60));
  }
  calm(cluster);
  await time.until(producer.flush(), timeoutMs * 3);
  await time.until(client.close(), timeoutMs * 3);
  return { cluster, sent };
}

function check(seed: number, cluster: FakeCluster, sent: readonly Sent[]): void {
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const stored = cluster.partition("t", partition).values();
    const what = `seed ${seed}, partition ${partition}`;
    expect(new Set(stored).size, `${what}: doubled`).toBe(stored.length);
    const numbers = stored.map((value) => Number(value.slice(1)));
    expect(numbers, `${what}: order`).toEqual([...numbers].sort((a, b) => a - b));
    const known = new Set(stored);
    for (const message of sent.filter((one) => one.partition === partition)) {
      const { error, receipt, value } = message;
      expect(error !== undefined || receipt !== undefined, `${what}: ${value} untold`).toBe(true);
      if (receipt !== undefined) expect(stored[receipt.offset], `${what}: ${value}`).toBe(value);
      if (error?.outcome === "not-applied") {
        expect(known.has(value), `${what}: ${value} ${error.reason}`).toBe(false);
      }
    }
  }
}

describe("producer under faults", () => {
  it("promises: hold for any mixture of failures (long deadline)", async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const { cluster, sent } = await run(seed, 120_000);
      check(seed, cluster, sent);
    }
  });

  it("promises: hold for any mixture of failures (deadlines pass)", async () => {
    for (let seed = 1001; seed <= 1040; seed += 1) {
      const { cluster, sent } = await run(seed, 700);
      check(seed, cluster, sent);
    }
  });
});
