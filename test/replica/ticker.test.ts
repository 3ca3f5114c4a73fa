import { describe, expect, it } from "vitest";
import { Ticker } from "../../src/replica/ticker.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("ticker", () => {
  it("ticks: come at their interval until stopped", async () => {
    const clock = new VirtualClock();
    let ticks = 0;
    const ticker = new Ticker(
      clock.root,
      50,
      () => (ticks += 1),
      () => undefined,
    );
    ticker.start();
    await clock.run(501);
    expect(ticks).toBe(10);
    ticker.stop();
    await clock.run(500);
    expect(ticks).toBe(10);
  });

  it("a stall: pending input is read first, then one tick follows, not the backlog", async () => {
    const clock = new VirtualClock();
    const node = clock.fork();
    const seen: string[] = [];
    const stalls: number[] = [];
    const ticker = new Ticker(
      node,
      50,
      () => seen.push("tick"),
      (lateMs) => stalls.push(lateMs),
    );
    ticker.start();
    await clock.run(40);
    node.pause();
    await clock.run(1000);
    // A message that waited in the socket while the process stood still.
    node.schedule(0, () => seen.push("input"));
    await clock.run(0);
    node.resume();
    await clock.run(1);
    expect(seen).toEqual(["input", "tick"]);
    expect(stalls).toHaveLength(1);
    await clock.run(100);
    expect(seen).toEqual(["input", "tick", "tick", "tick"]);
  });
});
