import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type ConsumerMessage, createClient } from "../../src/client/index.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { eventually, fill, offsets, type Setup, setUp } from "./consumer-setup.ts";

/** Takes everything and keeps it. */
function hold(setup: Setup): {
  readonly held: ConsumerMessage[];
  readonly consumer: ReturnType<Setup["client"]["consumer"]>;
} {
  const consumer = setup.client.consumer({ subscription: "s", autoAck: false });
  const held: ConsumerMessage[] = [];
  void (async () => {
    for await (const message of consumer) held.push(message);
  })();
  return { held, consumer };
}

const failureOf = (promise: PromiseLike<unknown> | undefined): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => "resolved",
    (error: unknown) => error,
  );

describe("consumer: leader changes", () => {
  it("what is worked on goes on under a newer token (another leader, whose stream was open before)", async () => {
    const setup = setUp();
    await fill(setup, 0, 10);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 10);
    await setup.time.until(Promise.resolve(held[0]?.ack()));
    const before = held[4]?.token;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    await setup.time.run(500);
    const after = held[4]?.token;
    expect(before !== undefined && after?.isNewerThan(before)).toBe(true);
    expect(after?.leaderEpoch).toBe(2);
    expect(held[4]?.signal.aborted).toBe(false);
    await setup.time.until(Promise.all(held.slice(1).map((message) => message.ack())));
    expect(setup.subscription.acked()).toEqual(offsets(0, 10));
    expect(held).toHaveLength(10);
    await setup.time.until(consumer.close());
  });

  it("begins soon although the first broker that answers has just joined and knows nobody", async () => {
    for (let newcomer = 0; newcomer < 3; newcomer += 1) {
      const setup = setUp();
      await fill(setup, 0, 2);
      const joined = setup.cluster.brokers[newcomer];
      if (joined === undefined) throw new Error("three brokers");
      const { connector, bootstrap } = setup.cluster;
      const clock = setup.time.fork();
      const client = createClient({ bootstrap, connector, clock, random: seededRandom(newcomer) });
      joined.knowsNobody = true;
      const consumer = client.consumer({ subscription: "s" });
      const seen: number[] = [];
      void consumer.run(({ offset }) => {
        seen.push(offset);
      });
      await setup.time.run(3000);
      expect(seen).toEqual([0, 1]);
      await setup.time.until(consumer.close());
    }
  });

  it("ends when those that answer know nobody for too long", async () => {
    const setup = setUp();
    for (const broker of setup.cluster.brokers) broker.knowsNobody = true;
    const consumer = setup.client.consumer({ subscription: "s", unavailableTimeoutMs: 5000 });
    const ended = failureOf(consumer.run(() => undefined));
    expect(await setup.time.until(ended)).toMatchObject({ reason: "UNREACHABLE" });
  });

  it("what is worked on goes on after its stream broke (same leader)", async () => {
    const setup = setUp();
    await fill(setup, 0, 10);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 10);
    setup.cluster.broker("b1:1").breakStreams();
    await setup.time.run(500);
    expect(setup.subscription.opens.at(-1)?.held[0]?.ranges).toEqual([0, 10]);
    await setup.time.until(Promise.all(held.map((message) => message.ack())));
    expect(setup.subscription.acked().sort((a, b) => a - b)).toEqual(offsets(0, 10));
    expect(held).toHaveLength(10);
    await setup.time.until(consumer.close());
  });

  it("what was not begun comes again, and nothing is lost (leaders that move all the time)", async () => {
    const setup = setUp(3);
    for (const partition of [0, 1, 2]) await fill(setup, 0, 200, partition);
    const consumer = setup.client.consumer({ subscription: "s", prefetch: { messages: 90 } });
    const acked = new Set<string>();
    void consumer.run(
      async (message) => {
        await new Promise<void>((resolve) => {
          setup.time.root.schedule(20, resolve);
        });
        await message.ack().then(
          () => acked.add(`${message.partition}/${message.offset}`),
          () => undefined,
        );
      },
      { concurrency: 10 },
    );
    for (let i = 0; i < 12; i += 1) {
      await setup.time.run(90);
      const partition = setup.cluster.partition("t", i % 3);
      if (i % 2 === 0) setup.cluster.moveLeader(partition, `b${((i + 1) % 3) + 1}:1`);
      else setup.cluster.broker(partition.leader).breakStreams();
    }
    const isDone = (): boolean =>
      setup.subscription.partitions.every(({ settled }) => settled.size === 200);
    await eventually(setup, isDone, 120_000);
    await setup.time.until(consumer.close());
    expect(acked.size).toBeGreaterThan(500);
    // Each was acknowledged in force at most once: the leader changes lost no acknowledgement.
    const inForce = setup.subscription.acked();
    expect(inForce).toHaveLength(600);
  });

  it("not resumed: the signal fires, a late acknowledgement is refused", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 3000;
    setup.subscription.resumesNothing = true;
    await fill(setup, 0, 2);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 2);
    const signal = held[0]?.signal;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    await eventually(setup, () => held.length === 4);
    expect(signal?.aborted).toBe(true);
    const refused = failureOf(held[0]?.ack());
    expect(await setup.time.until(refused)).toMatchObject({
      reason: "STALE_DELIVERY",
      outcome: "not-applied",
    });
    expect(held[2]?.signal.aborted).toBe(false);
    await setup.time.until(Promise.all(held.slice(2).map((message) => message.ack())));
    await setup.time.until(consumer.close());
  });

  it("not resumed: the signal fires when the new leader has answered, long before the lease is over", async () => {
    const setup = setUp();
    setup.subscription.resumesNothing = true;
    await fill(setup, 0, 2);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 2);
    const signals = held.map(({ signal }) => signal);
    const movedMs = setup.time.root.monotonicMs();
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    await eventually(setup, () => signals.every(({ aborted }) => aborted));
    const waitedMs = setup.time.root.monotonicMs() - movedMs;
    expect(waitedMs).toBeLessThan(setup.subscription.ackDeadlineMs / 10);
    await setup.time.until(consumer.close());
  });

  it("a deposed leader that lets nobody go on: the new one is waited for", async () => {
    const setup = setUp();
    const { cluster, subscription, time } = setup;
    subscription.resumeDelayMs = 3000;
    await fill(setup, 0, 2);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 2);
    cluster.moveLeader(cluster.partition("t", 0), "b2:1");
    subscription.deposed.add("b1:1");
    const opened = subscription.opens.length;
    cluster.broker("b1:1").breakStreams();
    await eventually(setup, () => subscription.opens.length > opened, 2000);
    await time.run(100);
    expect(held[0]?.token.leaderEpoch).toBe(1);
    await eventually(setup, () => held[0]?.token.leaderEpoch === 2, 3000);
    expect(held.map(({ signal }) => signal.aborted)).toEqual([false, false]);
    await time.until(Promise.all(held.map((message) => message.ack())));
    expect(subscription.acked()).toEqual([0, 1]);
    await time.until(consumer.close());
  });

  it("unconfirmed acknowledgement: is repeated when the message was resumed", async () => {
    const setup = setUp();
    await fill(setup, 0, 3);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 3);
    const acks = Promise.all(held.map((message) => message.ack()));
    // The request is lost with the stream.
    setup.cluster.broker("b1:1").breakStreams();
    await setup.time.until(acks);
    expect(setup.subscription.acked()).toEqual([0, 1, 2]);
    await setup.time.until(consumer.close());
  });

  it("unconfirmed acknowledgement: its outcome is unknown when nobody resumes the message", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 3000;
    setup.subscription.holdsSettled = true;
    await fill(setup, 0, 1);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 1);
    const ack = failureOf(held[0]?.ack());
    await setup.time.run(50);
    expect(setup.subscription.acked()).toEqual([0]);
    setup.subscription.holdsSettled = false;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b3:1");
    expect(await setup.time.until(ack)).toMatchObject({
      reason: "UNREACHABLE",
      outcome: "unknown",
    });
    await setup.time.until(consumer.close());
  });

  it("unconfirmed failure: is not repeated, which could count it twice; the message comes again", async () => {
    const setup = setUp();
    await fill(setup, 0, 1);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 1);
    setup.subscription.holdsSettled = true;
    const nack = failureOf(held[0]?.nack());
    await setup.time.run(50);
    setup.subscription.holdsSettled = false;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    const unknown = { reason: "UNREACHABLE", outcome: "unknown" };
    expect(await setup.time.until(nack)).toMatchObject(unknown);
    await eventually(setup, () => held.length === 2);
    expect(held[1]?.attempt).toBe(2);
    await setup.time.until(Promise.all(held.slice(1).map((message) => message.ack())));
    await setup.time.until(consumer.close());
  });

  it("order: a failure that was not confirmed still holds back what is behind it (exclusive)", async () => {
    const setup = setUp(1, "exclusive");
    setup.subscription.holdsSettled = true;
    await fill(setup, 0, 10);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: number[] = [];
    void consumer.run(({ attempt, offset }) => {
      seen.push(offset);
      if (offset === 4 && attempt === 1) throw new Error("first");
    });
    await eventually(setup, () => seen.includes(4));
    setup.subscription.holdsSettled = false;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    await eventually(setup, () => setup.subscription.partitions[0]?.settled.size === 10, 60_000);
    const firstFive = seen.indexOf(5);
    expect(seen.slice(0, firstFive).filter((offset) => offset === 4).length).toBeGreaterThan(1);
    expect(seen.slice(firstFive)).toEqual(offsets(5, 10));
    await setup.time.until(consumer.close());
  });

  it("settlement that a former leader never answers: closing does not wait for it", async () => {
    const setup = setUp();
    setup.subscription.holdsSettled = true;
    await fill(setup, 0, 1);
    const { consumer, held } = hold(setup);
    await eventually(setup, () => held.length === 1);
    const ack = held[0]?.ack();
    await setup.time.run(50);
    setup.subscription.holdsSettled = false;
    // The stream goes on, only its channel ends.
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b3:1");
    await setup.time.until(Promise.allSettled([ack]));
    const beganMs = setup.time.root.monotonicMs();
    await setup.time.until(consumer.close());
    expect(setup.time.root.monotonicMs() - beganMs).toBeLessThan(5000);
  });

  it("unconfirmed failure: is not told to the next leader, which would count it twice", async () => {
    const setup = setUp();
    setup.subscription.holdsSettled = true;
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    const attempts: number[] = [];
    void consumer.run(({ attempt }) => {
      attempts.push(attempt);
      if (attempts.length === 1) throw new Error("first");
    });
    await eventually(setup, () => attempts.length === 1);
    // The failure is in force, its confirmation is lost.
    await setup.time.run(50);
    setup.subscription.holdsSettled = false;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    await eventually(setup, () => setup.subscription.partitions[0]?.settled.size === 1, 60_000);
    expect(attempts).toEqual([1, 2]);
    await setup.time.until(consumer.close());
  });

  it("brokers: one that joins gets a stream, one that was down gets one again", async () => {
    const setup = setUp();
    setup.cluster.broker("b1:1").stop();
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: number[] = [];
    void consumer.run(({ offset }) => seen.push(offset));
    await setup.time.run(5000);
    setup.cluster.broker("b1:1").isDown = false;
    await fill(setup, 0, 5);
    await eventually(setup, () => seen.length === 5);
    await setup.time.until(consumer.close());
  });
});

describe("consumer: what ends it", () => {
  it.each(["FILTER_MISMATCH", "CONSUMER_REPLACED"] as const)(
    "%s: run rejects with it",
    async (reason) => {
      const setup = setUp();
      setup.subscription.refusal = new BrokerError(reason, "as told");
      const consumer = setup.client.consumer({
        subscription: "s",
        expectedFilter: { kind: "tags", tags: ["a"] },
      });
      const run = failureOf(consumer.run(() => undefined));
      expect(await setup.time.until(run)).toMatchObject({ reason });
      expect(setup.subscription.opens[0]?.expectedFilter).toBe('{"kind":"tags","tags":["a"]}');
      await setup.time.until(consumer.close());
    },
  );

  it("UNKNOWN_SUBSCRIPTION: is waited for a moment, since brokers lag", async () => {
    const setup = setUp();
    await fill(setup, 0, 1);
    setup.subscription.refusal = new BrokerError("UNKNOWN_SUBSCRIPTION", "not yet");
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: number[] = [];
    void consumer.run(({ offset }) => seen.push(offset));
    await setup.time.run(3000);
    setup.subscription.refusal = undefined;
    await eventually(setup, () => seen.length === 1);
    await setup.time.until(consumer.close());
  });

  it("UNKNOWN_SUBSCRIPTION: ends a loop when no broker knows it", async () => {
    const setup = setUp();
    setup.subscription.refusal = new BrokerError("UNKNOWN_SUBSCRIPTION", "none");
    const loop = async (): Promise<void> => {
      for await (const message of setup.client.consumer({ subscription: "s" })) void message;
    };
    const ended = failureOf(loop());
    expect(await setup.time.until(ended)).toMatchObject({ reason: "UNKNOWN_SUBSCRIPTION" });
  });

  it("UNKNOWN_SUBSCRIPTION: one broker that lags ends nothing while those that know it are away", async () => {
    const setup = setUp();
    const { cluster, subscription } = setup;
    // An emptied disk, say: it has joined and has not been told the metadata yet.
    subscription.refusalsAt.set("b3:1", new BrokerError("UNKNOWN_SUBSCRIPTION", "not yet"));
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: number[] = [];
    const run = failureOf(consumer.run(({ offset }) => seen.push(offset)));
    await setup.time.run(10_000);
    const others = cluster.brokers.slice(0, 2);
    for (const broker of others) broker.stop();
    await setup.time.run(20_000);
    for (const broker of others) broker.isDown = false;
    await fill(setup, 1, 2);
    await eventually(setup, () => seen.length === 2);
    await setup.time.until(consumer.close());
    expect(await setup.time.until(run)).toBe("resolved");
  });

  it("UNKNOWN_SUBSCRIPTION: ends a consumer when no broker in service knows it, whoever else is down", async () => {
    const setup = setUp();
    const { brokers } = setup.cluster;
    brokers[2]?.stop();
    setup.subscription.refusal = new BrokerError("UNKNOWN_SUBSCRIPTION", "none");
    let isOver = false;
    const run = failureOf(setup.client.consumer({ subscription: "s" }).run(() => undefined));
    void run.finally(() => {
      isOver = true;
    });
    await setup.time.run(10_000);
    expect(isOver).toBe(false);
    const [, , gone] = brokers;
    if (gone !== undefined) gone.isGone = true;
    await setup.time.run(25_000);
    expect(isOver).toBe(true);
    expect(await run).toMatchObject({ reason: "UNKNOWN_SUBSCRIPTION" });
  });

  it("a batch that arrives damaged each time: ends with that, however long the channel is known before", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    for (const { bytes } of setup.cluster.partition("t", 0).batches) {
      bytes.write("w", bytes.indexOf("v0"));
    }
    // The channel is introduced in an answer of its own.
    setup.subscription.deliveryDelayMs = 50;
    const consumer = setup.client.consumer({ subscription: "s" });
    const run = failureOf(consumer.run(() => undefined));
    expect(await setup.time.until(run)).toMatchObject({ reason: "CORRUPT_BATCH" });
    expect(setup.subscription.opens.length).toBeLessThan(10);
  });

  it("nobody to reach: ends with an error after the time that was given", async () => {
    const setup = setUp();
    for (const broker of setup.cluster.brokers) broker.stop();
    const consumer = setup.client.consumer({ subscription: "s", unavailableTimeoutMs: 20_000 });
    let isOver = false;
    const run = failureOf(consumer.run(() => undefined)).finally(() => {
      isOver = true;
    });
    await setup.time.run(15_000);
    expect(isOver).toBe(false);
    expect(await setup.time.until(run)).toMatchObject({ reason: "UNREACHABLE" });
  });
});

describe("consumer: closing", () => {
  it("drains: handlers end, what was not begun is released, settlements are confirmed", async () => {
    const setup = setUp();
    await fill(setup, 0, 50);
    const consumer = setup.client.consumer({ subscription: "s" });
    const stop = new AbortController();
    const begun: number[] = [];
    const ended: number[] = [];
    const run = consumer.run(
      async ({ offset }) => {
        begun.push(offset);
        await new Promise<void>((resolve) => {
          setup.time.root.schedule(2000, resolve);
        });
        ended.push(offset);
      },
      { concurrency: 3, signal: stop.signal },
    );
    await eventually(setup, () => begun.length === 3);
    stop.abort();
    await setup.time.until(run);
    expect(ended).toEqual([0, 1, 2]);
    expect(setup.subscription.acked()).toEqual([0, 1, 2]);
    const released = setup.subscription.events.filter(({ kind }) => kind === "release");
    expect(released).toHaveLength(47);
    expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([]);
  });

  it("time is over: the signals fire, and what is still worked on counts as failed", async () => {
    const setup = setUp();
    await fill(setup, 0, 2);
    const consumer = setup.client.consumer({ subscription: "s" });
    const signals: AbortSignal[] = [];
    const run = consumer.run((message) => {
      signals.push(message.signal);
      return new Promise<void>(() => undefined);
    });
    await eventually(setup, () => signals.length === 1);
    await setup.time.until(consumer.close({ timeoutMs: 1000 }));
    await setup.time.until(run);
    expect(signals[0]?.aborted).toBe(true);
    await setup.time.run(100);
    expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([[0, 1]]);
  });

  it("a stream breaks while draining: its settlements are confirmed by the next one", async () => {
    const setup = setUp();
    setup.subscription.holdsSettled = true;
    await fill(setup, 0, 5);
    const consumer = setup.client.consumer({ subscription: "s" });
    void consumer.run(() => undefined);
    await eventually(setup, () => consumer.stats.unconfirmed === 5);
    const closing = consumer.close();
    setup.cluster.broker("b1:1").breakStreams();
    setup.subscription.holdsSettled = false;
    await setup.time.until(closing);
    expect(setup.subscription.partitions[0]?.settled.size).toBe(5);
  });

  it("before its first use, and twice: nothing happens", async () => {
    const { client, cluster, time } = setUp();
    const consumer = client.consumer({ subscription: "s" });
    await time.until(consumer.close());
    await time.until(consumer.close());
    expect(cluster.connected).toEqual([]);
  });

  it("the client: closes its consumers first", async () => {
    const setup = setUp();
    await fill(setup, 0, 3);
    const consumer = setup.client.consumer({ subscription: "s" });
    const run = consumer.run(() => undefined);
    await eventually(setup, () => setup.subscription.acked().length === 3);
    await setup.time.until(setup.client.close());
    await setup.time.until(run);
    expect(setup.subscription.sessions.size).toBe(0);
  });

  it("closeOn: handlers are installed when asked for, and taken away", async () => {
    const { client, time } = setUp();
    const consumer = client.consumer({ subscription: "s" });
    const before = process.listenerCount("SIGUSR2");
    consumer.closeOn("SIGUSR2");
    expect(process.listenerCount("SIGUSR2")).toBe(before + 1);
    const run = consumer.run(() => undefined);
    process.emit("SIGUSR2");
    await time.until(run);
    expect(process.listenerCount("SIGUSR2")).toBe(before);
  });
});

describe("consumer: connections", () => {
  it("a broker that left: its part of what may be received is given to the others", async () => {
    const setup = setUp();
    const prefetch = { messages: 300, bytes: 3_000_000 };
    const consumer = setup.client.consumer({ subscription: "s", prefetch });
    void consumer.run(() => undefined);
    await setup.time.run(100);
    const granted = (): number =>
      [...setup.subscription.sessions].reduce((sum, one) => sum + one.creditMessages, 0);
    expect(granted()).toBe(300);
    const gone = setup.cluster.brokers.find(({ endpoint }) => endpoint !== "b1:1");
    if (gone === undefined) throw new Error("no such broker");
    gone.isGone = true;
    gone.stop();
    await setup.time.run(60_000);
    expect(setup.subscription.sessions.size).toBe(2);
    expect(granted()).toBe(300);
    await setup.time.until(consumer.close());
  });

  it("streams: many consumers of one client share connections below the broker's limit", async () => {
    const { client, cluster, subscription, time } = setUp();
    const consumers = Array.from({ length: 400 }, () => client.consumer({ subscription: "s" }));
    for (const consumer of consumers) void consumer.run(() => undefined);
    await time.run(200);
    expect(subscription.sessions.size).toBe(1200);
    const lanes = cluster.connected.filter((name) => name.startsWith("b1:1 consume"));
    expect(lanes).toEqual(["b1:1 consume-0", "b1:1 consume-1", "b1:1 consume-2"]);
    await time.until(client.close());
  });
});
