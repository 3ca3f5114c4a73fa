import { describe, expect, test, vi } from "vitest";
import { sleep, systemClock } from "../../src/base/clock.ts";

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

describe("system clock: timers", () => {
  test("never run before their time, whatever fraction of a millisecond it is", async () => {
    const early: number[] = [];
    const timers = Array.from({ length: 300 }, (_, at) => {
      return new Promise<void>((resolve) => {
        const delayMs = (at % 30) + at / 301;
        const dueMs = systemClock.monotonicMs() + delayMs;
        systemClock.schedule(delayMs, () => {
          const leftMs = dueMs - systemClock.monotonicMs();
          if (leftMs > 0) early.push(leftMs);
          resolve();
        });
      });
    });
    await Promise.all(timers);
    expect(early).toEqual([]);
  });

  test("wait for months without looking again and again", async () => {
    const set = vi.spyOn(globalThis, "setTimeout");
    let runs = 0;
    const cancels = [90 * 24 * 3600 * 1000, Number.POSITIVE_INFINITY].map((delayMs) =>
      systemClock.schedule(delayMs, () => {
        runs += 1;
      }),
    );
    const asked = set.mock.calls.length;
    set.mockRestore();
    const again = vi.spyOn(globalThis, "setTimeout");
    await sleep(systemClock, 20);
    const askedAgain = again.mock.calls.length;
    again.mockRestore();
    for (const cancel of cancels) cancel();
    expect([asked, runs]).toEqual([2, 0]);
    // Those of the sleep itself.
    expect(askedAgain).toBeLessThan(5);
  });

  test("are cancelled for good, also when the system's timer came too early", async () => {
    const late: number[] = [];
    const cancelled = new Set<number>();
    for (let at = 0; at < 50; at += 1) {
      const cancel = systemClock.schedule(2 + at / 51, () => {
        if (cancelled.has(at)) late.push(at);
      });
      // Runs just behind the system's timer, in the same turn.
      setTimeout(() => {
        cancelled.add(at);
        cancel();
      }, 2);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    expect(cancelled.size).toBe(50);
    expect(late).toEqual([]);
  });
});
