// Leases of what a consumer works on do not run out while it works, whenever it began.
import { describe, expect, it } from "vitest";
import { eventually, fill, setUp } from "./consumer-setup.ts";

describe("consumer: leases", () => {
  it.each([
    [800, 1, 10],
    [300, 4, 60],
    [1000, 1, 6],
  ])(
    "handlers of %i ms, %i at a time: nothing that is worked on is lost",
    async (workMs, concurrency, total) => {
      const setup = setUp();
      setup.subscription.ackDeadlineMs = 2000;
      await fill(setup, 0, total);
      const consumer = setup.client.consumer({ subscription: "s" });
      let aborted = 0;
      void consumer.run(
        async (message) => {
          await new Promise<void>((resolve) => {
            setup.time.root.schedule(workMs, resolve);
          });
          if (message.signal.aborted) aborted += 1;
        },
        { concurrency },
      );
      const state = setup.subscription.partitions[0];
      await eventually(setup, () => state?.settled.size === total, 120_000);
      expect([...(state?.failed ?? [])]).toEqual([]);
      expect(aborted).toBe(0);
      await setup.time.until(consumer.close());
    },
  );

  it("a broker that hangs: the signal fires when the lease is over, although nobody says so", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 2000;
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    const abortedMs: number[] = [];
    void consumer.run(async ({ attempt, signal }) => {
      if (attempt > 1) return;
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
      abortedMs.push(setup.time.root.monotonicMs());
    });
    await setup.time.run(5000);
    const extended = setup.subscription.events.filter(({ kind }) => kind === "extend");
    expect(extended.length).toBeGreaterThan(2);
    setup.subscription.isSilent = true;
    const silentMs = setup.time.root.monotonicMs();
    await eventually(setup, () => abortedMs.length > 0, 2500);
    // No earlier than what was confirmed, no later than a lease that began when the silence did.
    expect((abortedMs[0] ?? 0) - silentMs).toBeGreaterThan(500);
    expect((abortedMs[0] ?? 0) - silentMs).toBeLessThan(2300);
    setup.subscription.isSilent = false;
    await eventually(setup, () => setup.subscription.acked().length === 1, 60_000);
    expect(abortedMs).toHaveLength(1);
    await setup.time.until(consumer.close());
  });

  it("extensions that are refused for now are asked for again", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 2000;
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    let aborted = 0;
    void consumer.run(async ({ signal }) => {
      signal.addEventListener("abort", () => {
        aborted += 1;
      });
      setup.subscription.settleRefusals.push("OVERLOADED");
      await new Promise<void>((resolve) => {
        setup.time.root.schedule(4000, resolve);
      });
    });
    await eventually(setup, () => setup.subscription.acked().length === 1, 60_000);
    expect(aborted).toBe(0);
    await setup.time.until(consumer.close());
  });

  it("exclusive: what a leader lets a consumer go on with too late is not held; order holds", async () => {
    const setup = setUp(1, "exclusive");
    setup.subscription.ackDeadlineMs = 2000;
    setup.subscription.retryDelayMs = 10;
    await fill(setup, 0, 4);
    const consumer = setup.client.consumer({ subscription: "s" });
    const begun: number[] = [];
    void consumer.run(async ({ offset, signal }) => {
      const isAgain = begun.includes(offset);
      begun.push(offset);
      if (offset !== 1 || isAgain) return;
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
    });
    await eventually(setup, () => begun.includes(1) && setup.subscription.acked().includes(0));
    await setup.time.run(100);
    setup.subscription.resumeDelayMs = 2500;
    setup.cluster.moveLeader(setup.cluster.partition("t", 0), "b2:1");
    await eventually(setup, () => setup.subscription.acked().length === 4, 60_000);
    expect(begun).toEqual([0, 1, 1, 2, 3]);
    await setup.time.until(consumer.close());
  });

  it("what is lost by its deadline: the consumer says something at once, although it has nothing to say", async () => {
    const setup = setUp();
    setup.subscription.ackDeadlineMs = 2000;
    const consumer = setup.client.consumer({ subscription: "s", extendMaxMs: 0 });
    let isOver = false;
    void consumer.run(async ({ signal }) => {
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          isOver = true;
        });
        setup.time.root.schedule(10_000, resolve);
      });
    });
    await fill(setup, 0, 1);
    await setup.time.run(1900);
    const { requests } = setup.subscription;
    const said = requests.length;
    await eventually(setup, () => isOver, 500);
    await setup.time.run(50);
    expect(requests.slice(said)).toMatchObject([{ settle: [], creditMessages: 0, held: [] }]);
    await setup.time.until(consumer.close({ timeoutMs: 100 }));
  });
});
