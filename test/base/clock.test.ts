import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("system clock: deferred calls", () => {
  test("run after the current call, in their order", async () => {
    const seen: number[] = [];
    systemClock.defer(() => seen.push(1));
    systemClock.defer(() => seen.push(2));
    expect(seen).toEqual([]);
    await turn();
    expect(seen).toEqual([1, 2]);
  });

  test("what they defer runs after all of them, in the same turn", async () => {
    const seen: string[] = [];
    systemClock.defer(() => {
      seen.push("commit");
      systemClock.defer(() => seen.push("answer"));
    });
    systemClock.defer(() => seen.push("other commit"));
    await turn();
    expect(seen).toEqual(["commit", "other commit", "answer"]);
  });

  test("work that begets work does not keep the event loop", async () => {
    let calls = 0;
    const again = (): void => {
      calls += 1;
      if (calls < 100) systemClock.defer(again);
    };
    systemClock.defer(again);
    await turn();
    expect(calls).toBeLessThan(10);
    for (let i = 0; i < 100 && calls < 100; i += 1) await turn();
    expect(calls).toBe(100);
  });
});
