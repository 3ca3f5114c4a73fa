import { describe, expect, it } from "vitest";
import {
  type ConsumerMessage,
  type FlotillaError,
  json,
  Reject,
  RetryLater,
  text,
  typedProducer,
} from "../../src/client/index.ts";
import { eventually, fill, numbered, offsets, setUp } from "./consumer-setup.ts";

describe("consumer: loops", () => {
  it("for await: gives every message once and acknowledges each with the next (shared, three partitions)", async () => {
    const setup = setUp(3);
    for (const partition of [0, 1, 2]) await fill(setup, 0, 20, partition);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: string[] = [];
    const loop = async (): Promise<void> => {
      for await (const message of consumer) {
        seen.push(`${message.partition} ${message.text()}`);
        if (seen.length === 60) void consumer.close();
      }
    };
    await setup.time.until(loop());
    expect(new Set(seen).size).toBe(60);
    expect(setup.subscription.acked()).toHaveLength(60);
    await setup.time.run(10);
    expect(setup.subscription.sessions.size).toBe(0);
  });

  it("messages: say what was sent and how often it was tried", async () => {
    const setup = setUp();
    await fill(setup, 0, 3);
    const consumer = setup.client.consumer({ subscription: "s", consumerId: "me" });
    const first: ConsumerMessage[] = [];
    void consumer.run((message) => {
      first.push(message);
    });
    await eventually(setup, () => setup.subscription.acked().length === 3);
    const message = first[1];
    expect(message).toMatchObject({
      topic: "t",
      partition: 0,
      offset: 1,
      attempt: 1,
      handedOut: 1,
    });
    expect(message?.key?.toString()).toBe("k1");
    expect(message?.value?.toString()).toBe("v1");
    expect(message?.data?.toString()).toBe("v1");
    expect(message?.headers).toEqual([]);
    expect(message?.token).toMatchObject({ layoutEpoch: 1, leaderEpoch: 1 });
    expect(setup.subscription.opens[0]).toMatchObject({
      subscription: "s",
      consumerId: "me",
      form: "batches",
      reportsBegun: true,
    });
    await setup.time.until(consumer.close());
  });

  it("break: the message in hand is not acknowledged and counts as failed", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const loop = async (): Promise<void> => {
      for await (const message of setup.client.consumer({ subscription: "s" })) {
        if (message.offset === 2) break;
      }
    };
    await setup.time.until(loop());
    expect(setup.subscription.acked()).toEqual([0, 1]);
    expect(setup.subscription.events.find(({ kind }) => kind === "nack")).toMatchObject({
      offset: 2,
    });
    expect(setup.subscription.partitions[0]?.leases.size).toBe(0);
  });

  it("break: a message that was settled before is done", async () => {
    const setup = setUp();
    await fill(setup, 0, 5);
    const loop = async (): Promise<void> => {
      for await (const message of setup.client.consumer({ subscription: "s" })) {
        if (message.offset < 2) continue;
        await message.ack();
        break;
      }
    };
    await setup.time.until(loop());
    expect(setup.subscription.acked()).toEqual([0, 1, 2]);
    expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([]);
  });

  it("autoAck false: nothing is settled but by the application, in any order", async () => {
    const setup = setUp();
    await fill(setup, 0, 10);
    const consumer = setup.client.consumer({ subscription: "s", autoAck: false });
    const held: ConsumerMessage[] = [];
    void (async () => {
      for await (const message of consumer) held.push(message);
    })();
    await eventually(setup, () => held.length === 10);
    await setup.time.run(100);
    expect(setup.subscription.acked()).toEqual([]);
    expect(consumer.stats).toMatchObject({ waiting: 0, running: 10, unconfirmed: 0 });
    const acks = held.filter(({ offset }) => offset % 2 === 1).map((message) => message.ack());
    await setup.time.until(Promise.all(acks));
    expect(setup.subscription.acked()).toEqual([1, 3, 5, 7, 9]);
    await setup.time.until(Promise.all([...held].reverse().map((message) => message.ack())));
    expect(setup.subscription.acked()).toHaveLength(10);
    await setup.time.until(consumer.close());
  });

  it("use: a consumer is used once", async () => {
    const { client, time } = setUp();
    const consumer = client.consumer({ subscription: "s" });
    const run = consumer.run(() => undefined);
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
    await time.until(consumer.close());
    await time.until(run);
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({ reason: "CLOSED" });
  });

  it("options: are checked before anything is connected", () => {
    const { client, cluster } = setUp();
    const reason = (call: () => unknown): string => {
      try {
        call();
        return "none";
      } catch (error) {
        return (error as FlotillaError).reason;
      }
    };
    const subscription = "s";
    expect(reason(() => client.consumer({ subscription: "" }))).toBe("INVALID_REQUEST");
    expect(reason(() => client.consumer({ subscription, consumerId: "" }))).toBe("INVALID_REQUEST");
    expect(reason(() => client.consumer({ subscription, prefetch: { messages: 0 } }))).toBe(
      "INVALID_REQUEST",
    );
    expect(cluster.connected).toEqual([]);
  });
});

describe("consumer: run", () => {
  it("concurrency: so many handlers at a time, and as few requests as turns", async () => {
    const setup = setUp();
    await fill(setup, 0, 100);
    const consumer = setup.client.consumer({ subscription: "s" });
    let running = 0;
    let most = 0;
    void consumer.run(
      async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise<void>((resolve) => {
          setup.time.root.schedule(10, resolve);
        });
        running -= 1;
      },
      { concurrency: 7 },
    );
    await eventually(setup, () => setup.subscription.acked().length === 100);
    expect(most).toBe(7);
    await setup.time.until(consumer.close());
    expect(setup.subscription.requests.length).toBeLessThan(70);
  });

  it("synchronous handlers: all settlements of a turn travel in one request", async () => {
    const setup = setUp();
    await fill(setup, 0, 200);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: string[] = [];
    void consumer.run((message) => seen.push(message.text()));
    await eventually(setup, () => setup.subscription.acked().length === 200);
    expect(seen).toEqual(numbered(0, 200));
    const settling = setup.subscription.requests.filter(({ settle }) => settle.length > 0);
    expect(settling.length).toBeLessThan(5);
    await setup.time.until(consumer.close());
  });

  it("failures: nack with the error, reject, a time; each as often as the policy says", async () => {
    const setup = setUp();
    await fill(setup, 0, 4);
    const consumer = setup.client.consumer({ subscription: "s" });
    const attempts: string[] = [];
    const errors: unknown[] = [];
    void consumer.run(
      async (message) => {
        attempts.push(`${message.offset}/${message.attempt}/${message.handedOut}`);
        await Promise.resolve();
        if (message.offset === 1) throw new Reject("never");
        if (message.offset === 2 && message.attempt < 3) throw new Error("broken");
        if (message.offset === 3 && message.attempt === 1) throw new RetryLater({ delayMs: 5000 });
      },
      { onError: (error) => errors.push(error) },
    );
    await eventually(setup, () => setup.subscription.acked().length === 3);
    const { events } = setup.subscription;
    expect(setup.subscription.acked()).toEqual([0, 2, 3]);
    expect(events.find(({ kind }) => kind === "reject")).toMatchObject({
      offset: 1,
      error: "Reject: never",
    });
    expect(
      events.filter(({ kind }) => kind === "nack").map(({ offset, error }) => [offset, error]),
    ).toEqual([
      [2, "Error: broken"],
      [3, "RetryLater: try again later"],
      [2, "Error: broken"],
    ]);
    expect(attempts).toEqual(["0/1/1", "1/1/1", "2/1/1", "3/1/1", "2/2/2", "2/3/3", "3/2/2"]);
    expect(errors).toHaveLength(4);
    await setup.time.until(consumer.close());
  });

  it("begun: what takes longer than a turn is reported; what was out before is reported before it begins", async () => {
    const setup = setUp();
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    const before: (string | undefined)[] = [];
    void consumer.run((message) => {
      before.push(setup.subscription.requests.at(-1)?.settle.at(-1)?.kind);
      if (message.attempt < 3) throw new Error("not yet");
    });
    await eventually(setup, () => setup.subscription.acked().length === 1);
    const kinds = setup.subscription.requests.flatMap(({ settle }) =>
      settle.map(({ kind }) => kind),
    );
    expect(kinds).toEqual(["nack", "begun", "nack", "begun", "ack"]);
    await setup.time.until(consumer.close());
  });

  it("settling by hand: a decided message is not settled again", async () => {
    const setup = setUp();
    await fill(setup, 0, 4);
    const consumer = setup.client.consumer({ subscription: "s" });
    void consumer.run(async (message) => {
      if (message.offset === 0 && message.attempt === 1) void message.nack({ delayMs: 50 });
      if (message.offset === 1) await message.reject("bad");
      if (message.offset === 2 && message.handedOut === 1) void message.release();
      if (message.offset === 3) await message.extend();
    });
    await eventually(setup, () => setup.subscription.acked().length === 3);
    const kinds = setup.subscription.events.map(({ offset, kind }) => `${offset} ${kind}`);
    expect(kinds).toEqual(
      expect.arrayContaining([
        "0 nack",
        "1 reject",
        "2 release",
        "3 extend",
        "0 ack",
        "2 ack",
        "3 ack",
      ]),
    );
    expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([[0, 1]]);
    await setup.time.until(consumer.close());
  });

  it("refusals: those that pass are repeated, STALE_DELIVERY rejects and aborts the signal", async () => {
    const setup = setUp();
    await fill(setup, 0, 2);
    setup.subscription.settleRefusals.push("NOT_ENOUGH_REPLICAS");
    const consumer = setup.client.consumer({ subscription: "s", autoAck: false });
    const held: ConsumerMessage[] = [];
    void (async () => {
      for await (const message of consumer) held.push(message);
    })();
    await eventually(setup, () => held.length === 2);
    await setup.time.until(Promise.resolve(held[0]?.ack()));
    expect(setup.subscription.acked()).toEqual([0]);
    setup.subscription.partitions[0]?.leases.clear();
    const signal = held[1]?.signal;
    const refused = Promise.resolve(held[1]?.ack()).catch((error: unknown) => error);
    expect(await setup.time.until(refused)).toMatchObject({ reason: "STALE_DELIVERY" });
    expect(signal?.aborted).toBe(true);
    await setup.time.until(consumer.close());
  });

  it.each([
    { deadlineMs: 2000, handlerMs: 300, concurrency: 4, count: 60 },
    { deadlineMs: 2000, handlerMs: 800, concurrency: 1, count: 10 },
    { deadlineMs: 2000, handlerMs: 1900, concurrency: 3, count: 12 },
    { deadlineMs: 2000, handlerMs: 30, concurrency: 1, count: 300 },
    { deadlineMs: 30_000, handlerMs: 11_000, concurrency: 7, count: 50 },
  ])(
    "deadline: nobody loses what is worked on, whenever it was begun ($handlerMs ms of $deadlineMs)",
    async (load) => {
      const { concurrency, count, deadlineMs, handlerMs } = load;
      const setup = setUp();
      setup.subscription.ackDeadlineMs = deadlineMs;
      await fill(setup, 0, count);
      const consumer = setup.client.consumer({ subscription: "s" });
      let aborted = 0;
      let calls = 0;
      void consumer.run(
        async ({ signal }) => {
          calls += 1;
          await new Promise<void>((resolve) => {
            setup.time.root.schedule(handlerMs, resolve);
          });
          if (signal.aborted) aborted += 1;
        },
        { concurrency },
      );
      await eventually(setup, () => setup.subscription.acked().length === count, 600_000);
      expect({ aborted, calls }).toEqual({ aborted: 0, calls: count });
      expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([]);
      await setup.time.until(consumer.close());
    },
  );

  it("deadline: a shorter one that is told later is kept, too", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 60_000;
    await fill(setup, 0, 2);
    const consumer = setup.client.consumer({ subscription: "s" });
    const aborted: boolean[] = [];
    void consumer.run(async (message) => {
      if (message.offset === 0) setup.subscription.changeAckDeadline(2000);
      await new Promise<void>((resolve) => {
        setup.time.root.schedule(9000, resolve);
      });
      aborted.push(message.signal.aborted);
    });
    await eventually(setup, () => setup.subscription.acked().length === 2, 60_000);
    expect(aborted).toEqual([false, false]);
    const extended = setup.subscription.events.filter(({ kind }) => kind === "extend");
    expect(extended.length).toBeGreaterThan(4);
    await setup.time.until(consumer.close());
  });

  it("deadline: leases are extended while a handler runs, and only those", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 2000;
    await fill(setup, 0, 3);
    const consumer = setup.client.consumer({ subscription: "s" });
    const aborted: boolean[] = [];
    void consumer.run(async (message) => {
      await new Promise<void>((resolve) => {
        setup.time.root.schedule(9000, resolve);
      });
      aborted.push(message.signal.aborted);
    });
    await eventually(setup, () => setup.subscription.acked().length === 3, 60_000);
    expect(aborted).toEqual([false, false, false]);
    expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([]);
    expect(setup.subscription.events.some(({ kind }) => kind === "extend")).toBe(true);
    await setup.time.until(consumer.close());
  });

  it("deadline: a message that is worked on for too long is lost, and its signal tells", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 2000;
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s", extendMaxMs: 0 });
    const reasons: unknown[] = [];
    void consumer.run(async ({ attempt, signal }) => {
      if (attempt > 1) return;
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
      reasons.push(signal.reason);
    });
    await eventually(setup, () => setup.subscription.acked().length === 1, 60_000);
    expect(reasons).toMatchObject([{ reason: "STALE_DELIVERY" }]);
    expect([...(setup.subscription.partitions[0]?.failed ?? [])]).toEqual([[0, 1]]);
    await setup.time.until(consumer.close());
  });

  it("credit: no more is received than may wait, and it is granted in larger pieces", async () => {
    const setup = setUp();
    await fill(setup, 0, 300);
    const prefetch = { messages: 60 };
    const consumer = setup.client.consumer({ subscription: "s", prefetch, autoAck: false });
    const iterator = consumer[Symbol.asyncIterator]();
    const first = await setup.time.until(iterator.next());
    expect(first.done).toBe(false);
    await setup.time.run(1000);
    expect(setup.subscription.partitions[0]?.leases.size).toBe(20);
    const taken: unknown[] = [];
    for (let i = 1; i < 40; i += 1) taken.push(await setup.time.until(iterator.next()));
    await setup.time.run(1000);
    expect(setup.subscription.partitions[0]?.leases.size).toBeLessThanOrEqual(60);
    const granting = setup.subscription.requests.filter((request) => request.creditMessages > 0);
    expect(granting.length).toBeLessThan(15);
    await setup.time.until(consumer.close({ timeoutMs: 100 }));
  });
});

describe("consumer: exclusive", () => {
  it("order: one message of a partition at a time, partitions in parallel", async () => {
    const setup = setUp(2, "exclusive");
    for (const partition of [0, 1]) await fill(setup, 0, 20, partition);
    const consumer = setup.client.consumer({ subscription: "s" });
    const running = new Set<number>();
    const seen: number[][] = [[], []];
    let together = 0;
    void consumer.run(
      async ({ offset, partition }) => {
        expect(running.has(partition)).toBe(false);
        running.add(partition);
        together = Math.max(together, running.size);
        seen[partition]?.push(offset);
        await new Promise<void>((resolve) => {
          setup.time.root.schedule(5, resolve);
        });
        running.delete(partition);
      },
      { concurrency: 8 },
    );
    await eventually(setup, () => setup.subscription.acked().length === 40);
    expect(seen).toEqual([offsets(0, 20), offsets(0, 20)]);
    expect(together).toBe(2);
    await setup.time.until(consumer.close());
  });

  it("failure: nothing behind it is begun before it succeeded", async () => {
    const setup = setUp(1, "exclusive");
    await fill(setup, 0, 30);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: number[] = [];
    void consumer.run(({ attempt, offset }) => {
      seen.push(offset);
      if (offset % 10 === 3 && attempt < 3) throw new Error("again");
    });
    await eventually(setup, () => setup.subscription.acked().length === 30, 60_000);
    const expected = offsets(0, 30).flatMap((n) => (n % 10 === 3 ? [n, n, n] : [n]));
    expect(seen).toEqual(expected);
    const failed = [...(setup.subscription.partitions[0]?.failed ?? [])];
    expect(failed).toEqual([
      [3, 2],
      [13, 2],
      [23, 2],
    ]);
    await setup.time.until(consumer.close());
  });
});

describe("consumer: batches", () => {
  it("sizes: full ones at once, the rest after a while; a failed one fails together", async () => {
    const setup = setUp();
    await fill(setup, 0, 25);
    const consumer = setup.client.consumer({ subscription: "s" });
    const sizes: number[] = [];
    void consumer.runBatches(
      async (messages) => {
        await Promise.resolve();
        sizes.push(messages.length);
        if (messages.length === 5) {
          await messages[0]?.ack();
          if (messages[1]?.attempt === 1) throw new Error("the rest failed");
        }
      },
      { maxMessages: 10, maxWaitMs: 50 },
    );
    await eventually(setup, () => setup.subscription.acked().length === 25, 60_000);
    expect(sizes.slice(0, 3)).toEqual([10, 10, 5]);
    expect(setup.subscription.events.filter(({ kind }) => kind === "nack")).toHaveLength(4);
    await setup.time.until(consumer.close());
  });

  it("order: all of one partition (exclusive)", async () => {
    const setup = setUp(2, "exclusive");
    for (const partition of [0, 1]) await fill(setup, 0, 12, partition);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: number[][] = [[], []];
    void consumer.runBatches(
      async (messages) => {
        const partitions = new Set(messages.map(({ partition }) => partition));
        expect(partitions.size).toBe(1);
        await Promise.resolve();
        for (const { offset, partition } of messages) seen[partition]?.push(offset);
      },
      { maxMessages: 5, maxWaitMs: 10, concurrency: 4 },
    );
    await eventually(setup, () => setup.subscription.acked().length === 24);
    expect(seen).toEqual([offsets(0, 12), offsets(0, 12)]);
    await setup.time.until(consumer.close());
  });
});

describe("consumer: serializers", () => {
  it("typed: what a typed producer sent is the messages' data", async () => {
    const setup = setUp();
    const serializer = json<{ readonly n: number }>();
    const producer = typedProducer(setup.client.producer(), "t", serializer);
    await setup.time.until(producer.send({ key: "a", data: { n: 1 } }));
    await setup.time.until(producer.send({ key: "a", data: undefined }));
    const consumer = setup.client.consumer({ subscription: "s", serializer });
    const seen: (number | undefined)[] = [];
    void consumer.run(({ data }) => seen.push(data?.n));
    await eventually(setup, () => seen.length === 2);
    expect(seen).toEqual([1, undefined]);
    await setup.time.until(consumer.close());
  });

  it("data that cannot be read: the message fails", async () => {
    const setup = setUp();
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s", serializer: json() });
    void consumer.run(({ data }) => data);
    await eventually(setup, () => setup.subscription.events.some(({ kind }) => kind === "nack"));
    expect(setup.subscription.events[0]?.error).toContain("SyntaxError");
    await setup.time.until(consumer.close());
  });

  it("text: both ways", () => {
    expect(text.deserialize(Buffer.from("ä"))).toBe("ä");
    expect(text.deserialize(undefined)).toBe("");
    expect(text.serialize("ä")).toBe("ä");
  });
});
