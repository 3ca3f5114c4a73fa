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
});
