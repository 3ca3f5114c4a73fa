import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import {
  type Client,
  createClient,
  type FlotillaError,
  type Producer,
  type ProducerOptions,
  type Receipt,
} from "../../src/client/index.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { slotOf } from "../../src/model/slots.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster, type FakePartition } from "./fake-cluster.ts";

interface Setup {
  readonly time: VirtualClock;
  readonly cluster: FakeCluster;
  readonly client: Client;
  readonly producer: Producer;
  readonly p0: FakePartition;
}

function setUp(options: ProducerOptions = {}, partitions = 1, seed = 1): Setup {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  cluster.addTopic("t", partitions);
  const client = createClient({
    bootstrap: cluster.bootstrap,
    connector: cluster.connector,
    clock: time.fork(),
    random: seededRandom(seed),
  });
  return {
    time,
    cluster,
    client,
    producer: client.producer(options),
    p0: cluster.partition("t", 0),
  };
}

/** A promise's fate without an unhandled rejection. */
function fate(promise: Promise<Receipt>): { receipt?: Receipt; error?: FlotillaError } {
  const found: { receipt?: Receipt; error?: FlotillaError } = {};
  promise.then(
    (receipt) => {
      found.receipt = receipt;
    },
    (error: FlotillaError) => {
      found.error = error;
    },
  );
  return found;
}

describe("producer", () => {
  it("send: a receipt promises what its lane was opened with, whatever the topic became meanwhile", async () => {
    const { time, cluster, client } = setUp();
    const topic = cluster.addTopic("a", 1, { flush: "async" });
    const producer = client.producer();
    const message = { topic: "a", value: "v" };
    expect((await time.until(producer.send(message))).flush).toBe("async");
    topic.settings = { flush: "sync" };
    await time.until(client.admin().metadata("a"));
    expect((await time.until(producer.send(message))).flush).toBe("async");
  });

  it("send: gives a receipt (first message, nothing connected before)", async () => {
    const { time, producer, p0 } = setUp();
    const receipt = await time.until(
      producer.send({ topic: "t", key: "k", value: "v", headers: [{ name: "h", value: "x" }] }),
    );
    expect(receipt).toEqual({
      topic: "t",
      partition: 0,
      offset: 0,
      leaderEpoch: 1,
      acks: "all",
      flush: "sync",
      duplicate: false,
    });
    expect(p0.records()).toMatchObject([
      {
        key: Buffer.from("k"),
        value: Buffer.from("v"),
        headers: [{ name: "h", value: Buffer.from("x") }],
      },
    ]);
  });

  it("cut off: a former leader that only the client reaches is left (it refuses, and knows no leader)", async () => {
    const { time, cluster, producer, p0 } = setUp();
    await time.until(producer.send({ topic: "t", value: "before" }));
    const other = cluster.brokers.find(({ endpoint }) => endpoint !== p0.leader);
    const former = cluster.broker(p0.leader);
    former.knowsNoLeaders = true;
    cluster.moveLeader(p0, other?.endpoint ?? "");
    const startMs = time.nowMs;
    await time.until(producer.send({ topic: "t", value: "after" }));
    expect(time.nowMs - startMs).toBeLessThan(1000);
    expect(p0.values()).toEqual(["before", "after"]);
  });

  it("batches: hold what one turn sent, in order (one request)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "first" }));
    const before = cluster.broker(p0.leader).produceRequests.length;
    const sends = Array.from({ length: 100 }, (_, i) =>
      producer.send({ topic: "t", value: String(i) }),
    );
    const receipts = await time.until(Promise.all(sends));
    expect(receipts.map((receipt) => receipt.offset)).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    expect(p0.batches).toHaveLength(2);
    expect(cluster.broker(p0.leader).produceRequests.length - before).toBe(1);
  });

  it("lanes: share one request per broker (three partitions on one leader)", async () => {
    const { time, producer, cluster } = setUp({}, 3);
    for (let i = 0; i < 3; i += 1) cluster.partition("t", i).leader = "b1:1";
    const sends = [0, 1, 2].map((partition) =>
      producer.send({ topic: "t", partition, value: "x" }),
    );
    await time.until(Promise.all(sends));
    const [request] = cluster.broker("b1:1").produceRequests;
    expect(request?.open).toHaveLength(3);
    expect(request?.batches).toHaveLength(3);
  });

  it("routing: follows the key's slot, the given partition, or one partition for a while", async () => {
    const { time, producer, cluster } = setUp({}, 4);
    const keys = Array.from({ length: 50 }, (_, i) => `key-${i}`);
    const receipts = await time.until(
      Promise.all(keys.map((key) => producer.send({ topic: "t", key, value: "" }))),
    );
    receipts.forEach((receipt, i) => {
      expect(receipt.partition).toBe(Math.floor(slotOf(Buffer.from(keys[i] ?? "")) / 1024));
    });
    expect(
      (await time.until(producer.send({ topic: "t", key: "key-1", partition: 2, value: "" })))
        .partition,
    ).toBe(2);
    const loose = await time.until(
      Promise.all(Array.from({ length: 20 }, () => producer.send({ topic: "t", value: "x" }))),
    );
    expect(new Set(loose.map((receipt) => receipt.partition)).size).toBe(1);
    const large = Buffer.alloc(40_000);
    const many = await time.until(
      Promise.all(Array.from({ length: 40 }, () => producer.send({ topic: "t", value: large }))),
    );
    expect(new Set(many.map((receipt) => receipt.partition)).size).toBeGreaterThan(1);
    expect(cluster.partition("t", 2).records().length).toBeGreaterThan(0);
  });

  it("lost stream: what was stored is acknowledged as duplicate, once and in order (answers lost)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "0" }));
    const broker = cluster.broker(p0.leader);
    broker.isSilent = true;
    const sends = [1, 2, 3].map((i) => fate(producer.send({ topic: "t", value: String(i) })));
    await time.run(20);
    sends.push(fate(producer.send({ topic: "t", value: "4" })));
    await time.run(20);
    expect(p0.values()).toEqual(["0", "1", "2", "3", "4"]);
    broker.breakStreams();
    broker.isSilent = false;
    await time.until(producer.flush());
    expect(p0.values()).toEqual(["0", "1", "2", "3", "4"]);
    expect(sends.map(({ receipt }) => [receipt?.offset, receipt?.duplicate])).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [4, true],
    ]);
  });

  it("leader change: sends again at the new leader, following the hint (NOT_LEADER)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "a" }));
    cluster.moveLeader(p0, "b3:1");
    const startMs = time.nowMs;
    const receipt = await time.until(producer.send({ topic: "t", value: "b" }));
    expect(receipt).toMatchObject({ offset: 1, leaderEpoch: 2, duplicate: false });
    expect(time.nowMs - startMs).toBeLessThan(20);
    expect(p0.values()).toEqual(["a", "b"]);
  });

  it("hints: an older leader epoch is not followed (a lagging broker)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "a" }));
    cluster.moveLeader(p0, "b2:1");
    await time.until(producer.send({ topic: "t", value: "b" }));
    p0.refusals.push({ reason: "NOT_LEADER", fields: { leaderEndpoint: "b1:1", leaderEpoch: 1 } });
    const opened = cluster.broker("b1:1").produceRequests.length;
    await time.until(producer.send({ topic: "t", value: "c" }));
    expect(cluster.broker("b1:1").produceRequests.length).toBe(opened);
    expect(p0.values()).toEqual(["a", "b", "c"]);
  });

  it("refusal: a retry is not overtaken by what was sent behind it (resume)", async () => {
    const { time, producer, p0, cluster } = setUp({ batchBytes: 200 });
    await time.until(producer.send({ topic: "t", value: "x" }));
    cluster.latencyMs = 10;
    p0.refusals.push({ reason: "OVERLOADED" });
    const value = (i: number): string => `${i}`.padStart(50, "0");
    const sends = Array.from({ length: 30 }, (_, i) =>
      producer.send({ topic: "t", value: value(i) }),
    );
    await time.until(Promise.all(sends));
    expect(p0.values()).toEqual(["x", ...Array.from({ length: 30 }, (_, i) => value(i))]);
    const resumes = cluster.broker(p0.leader).produceRequests.flatMap((request) => request.resume);
    expect(resumes).toHaveLength(1);
  });

  it("refusal for good: fails its batch only; followers take its numbers (RECORD_TOO_LARGE)", async () => {
    const { time, producer, p0, cluster } = setUp({ batchBytes: 200 });
    await time.until(producer.send({ topic: "t", value: "x" }));
    p0.refusals.push({ reason: "RECORD_TOO_LARGE" });
    const sends = Array.from({ length: 6 }, (_, i) =>
      fate(producer.send({ topic: "t", value: `${i}`.padStart(100, "0") })),
    );
    await time.until(producer.flush());
    expect(sends.map(({ error }) => [error?.reason, error?.outcome])).toEqual([
      ["RECORD_TOO_LARGE", "not-applied"],
      ...Array.from({ length: 5 }, () => [undefined, undefined]),
    ]);
    expect(p0.values()).toHaveLength(6);
    expect(cluster.sessionsOpened).toBe(1);
  });

  it("outcome: is unknown when an earlier attempt may be stored (then refused for good)", async () => {
    const { time, producer, p0, cluster } = setUp({ batchBytes: 200 });
    await time.until(producer.send({ topic: "t", value: "x" }));
    p0.refusals.push(
      { reason: "LEADERSHIP_LOST", storeFirst: true },
      { reason: "RECORD_TOO_LARGE" },
    );
    const sends = [0, 1].map((i) =>
      fate(producer.send({ topic: "t", value: `${i}`.padStart(150, "0") })),
    );
    await time.until(producer.flush());
    expect(sends[0]?.error).toMatchObject({ reason: "RECORD_TOO_LARGE", outcome: "unknown" });
    // The second one was under way behind it: it cannot be told apart from a stored one either.
    expect(sends[1]?.error?.outcome ?? "acknowledged").toBe("unknown");
    const later = await time.until(producer.send({ topic: "t", value: "later" }));
    expect(p0.values()[later.offset]).toBe("later");
    expect(cluster.sessionsOpened).toBe(2);
  });

  it("deadline: a batch that never left fails as not applied (no broker answers)", async () => {
    const { time, producer, cluster } = setUp({ deliveryTimeoutMs: 3000 });
    for (const broker of cluster.brokers) broker.stop();
    const startMs = time.nowMs;
    const send = fate(producer.send({ topic: "t", value: "x" }));
    await time.until(producer.flush());
    expect(send.error).toMatchObject({ reason: "DEADLINE", outcome: "not-applied" });
    expect(time.nowMs - startMs).toBeGreaterThanOrEqual(3000);
    expect(time.nowMs - startMs).toBeLessThan(3500);
  });

  it("deadline: a batch that was sent stays unknown, and later ones go on under another session", async () => {
    const { time, producer, p0, cluster } = setUp({ deliveryTimeoutMs: 3000 });
    await time.until(producer.send({ topic: "t", value: "0" }));
    const broker = cluster.broker(p0.leader);
    broker.isSilent = true;
    const lost = fate(producer.send({ topic: "t", value: "1" }));
    await time.run(3500);
    expect(lost.error).toMatchObject({ reason: "DEADLINE", outcome: "unknown" });
    broker.isSilent = false;
    const next = await time.until(producer.send({ topic: "t", value: "2" }));
    expect(next.duplicate).toBe(false);
    expect(p0.values()).toEqual(["0", "1", "2"]);
    expect(cluster.sessionsOpened).toBe(2);
  });

  it("pinned: an unknown batch is sent before younger ones, though its caller was told (deadline passed)", async () => {
    const { time, producer, p0, cluster } = setUp({ deliveryTimeoutMs: 4000 });
    await time.until(producer.send({ topic: "t", value: "0" }));
    const broker = cluster.broker(p0.leader);
    broker.isSilent = true;
    p0.refusals.push({ reason: "LEADERSHIP_LOST" });
    const first = fate(producer.send({ topic: "t", value: "1" }));
    await time.run(2000);
    const second = fate(producer.send({ topic: "t", value: "2" }));
    await time.run(2300);
    expect(first.error).toMatchObject({ reason: "DEADLINE", outcome: "unknown" });
    broker.speak();
    await time.until(producer.flush());
    expect(second.receipt?.offset).toBe(2);
    expect(p0.values()).toEqual(["0", "1", "2"]);
    expect(cluster.sessionsOpened).toBe(1);
  });

  it("sequence gap: everything goes again under another session (a leader lost acknowledged data)", async () => {
    const { time, producer, p0, cluster } = setUp();
    for (const value of ["0", "1", "2"]) await time.until(producer.send({ topic: "t", value }));
    p0.truncate(1);
    cluster.moveLeader(p0, "b2:1");
    const receipt = await time.until(producer.send({ topic: "t", value: "3" }));
    expect(receipt.duplicate).toBe(false);
    expect(p0.values()).toEqual(["0", "1", "3"]);
    expect(cluster.sessionsOpened).toBe(2);
  });

  it("unknown producer: a fresh batch goes again, one of unknown outcome does not (expired id)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "0" }));
    const forget = (): void => {
      for (const { producerId } of p0.batches) p0.forgotten.add(producerId);
    };
    forget();
    await time.until(producer.send({ topic: "t", value: "1" }));
    expect(cluster.sessionsOpened).toBe(2);
    const broker = cluster.broker(p0.leader);
    broker.isSilent = true;
    const lost = fate(producer.send({ topic: "t", value: "2" }));
    await time.run(10);
    forget();
    broker.breakStreams();
    broker.isSilent = false;
    await time.until(producer.flush());
    expect(lost.error).toMatchObject({ reason: "UNKNOWN_PRODUCER", outcome: "unknown" });
    await time.until(producer.send({ topic: "t", value: "3" }));
    expect(p0.values()).toEqual(["0", "1", "2", "3"]);
  });

  it("fencing: a later producer of the same name ends this one (named sessions)", async () => {
    const { time, producer, client, p0 } = setUp({ name: "writer" });
    await time.until(producer.send({ topic: "t", value: "old" }));
    const second = client.producer({ name: "writer" });
    await time.until(second.send({ topic: "t", value: "new" }));
    const fenced = fate(producer.send({ topic: "t", value: "zombie" }));
    await time.until(producer.flush());
    expect(fenced.error).toMatchObject({ reason: "PRODUCER_FENCED", outcome: "not-applied" });
    expect(() => producer.sendAsync({ topic: "t", value: "x" }, () => undefined)).toThrow(
      /newer session|fenced/,
    );
    expect(p0.values()).toEqual(["old", "new"]);
  });

  it("fencing: one that gives up a batch does not take its name back (its successor has it)", async () => {
    const { time, producer, client, cluster, p0 } = setUp({
      name: "writer",
      deliveryTimeoutMs: 3000,
    });
    await time.until(producer.send({ topic: "t", value: "old" }));
    const broker = cluster.broker(p0.leader);
    broker.isSilent = true;
    const lost = fate(producer.send({ topic: "t", value: "lost" }));
    await time.run(3500);
    expect(lost.error).toMatchObject({ reason: "DEADLINE", outcome: "unknown" });
    broker.isSilent = false;
    const successor = client.producer({ name: "writer" });
    await time.until(successor.send({ topic: "t", value: "new" }));
    const zombie = fate(producer.send({ topic: "t", value: "zombie" }));
    await time.until(producer.flush());
    expect(zombie.error).toMatchObject({ reason: "PRODUCER_FENCED", outcome: "not-applied" });
    expect(() => producer.sendAsync({ topic: "t", value: "x" }, () => undefined)).toThrow(
      /another session/,
    );
    await time.until(successor.send({ topic: "t", value: "newer" }));
    expect(p0.values()).toEqual(["old", "lost", "new", "newer"]);
    expect(cluster.sessionsOpened).toBe(2);
  });

  it("fencing: ends all lanes that wait for the session (three partitions, a topic not known yet)", async () => {
    const { time, producer, client, cluster } = setUp({ name: "writer" }, 3);
    const everywhere = (who: Producer, value: string): Promise<Receipt>[] =>
      [0, 1, 2].map((partition) => who.send({ topic: "t", partition, value }));
    await time.until(Promise.all(everywhere(producer, "old")));
    for (const i of [0, 1, 2]) {
      cluster.partition("t", i).refusals.push({ reason: "UNKNOWN_PRODUCER" });
    }
    const successor = client.producer({ name: "writer" });
    cluster.addTopic("other", 1);
    await time.until(successor.send({ topic: "other", value: "new" }));
    const zombies = everywhere(producer, "zombie").map(fate);
    zombies.push(fate(producer.send({ topic: "nope", value: "zombie" })));
    await time.until(producer.flush());
    for (const { error } of zombies) {
      expect(error).toMatchObject({ reason: "PRODUCER_FENCED", outcome: "not-applied" });
    }
    await expect(producer.send({ topic: "t", value: "x" })).rejects.toMatchObject({
      reason: "PRODUCER_FENCED",
    });
    await time.until(Promise.all(everywhere(successor, "newer")));
  });

  const OPEN = "/flotilla.v1.ProduceService/OpenProducer";
  const lost = (): BrokerError => new BrokerError("UNREACHABLE", "the answer was lost");

  it("sessions: an opening is repeated with its token (the answer was lost)", async () => {
    const { time, producer, p0, cluster } = setUp({ name: "writer" });
    cluster.lostAnswers.set(OPEN, [lost(), lost()]);
    await time.until(producer.send({ topic: "t", value: "0" }));
    expect(cluster.sessionsOpened).toBe(1);
    expect(p0.batches[0]?.epoch).toBe(0);
  });

  it("sessions: a producer does not fence itself when it opens its name again (answers lost for 10 s)", async () => {
    const { time, producer, p0, cluster } = setUp({ name: "writer" });
    await time.until(producer.send({ topic: "t", value: "0" }));
    cluster.lostAnswers.set(OPEN, Array.from({ length: 60 }, lost));
    p0.refusals.push({ reason: "UNKNOWN_PRODUCER" });
    const startMs = time.nowMs;
    await time.until(producer.send({ topic: "t", value: "1" }), 100_000);
    expect(time.nowMs - startMs).toBeGreaterThan(10_000);
    p0.refusals.push({ reason: "UNKNOWN_PRODUCER" });
    await time.until(producer.send({ topic: "t", value: "2" }));
    expect(p0.batches.map((batch) => batch.epoch)).toEqual([0, 1, 2]);
    expect(cluster.sessionsOpened).toBe(3);
  });

  it("buffer: refuses at the limit and says when there is room (BUFFER_FULL, ready)", async () => {
    const { time, producer, cluster, p0 } = setUp({ bufferBytesMax: 10_000 });
    await time.until(producer.send({ topic: "t", value: "0" }));
    cluster.broker(p0.leader).isSilent = true;
    let accepted = 0;
    let refusal: unknown;
    for (let i = 0; i < 200 && refusal === undefined; i += 1) {
      try {
        producer.sendAsync({ topic: "t", value: Buffer.alloc(500) }, () => undefined);
        accepted += 1;
      } catch (error) {
        refusal = error;
      }
    }
    expect(refusal).toMatchObject({ reason: "BUFFER_FULL", outcome: "not-applied" });
    expect(accepted).toBeGreaterThan(10);
    expect(accepted).toBeLessThan(25);
    let isReady = false;
    void producer.ready().then(() => {
      isReady = true;
    });
    await time.run(50);
    expect(isReady).toBe(false);
    cluster.broker(p0.leader).speak();
    await time.run(50);
    expect(isReady).toBe(true);
    await time.until(producer.send({ topic: "t", value: "again" }));
  });

  it("layout: records follow their keys to their new owners; nothing is lost or doubled (STALE_LAYOUT)", async () => {
    const { time, producer, cluster } = setUp({}, 2);
    const topic = cluster.topics.get("t");
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    await time.until(
      Promise.all(keys.map((key) => producer.send({ topic: "t", key, value: "before" }))),
    );
    if (topic !== undefined) {
      topic.layoutEpoch = 2;
      topic.slots = [[{ from: 0, to: 1024 }], [{ from: 1024, to: 4096 }]];
      for (const partition of topic.partitions) partition.layoutEpoch = 2;
      cluster.metadataIndex += 1;
    }
    const receipts = await time.until(
      Promise.all(keys.map((key) => producer.send({ topic: "t", key, value: "after" }))),
    );
    receipts.forEach((receipt, i) => {
      expect(receipt.partition).toBe(slotOf(Buffer.from(keys[i] ?? "")) < 1024 ? 0 : 1);
    });
    const all = [0, 1].flatMap((i) => cluster.partition("t", i).records());
    expect(all).toHaveLength(80);
  });

  it("topics: an unknown one fails soon, one that appears meanwhile is found (metadata)", async () => {
    const { time, producer, cluster } = setUp();
    const never = fate(producer.send({ topic: "nope", value: "x" }));
    const soon = fate(producer.send({ topic: "soon", value: "x" }));
    await time.run(1000);
    cluster.addTopic("soon", 1);
    await time.run(1000);
    expect(soon.receipt).toMatchObject({ topic: "soon", offset: 0 });
    await time.run(4000);
    expect(never.error).toMatchObject({
      reason: "UNKNOWN_TOPIC_OR_PARTITION",
      outcome: "not-applied",
    });
  });

  it("topics: a deleted one fails what is under way; its successor is another one (same name)", async () => {
    const { time, producer, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "x" }));
    cluster.topics.delete("t");
    cluster.metadataIndex += 1;
    const gone = fate(producer.send({ topic: "t", value: "y" }));
    await time.run(500);
    expect(gone.error).toMatchObject({
      reason: "UNKNOWN_TOPIC_OR_PARTITION",
      outcome: "not-applied",
    });
    const fresh = cluster.addTopic("t", 1);
    await time.until(producer.send({ topic: "t", value: "z" }));
    expect(fresh.partitions[0]?.values()).toEqual(["z"]);
  });

  it("acks: classes have sessions of their own; none is not answered (all, leader, none)", async () => {
    const { time, producer, p0, cluster } = setUp();
    const all = await time.until(producer.send({ topic: "t", value: "a" }));
    const leader = await time.until(producer.send({ topic: "t", value: "b" }, { acks: "leader" }));
    const none = await time.until(producer.send({ topic: "t", value: "c" }, { acks: "none" }));
    producer.sendOneWay({ topic: "t", value: "d" });
    await time.run(20);
    expect([all.acks, leader.acks, none.acks]).toEqual(["all", "leader", "none"]);
    expect([none.offset, none.leaderEpoch]).toEqual([-1, 0]);
    expect(p0.values()).toEqual(["a", "b", "c", "d"]);
    expect(p0.batches.map((batch) => batch.producerId % 2)).toEqual([0, 1, 1, 1]);
    expect(cluster.sessionsOpened).toBe(3);
  });

  it("acks none: goes on after a refusal (what was behind it is lost)", async () => {
    const { time, producer, p0 } = setUp({ acks: "none" });
    await time.until(producer.send({ topic: "t", value: "a" }));
    await time.run(10);
    p0.refusals.push({ reason: "OVERLOADED" });
    producer.sendOneWay({ topic: "t", value: "b" });
    await time.run(200);
    producer.sendOneWay({ topic: "t", value: "c" });
    await time.run(200);
    expect(p0.values()).toEqual(["a", "c"]);
  });

  it("invalid: is refused at once (reserved header, partition, size, closed)", async () => {
    const { time, producer } = setUp();
    await time.until(producer.send({ topic: "t", value: "x" }));
    const bad = [
      { topic: "t", value: "x", headers: [{ name: "flotilla-own", value: "" }] },
      { topic: "t", value: "x", partition: 7 },
      { topic: "t", key: "k".repeat(5000), value: "x" },
      { topic: "t", value: Buffer.alloc(2 * 1024 * 1024) },
      { topic: "a//b", value: "x" },
    ];
    for (const message of bad) {
      const found = fate(producer.send(message));
      await time.run(1);
      expect(found.error?.outcome, JSON.stringify(found)).toBe("not-applied");
    }
    await time.until(producer.close());
    await expect(producer.send({ topic: "t", value: "x" })).rejects.toMatchObject({
      reason: "CLOSED",
    });
  });

  it("abort: rejects at once, and says whether the message may be stored (before, meanwhile)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "x" }));
    const early = AbortSignal.abort();
    await expect(
      producer.send({ topic: "t", value: "y" }, { signal: early }),
    ).rejects.toMatchObject({ reason: "CANCELLED", outcome: "not-applied" });
    cluster.broker(p0.leader).isSilent = true;
    const abort = new AbortController();
    const found = fate(producer.send({ topic: "t", value: "z" }, { signal: abort.signal }));
    await time.run(10);
    abort.abort();
    await time.run(1);
    expect(found.error).toMatchObject({ reason: "CANCELLED", outcome: "unknown" });
  });

  it("close: what is no time is refused, and the producer stays open", async () => {
    const { time, producer } = setUp();
    for (const timeoutMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      await expect(producer.close({ timeoutMs })).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        fields: { field: "timeoutMs" },
      });
    }
    expect((await time.until(producer.send({ topic: "t", value: "x" }))).offset).toBe(0);
  });

  it("close: delivers first, then refuses; with a limit it fails the rest (timeoutMs)", async () => {
    const { time, client, producer, p0, cluster } = setUp();
    const sent = fate(producer.send({ topic: "t", value: "x" }));
    await time.until(client.close());
    expect(sent.receipt?.offset).toBe(0);
    const again = setUp();
    again.cluster.broker(again.p0.leader).isSilent = true;
    const stuck = fate(again.producer.send({ topic: "t", value: "x" }));
    await again.time.run(20);
    await again.time.until(again.producer.close({ timeoutMs: 100 }), 1000);
    expect(stuck.error).toMatchObject({ reason: "CLOSED", outcome: "unknown" });
    expect(p0.values()).toEqual(["x"]);
    expect(cluster.sessionsOpened).toBe(1);
  });

  it("silence: a stream that does not answer is given up (30 s)", async () => {
    const { time, producer, p0, cluster } = setUp();
    await time.until(producer.send({ topic: "t", value: "0" }));
    const broker = cluster.broker(p0.leader);
    broker.isSilent = true;
    const stuck = fate(producer.send({ topic: "t", value: "1" }));
    await time.run(15_000);
    broker.held = [];
    broker.isSilent = false;
    await time.run(20_000);
    expect(stuck.receipt).toMatchObject({ offset: 1, duplicate: true });
  });

  it("callbacks: one that throws does not harm the others (sendAsync)", async () => {
    const { time, producer } = setUp();
    const order: string[] = [];
    producer.sendAsync({ topic: "t", value: "a" }, () => order.push("a"));
    producer.sendAsync({ topic: "t", value: "b" }, (error, receipt) =>
      order.push(`b${receipt?.offset ?? error?.reason}`),
    );
    await time.until(producer.flush());
    expect(order).toEqual(["a", "b1"]);
  });

  it("metadata failure: is retried in another place (a broker that refuses)", async () => {
    const { time, producer, cluster } = setUp();
    cluster.failures.set("/flotilla.v1.MetadataService/GetMetadata", [
      new BrokerError("UNREACHABLE", "gone"),
      new BrokerError("OVERLOADED", "busy"),
    ]);
    const receipt = await time.until(producer.send({ topic: "t", value: "x" }));
    expect(receipt.offset).toBe(0);
  });
});
