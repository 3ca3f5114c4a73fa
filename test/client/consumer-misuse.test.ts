// What an application can do wrong with a consumer ends a call, never the process or the consumer.
import { describe, expect, it } from "vitest";
import { RetryLater } from "../../src/client/index.ts";
import { eventually, fill, setUp } from "./consumer-setup.ts";

const NO_TIMES = [Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, -1];
const NO_DURATIONS = [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 2 ** 31];

describe("consumer: times to try again", () => {
  it.each(NO_TIMES)("RetryLater: %d is refused", (value) => {
    expect(() => new RetryLater({ delayMs: value })).toThrow("delayMs");
    expect(() => new RetryLater({ atMs: value })).toThrow("atMs");
  });

  it.each(NO_TIMES)("nack: %d is refused, and the message stays undecided", async (value) => {
    const setup = setUp();
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    const problems: unknown[] = [];
    void consumer.run((message) => {
      for (const field of ["delayMs", "atMs"]) {
        try {
          void message.nack({ [field]: value });
        } catch (error) {
          problems.push(error);
        }
      }
    });
    await eventually(setup, () => setup.subscription.acked().length === 1);
    expect(problems).toMatchObject([
      { reason: "INVALID_REQUEST", fields: { field: "delayMs" } },
      { reason: "INVALID_REQUEST", fields: { field: "atMs" } },
    ]);
    await setup.time.until(consumer.close());
  });

  it("nack: a delay so long that the sum is later than any date is cut to the last one", async () => {
    const setup = setUp();
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    void consumer.run((message) => void message.nack({ delayMs: 8.64e15 }));
    await eventually(setup, () => setup.subscription.events.length === 1);
    expect(setup.subscription.events[0]?.retryAtMs).toBe(8.64e15);
    await setup.time.until(consumer.close());
  });
});

describe("consumer: what handlers throw", () => {
  it.each(["run", "runBatches"] as const)("%s: what cannot be made a text", async (method) => {
    const setup = setUp();
    setup.subscription.retryDelayMs = 10;
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    let calls = 0;
    const handler = async (): Promise<void> => {
      calls += 1;
      await Promise.resolve();
      if (calls < 4) throw Object.create(null);
    };
    void consumer[method](handler);
    await eventually(setup, () => setup.subscription.acked().length === 1);
    expect(setup.subscription.events[0]).toMatchObject({ error: "an error without a text" });
    await setup.time.until(consumer.close());
  });
});

describe("consumer: options", () => {
  it.each(["extendMaxMs", "unavailableTimeoutMs"])("%s: a whole number", (field) => {
    const { client } = setUp();
    for (const value of NO_DURATIONS) {
      const make = (): unknown => client.consumer({ subscription: "s", [field]: value });
      expect(make).toThrow(field);
    }
  });

  it.each(NO_DURATIONS)("close: timeoutMs %d is refused, and nothing is closed", async (value) => {
    const setup = setUp();
    const consumer = setup.client.consumer({ subscription: "s" });
    const refused = expect(consumer.close({ timeoutMs: value })).rejects;
    await refused.toMatchObject({ reason: "INVALID_REQUEST", fields: { field: "timeoutMs" } });
    void consumer.run(() => undefined);
    await fill(setup, 0, 1);
    await eventually(setup, () => setup.subscription.acked().length === 1);
    await setup.time.until(consumer.close());
  });

  it("a second run that is refused does not listen to its signal", async () => {
    const setup = setUp();
    const consumer = setup.client.consumer({ subscription: "s" });
    void consumer.run(() => undefined);
    const stop = new AbortController();
    const options = { signal: stop.signal };
    await expect(consumer.run(() => undefined, options)).rejects.toThrow("in use");
    await expect(consumer.runBatches(() => undefined, options)).rejects.toThrow("in use");
    stop.abort();
    await setup.time.run(100);
    await fill(setup, 0, 1);
    await eventually(setup, () => setup.subscription.acked().length === 1);
    await setup.time.until(consumer.close());
  });
});

describe("consumer: several next() at once", () => {
  it("each gives another message, and each message is acknowledged", async () => {
    const setup = setUp();
    const consumer = setup.client.consumer({ subscription: "s" });
    const iterator = consumer[Symbol.asyncIterator]();
    const calls = [iterator.next(), iterator.next(), iterator.next()];
    await setup.time.run(100);
    await fill(setup, 0, 4);
    const results = await setup.time.until(Promise.all(calls));
    expect(results.map((one) => (one.done === true ? undefined : one.value.offset))).toEqual([
      0, 1, 2,
    ]);
    await setup.time.until(iterator.next());
    await eventually(setup, () => setup.subscription.acked().length === 3);
    await setup.time.until(Promise.all([iterator.return?.(), setup.time.run(10)]));
  });
});
