import { describe, expect, it } from "vitest";
import { MetadataWatch } from "../../src/cluster/metadata-watch.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function watched(): {
  clock: VirtualClock;
  watch: MetadataWatch;
  asked: () => number;
  at: { version: number };
} {
  const clock = new VirtualClock();
  const at = { version: 7 };
  let asked = 0;
  const watch = new MetadataWatch({
    clock: clock.root,
    version: () => at.version,
    onStuck: () => {
      asked += 1;
    },
  });
  watch.start();
  return { clock, watch, asked: () => asked, at };
}

describe("metadata watch", () => {
  it("others know more and nothing arrives here: asks, and asks again while that lasts", async () => {
    const { asked, clock, watch } = watched();
    watch.heard(9);
    await clock.run(9900);
    expect(asked()).toBe(0);
    await clock.run(4000);
    expect(asked()).toBe(1);
    await clock.run(10_000);
    expect(asked()).toBe(2);
    watch.close();
    await clock.run(60_000);
    expect(asked()).toBe(2);
  });

  it("as new as everybody, or slowly on its way: does not ask", async () => {
    const { asked, at, clock, watch } = watched();
    watch.heard(7);
    await clock.run(60_000);
    watch.heard(100);
    for (let second = 0; second < 60; second += 3) {
      at.version += 1;
      await clock.run(3000);
    }
    expect(asked()).toBe(0);
    watch.close();
  });
});
