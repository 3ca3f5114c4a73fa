import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import {
  type Client,
  createClient,
  type FlotillaError,
  type ReaderOptions,
  type ReceivedMessage,
} from "../../src/client/index.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

interface Setup {
  readonly time: VirtualClock;
  readonly cluster: FakeCluster;
  readonly client: Client;
}

function setUp(partitions = 1): Setup {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  cluster.addTopic("t", partitions);
  const { bootstrap, connector } = cluster;
  const client = createClient({
    bootstrap,
    connector,
    clock: time.fork(),
    random: seededRandom(5),
  });
  return { time, cluster, client };
}

async function fill(
  { time, client }: Setup,
  from: number,
  to: number,
  partition = 0,
): Promise<void> {
  const producer = client.producer();
  for (let i = from; i < to; ) {
    const sends: Promise<unknown>[] = [];
    for (const end = Math.min(to, i + 7); i < end; i += 1) {
      sends.push(
        producer.send({
          topic: "t",
          partition,
          key: `k${i}`,
          value: `v${i}`,
          timestampMs: 1000 + i,
        }),
      );
    }
    await time.until(Promise.all(sends));
  }
  await time.until(producer.close());
}

/** Sends so many messages of 8000 bytes, a batch each. */
async function fillLarge({ time, client }: Setup, count: number, partition = 0): Promise<void> {
  const producer = client.producer({ batchBytes: 8000 });
  for (let i = 0; i < count; i += 1) {
    await time.until(producer.send({ topic: "t", partition, value: Buffer.alloc(8000, i) }));
  }
  await time.until(producer.close());
}

const KIB = 1024;

/** Reads in the background. */
function collect(
  client: Client,
  options: Omit<ReaderOptions, "topic">,
): {
  readonly messages: ReceivedMessage[];
  readonly done: Promise<void>;
  readonly ended: { error?: FlotillaError; isDone?: boolean };
} {
  const messages: ReceivedMessage[] = [];
  const ended: { error?: FlotillaError; isDone?: boolean } = {};
  const read = async (): Promise<void> => {
    for await (const message of client.reader({ topic: "t", ...options })) messages.push(message);
  };
  const done = read().then(
    () => {
      ended.isDone = true;
    },
    (error: FlotillaError) => {
      ended.error = error;
    },
  );
  return { messages, done, ended };
}

const values = (messages: readonly ReceivedMessage[]): string[] =>
  messages.map((message) => message.text());
const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `v${from + i}`);

describe("reader", () => {
  it("until end: gives everything once and ends (earliest)", async () => {
    const setup = setUp();
    await fill(setup, 0, 50);
    const { messages, done, ended } = collect(setup.client, { until: "end" });
    await setup.time.until(done);
    expect(ended.isDone).toBe(true);
    expect(values(messages)).toEqual(numbered(0, 50));
    expect(messages[3]).toMatchObject({
      topic: "t",
      partition: 0,
      offset: 3,
      leaderEpoch: 1,
      timestampMs: 1003,
    });
    expect(messages[3]?.key?.toString()).toBe("k3");
    expect(messages[3]?.headers).toEqual([]);
  });

  it("until end: ends at once where nothing is (empty topic, several partitions)", async () => {
    const setup = setUp(3);
    const { done, ended } = collect(setup.client, { until: "end" });
    await setup.time.until(done);
    expect(ended.isDone).toBe(true);
  });

  it("start: a topic that was just created is found (brokers that answer lag behind)", async () => {
    const setup = setUp();
    setup.cluster.laggingAnswers = 3;
    const { done, ended } = collect(setup.client, { until: "end" });
    await setup.time.until(done);
    expect(ended).toEqual({ isDone: true });
  });

  it("start: waits for brokers that go away between its questions (all are restarted)", async () => {
    const { client, cluster, time } = setUp();
    const { done, ended } = collect(client, { until: "end" });
    const isDescribed = (): boolean =>
      cluster.brokers.some(({ calls }) => calls.some((path) => path.endsWith("DescribeTopic")));
    while (!isDescribed()) await time.run(1);
    for (const broker of cluster.brokers) broker.stop();
    await time.run(500);
    for (const broker of cluster.brokers) broker.isDown = false;
    await time.until(done);
    expect(ended).toEqual({ isDone: true });
  });

  it("start: ends with what refused the last question when a topic is described but never found", async () => {
    const unknown = setUp();
    unknown.cluster.laggingAnswers = Number.POSITIVE_INFINITY;
    const lagging = collect(unknown.client, {});
    await unknown.time.until(lagging.done);
    expect(lagging.ended.error).toMatchObject({ reason: "UNKNOWN_TOPIC_OR_PARTITION" });

    const cut = setUp();
    cut.cluster.handlers.set("GetMetadata", () => {
      throw new BrokerError("OVERLOADED", "as told");
    });
    const refused = collect(cut.client, {});
    await cut.time.until(refused.done);
    expect(refused.ended.error).toMatchObject({ reason: "OVERLOADED" });
  });

  it("start: offset, time, latest and a map are found, also inside a batch", async () => {
    const setup = setUp();
    await fill(setup, 0, 30);
    const first = async (from: ReaderOptions["from"]): Promise<string | undefined> => {
      const { messages, done } = collect(setup.client, { from, until: "end" });
      await setup.time.until(done);
      return messages[0]?.text();
    };
    expect(await first({ offset: 10 })).toBe("v10");
    expect(await first({ timeMs: 1017 })).toBe("v17");
    expect(await first("latest")).toBeUndefined();
    expect(await first(new Map([[0, 29]]))).toBe("v29");
    setup.cluster.partition("t", 0).logStartOffset = 14;
    expect(await first("earliest")).toBe("v14");
  });

  it("following: new messages arrive as they are committed (latest)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { messages } = collect(setup.client, { from: "latest" });
    await setup.time.run(50);
    await fill(setup, 5, 25);
    await setup.time.run(50);
    expect(values(messages)).toEqual(numbered(5, 25));
  });

  it("leader change: goes on at the next offset without gap or repetition (hint, lost stream, election)", async () => {
    const setup = setUp();
    const { time, cluster, client } = setup;
    const partition = cluster.partition("t", 0);
    const { messages, ended } = collect(client, {});
    await fill(setup, 0, 20);
    cluster.moveLeader(partition, "b2:1");
    await fill(setup, 20, 40);
    cluster.broker("b2:1").stop();
    await time.run(100);
    cluster.moveLeader(partition, "");
    await time.run(500);
    cluster.moveLeader(partition, "b3:1");
    await fill(setup, 40, 60);
    cluster.broker("b3:1").breakStreams();
    await fill(setup, 60, 80);
    await time.run(500);
    expect(ended).toEqual({});
    expect(values(messages)).toEqual(numbered(0, 80));
  });

  it("partitions: each keeps its order (three leaders)", async () => {
    const setup = setUp(3);
    for (let i = 0; i < 3; i += 1) await fill(setup, i * 100, i * 100 + 40, i);
    const { messages, done } = collect(setup.client, { until: "end" });
    await setup.time.until(done);
    for (let i = 0; i < 3; i += 1) {
      const own = messages.filter((message) => message.partition === i);
      expect(values(own)).toEqual(numbered(i * 100, i * 100 + 40));
    }
    const some = collect(setup.client, { partitions: [1], until: "end" });
    await setup.time.until(some.done);
    expect(values(some.messages)).toEqual(numbered(100, 140));
  });

  it("credit: a slow application is not sent more than it can hold (64 KiB)", async () => {
    const setup = setUp();
    const { time, cluster, client } = setup;
    const producer = client.producer({ batchBytes: 8000 });
    for (let i = 0; i < 40; i += 1) {
      await time.until(producer.send({ topic: "t", value: Buffer.alloc(8000, i) }));
    }
    const reader = client.reader({ topic: "t", creditBytes: 64 * 1024, until: "end" });
    const batches = reader.batches();
    const first = await time.until(batches.next());
    await time.run(1000);
    const broker = cluster.broker("b1:1");
    expect(broker.bytesSent).toBeLessThan(80 * 1024);
    expect(reader.highWatermark(0)).toBe(40);
    expect(reader.lag()).toBeGreaterThan(20);
    let count = first.done === true ? 0 : 1;
    for (;;) {
      const next = await time.until(batches.next());
      if (next.done === true) break;
      count += 1;
      expect(next.value.messages()[0]?.value?.[0]).toBe(next.value.baseOffset);
    }
    expect(count).toBe(40);
    expect(reader.lag()).toBe(0);
  });

  it("credit: a stream that begins while the queue is full does not stand still (others filled it)", async () => {
    const setup = setUp(2);
    const { time, cluster, client } = setup;
    await fillLarge(setup, 80, 0);
    const reader = client.reader({ topic: "t", creditBytes: 1024 * KIB });
    const batches = reader.batches();
    const counts = [0, 0];
    const read = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) {
        const next = await time.until(batches.next());
        if (next.done !== true)
          counts[next.value.partition] = (counts[next.value.partition] ?? 0) + 1;
      }
    };
    await read(1);
    await time.run(1000);
    // The queue holds what the other broker may send; this one begins with the least there is.
    cluster.broker("b2:1").breakStreams();
    await time.run(1000);
    await fillLarge(setup, 60, 1);
    await read(139);
    expect(counts).toEqual([80, 60]);
  });

  it("credit: streams that end one after the other do not add to what waits (nothing is consumed)", async () => {
    const setup = setUp(1);
    const { time, cluster, client } = setup;
    await fillLarge(setup, 200);
    const batches = client.reader({ topic: "t", creditBytes: 256 * KIB }).batches();
    await time.until(batches.next());
    for (let i = 0; i < 12; i += 1) {
      await time.run(6000);
      cluster.broker("b1:1").breakStreams();
    }
    await time.run(6000);
    expect(cluster.broker("b1:1").bytesSent).toBeLessThan((256 + 64 + 8) * KIB);
    for (let i = 1; i < 200; i += 1) {
      const next = await time.until(batches.next());
      expect(next.value?.baseOffset).toBe(i);
    }
  });

  it("credit: a broker that leads nothing any more keeps none from the others (leaders move)", async () => {
    const setup = setUp(1);
    const { time, cluster, client } = setup;
    const partition = cluster.partition("t", 0);
    const batches = client
      .reader({ topic: "t", from: "latest", creditBytes: 1024 * KIB })
      .batches();
    const first = batches.next();
    await time.run(50);
    cluster.moveLeader(partition, "b2:1");
    await time.run(500);
    expect(cluster.broker("b2:1").creditsGranted).toBe(1024 * KIB);
    expect(cluster.broker("b1:1").streams.size).toBe(0);
    await fillLarge(setup, 1);
    expect((await time.until(first)).done).toBe(false);
  });

  it("diverged: a history that was given up is reported, not passed over (truncated log)", async () => {
    const setup = setUp();
    const { time, cluster, client } = setup;
    await fill(setup, 0, 14);
    const { messages, done, ended } = collect(client, {});
    await time.run(50);
    const partition = cluster.partition("t", 0);
    partition.truncate(1);
    cluster.moveLeader(partition, "b2:1");
    await fill(setup, 100, 120);
    await time.until(done);
    expect(messages).toHaveLength(14);
    expect(ended.error).toMatchObject({
      reason: "DIVERGED",
      fields: { topic: "t", partition: 0, offset: 14 },
    });
  });

  it("errors: an unknown topic, a wrong partition and a lost offset are thrown (never silence)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, time } = setup;
    const unknown = client.reader({ topic: "nope" }).batches();
    await expect(time.until(unknown.next())).rejects.toMatchObject({
      reason: "UNKNOWN_TOPIC_OR_PARTITION",
    });
    const wrong = collect(client, { partitions: [3] });
    await time.until(wrong.done);
    expect(wrong.ended.error?.reason).toBe("INVALID_REQUEST");
    const lost = collect(client, { from: { offset: 99 } });
    await time.until(lost.done);
    expect(lost.ended.error).toMatchObject({ reason: "OFFSET_OUT_OF_RANGE" });
  });

  it("unavailable: a partition without leader for too long ends the reader (timeout)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, cluster, time } = setup;
    const { messages, done, ended } = collect(client, { unavailableTimeoutMs: 2000 });
    await time.run(50);
    cluster.moveLeader(cluster.partition("t", 0), "");
    await time.until(done, 10_000);
    expect(messages).toHaveLength(5);
    expect(ended.error?.reason).toBe("LEADER_UNKNOWN");
    expect(ended.error?.outcome).toBe("not-applied");
    expect(ended.error?.cause).toMatchObject({ reason: "LEADER_UNKNOWN", message: "election" });
    expect(ended.error?.message).toContain("2000 ms: LEADER_UNKNOWN: election");
  });

  it("unavailable: losses of a quiet partition that are hours apart do not add up (each is short)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, cluster, time } = setup;
    const partition = cluster.partition("t", 0);
    const { messages, ended } = collect(client, { unavailableTimeoutMs: 2000 });
    await time.run(50);
    for (let i = 0; i < 4; i += 1) {
      const { leader } = partition;
      cluster.moveLeader(partition, "");
      await time.run(1500);
      cluster.moveLeader(partition, leader);
      await time.run(3_600_000);
    }
    expect(ended).toEqual({});
    await fill(setup, 5, 8);
    await time.run(100);
    expect(values(messages)).toEqual(numbered(0, 8));
  });

  it("unavailable: a cursor that is taken and dropped again and again ends the reader (with pauses)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, cluster, time } = setup;
    const { done, ended } = collect(client, { unavailableTimeoutMs: 10_000 });
    await time.run(50);
    const broker = cluster.broker("b1:1");
    const before = broker.calls.length;
    for (let i = 0; i < 200 && ended.error === undefined; i += 1) {
      await time.run(300);
      broker.breakStreams();
    }
    await time.until(done);
    expect(ended.error).toMatchObject({
      reason: "LEADER_UNKNOWN",
      cause: { reason: "UNREACHABLE" },
    });
    const opened = broker.calls.slice(before).filter((path) => path.endsWith("/Fetch"));
    expect(opened.length).toBeLessThan(50);
  });

  it("cut off: a former leader that only the client reaches is left (it refuses, and knows no leader)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, cluster, time } = setup;
    const partition = cluster.partition("t", 0);
    const { messages } = collect(client, {});
    await time.run(50);
    cluster.broker(partition.leader).knowsNoLeaders = true;
    const other = cluster.brokers.find(({ endpoint }) => endpoint !== partition.leader);
    cluster.moveLeader(partition, other?.endpoint ?? "");
    await fill(setup, 5, 8);
    await time.run(1000);
    expect(messages).toHaveLength(8);
  });

  it("abort: the iteration throws CANCELLED (signal), close ends it (reader.close)", async () => {
    const setup = setUp();
    const { client, time } = setup;
    const abort = new AbortController();
    const { done, ended } = collect(client, { signal: abort.signal });
    await time.run(50);
    abort.abort();
    await time.until(done);
    expect(ended.error).toMatchObject({ reason: "CANCELLED", outcome: "not-applied" });
    const reader = client.reader({ topic: "t" });
    const next = reader.batches().next();
    await time.run(50);
    await reader.close();
    expect(await time.until(next)).toEqual({ value: undefined, done: true });
  });

  it("damage: a batch that arrives damaged is fetched again, then reported (checksum)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, cluster, time } = setup;
    const [batch] = cluster.partition("t", 0).batches;
    if (batch !== undefined) batch.bytes[70] = (batch.bytes[70] ?? 0) ^ 1;
    const { done, ended, messages } = collect(client, {});
    await time.until(done);
    expect(messages).toEqual([]);
    expect(ended.error?.reason).toBe("CORRUPT_BATCH");
  });

  it("damage: what arrived damaged once is fetched again, also after several failures (counted apart)", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const { client, cluster, time } = setup;
    const partition = cluster.partition("t", 0);
    const { messages, ended } = collect(client, { from: { offset: 5 } });
    await time.run(50);
    cluster.moveLeader(partition, "");
    await time.run(2000);
    const [original] = partition.batches;
    if (original === undefined) throw new Error("nothing was stored");
    partition.forgotten.add(original.producerId);
    partition.submit(Buffer.from(original.bytes));
    const batch = partition.batches.at(-1);
    const flip = (): void => {
      if (batch !== undefined) batch.bytes[70] = (batch.bytes[70] ?? 0) ^ 1;
    };
    flip();
    const { bytesSent } = cluster.broker("b1:1");
    cluster.moveLeader(partition, "b1:1");
    await time.runUntil(() => cluster.broker("b1:1").bytesSent > bytesSent, 2000);
    flip();
    await time.run(1000);
    expect(ended).toEqual({});
    expect(messages).toHaveLength(original.recordCount);
  });

  it("closing the client ends its readers (no dangling iteration)", async () => {
    const setup = setUp();
    const { ended, done } = collect(setup.client, {});
    await setup.time.run(50);
    await setup.time.until(setup.client.close());
    await setup.time.until(done);
    expect(ended.isDone).toBe(true);
    expect(() => setup.client.reader({ topic: "t" })).toThrow(/closed/);
  });
});
