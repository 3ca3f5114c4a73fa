// What the consumer's tests begin with: a fake cluster with a topic, a subscription, and a client on virtual time.
import { seededRandom } from "../../src/base/random.ts";
import { type Client, createClient } from "../../src/client/index.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";
import { FakeSubscription } from "./fake-subscription.ts";

export interface Setup {
  readonly time: VirtualClock;
  readonly cluster: FakeCluster;
  readonly client: Client;
  readonly subscription: FakeSubscription;
}

export function setUp(partitions = 1, mode: "shared" | "exclusive" = "shared"): Setup {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  const topic = cluster.addTopic("t", partitions);
  const subscription = new FakeSubscription(cluster, [topic], mode);
  const { bootstrap, connector } = cluster;
  const random = seededRandom(5);
  const client = createClient({ bootstrap, connector, clock: time.fork(), random });
  return { time, cluster, client, subscription };
}

/** Values v<from> … v<to − 1>, some in a batch. */
export async function fill(
  { time, client }: Setup,
  from: number,
  to: number,
  partition = 0,
): Promise<void> {
  const producer = client.producer();
  for (let i = from; i < to; ) {
    const sends: Promise<unknown>[] = [];
    for (const end = Math.min(to, i + 10); i < end; i += 1) {
      sends.push(producer.send({ topic: "t", partition, key: `k${i}`, value: `v${i}` }));
    }
    await time.until(Promise.all(sends));
  }
  await time.until(producer.close());
}

export function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `v${from + i}`);
}

/** 0, 1 … */
export function offsets(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Fails unless the predicate holds within some virtual time. */
export async function eventually(
  { time }: Setup,
  predicate: () => boolean,
  maxMs = 10_000,
): Promise<void> {
  if (!(await time.runUntil(predicate, maxMs))) throw new Error(`not within ${maxMs} virtual ms`);
}
