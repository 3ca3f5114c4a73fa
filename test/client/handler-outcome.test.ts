// Whatever a handler throws: its message is decided, and the process goes on.
import { describe, expect, it } from "vitest";
import { decisionOf, nack, Reject, RetryLater } from "../../src/client/handler-outcome.ts";
import { FlotillaError } from "../../src/client/index.ts";
import { eventually, fill, setUp } from "./consumer-setup.ts";

const NO_TIMES = [Number.NaN, Number.POSITIVE_INFINITY, -1, "5" as unknown as number];

function refusalOf(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error instanceof FlotillaError ? [error.reason, error.fields["field"]] : error;
  }
}

describe("what a handler throws", () => {
  it.each(NO_TIMES)("RetryLater: %s is no time", (value) => {
    expect(refusalOf(() => new RetryLater({ delayMs: value }))).toEqual([
      "INVALID_REQUEST",
      "delayMs",
    ]);
    expect(refusalOf(() => new RetryLater({ atMs: value }))).toEqual(["INVALID_REQUEST", "atMs"]);
  });

  it("RetryLater: a delay of any length can be sent", () => {
    const { retryAtMs } = nack("no", { delayMs: Number.MAX_SAFE_INTEGER }, 1e12);
    expect(retryAtMs).toBe(8.64e15);
  });

  it.each([
    ["nothing", undefined, ""],
    ["an object without a text", Object.create(null), "an error without a text"],
    ["a text", "no", "no"],
    ["for good", new Reject("never"), "Reject: never"],
  ])("%s: becomes a decision", (_name, thrown: unknown, error) => {
    expect(decisionOf(thrown, 0).error).toBe(error);
  });

  it("a run goes on, and its place is free again, whatever was thrown", async () => {
    const setup = setUp();
    await fill(setup, 0, 3);
    const consumer = setup.client.consumer({ subscription: "s" });
    const onError = (): void => {
      throw new Error("this one fails as well");
    };
    void consumer.run(
      async ({ attempt, offset }) => {
        await Promise.resolve();
        if (attempt > 1) return;
        if (offset === 0) throw Object.create(null);
        if (offset === 1) throw new RetryLater({ delayMs: Number.NaN });
      },
      { onError },
    );
    await eventually(setup, () => setup.subscription.acked().length === 3);
    expect(consumer.stats.running).toBe(0);
    await setup.time.until(consumer.close());
  });

  it("nack: a time that is none is refused, and the message can still be settled", async () => {
    const setup = setUp();
    await fill(setup, 0, 1);
    const consumer = setup.client.consumer({ subscription: "s" });
    const seen: unknown[] = [];
    void consumer.run((message) => {
      seen.push(refusalOf(() => message.nack({ delayMs: Number.NaN })));
    });
    await eventually(setup, () => setup.subscription.acked().length === 1);
    expect(seen).toEqual([["INVALID_REQUEST", "delayMs"]]);
    await setup.time.until(consumer.close());
  });
});
