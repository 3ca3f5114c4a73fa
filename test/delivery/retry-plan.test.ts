import { describe, expect, it } from "vitest";
import { dueMsOf, planFailure, retryDelayMs } from "../../src/delivery/retry-plan.ts";
import { definitionOf } from "./dispatch-support.ts";

const NOW_MS = 1_000_000;
const MESSAGE = { failed: 1, isRejected: false, isOrdered: true, retryAtMs: 0 };

describe("retry plan", () => {
  const { retry } = definitionOf("shared");

  it("a table of delays: the last one repeats", () => {
    expect([1, 2, 3, 9].map((failed) => retryDelayMs(retry, failed, 0))).toEqual([
      1000, 5000, 5000, 5000,
    ]);
  });

  it("exponential: grows up to the longest delay, also after very many failures", () => {
    const policy = { ...retry, delaysMs: [] };
    expect([1, 2, 3, 7, 1000].map((failed) => retryDelayMs(policy, failed, 0))).toEqual([
      1000, 2000, 4000, 60_000, 60_000,
    ]);
  });

  it("jitter: between 100 minus jitter and 100 percent", () => {
    const policy = { ...retry, jitterPercent: 20 };
    expect([retryDelayMs(policy, 1, 0), retryDelayMs(policy, 1, 0.999_999)]).toEqual([1000, 800]);
  });

  it("an explicit time: is kept, but not in the past and not beyond the longest delay that may be asked for", () => {
    const definition = definitionOf("shared");
    const at = (retryAtMs: number): unknown =>
      planFailure(definition, { ...MESSAGE, retryAtMs }, true, NOW_MS, 0);
    expect(at(NOW_MS + 77)).toEqual({ kind: "retry", notBeforeMs: NOW_MS + 77 });
    expect(at(5)).toEqual({ kind: "retry", notBeforeMs: NOW_MS });
    expect(at(NOW_MS * 1e6)).toEqual({ kind: "retry", notBeforeMs: NOW_MS + 604_800_000 });
  });

  it("the last failure: by policy and order", () => {
    const last = { ...MESSAGE, failed: 3 };
    const kindOf = (onFailure: "stop" | "park" | "skip", isOrdered: boolean, canPark = true) =>
      planFailure(definitionOf("keyed", { onFailure }), { ...last, isOrdered }, canPark, NOW_MS, 0)
        .kind;
    expect(kindOf("stop", true)).toBe("stop");
    expect(kindOf("park", true)).toBe("park");
    expect(kindOf("park", true, false)).toBe("stop");
    expect(kindOf("skip", true)).toBe("dead");
    expect(kindOf("park", false)).toBe("dead");
  });
});

describe("when a failed message is due", () => {
  const failedAt = (timeMs: number, notBeforeMs: number) => ({
    notBeforeMs,
    attempts: [{ timeMs, cause: "nack" as const, error: "" }],
  });

  it("at the time that was noted", () => {
    expect(dueMsOf(failedAt(1000, 6000), 2000, 1500)).toBe(6000);
    expect(dueMsOf(failedAt(1600, 6600), 2000, 1500)).toBe(6600);
    expect(dueMsOf({ notBeforeMs: 6000, attempts: [] }, 2000, 1500)).toBe(6000);
  });

  it("noted by a clock that was an hour ahead: after the delay that was meant, once another one leads", () => {
    const hour = 3_600_000;
    expect(dueMsOf(failedAt(hour + 1000, hour + 6000), 2000, 1500)).toBe(6500);
    expect(dueMsOf(failedAt(hour + 1000, hour + 6000), 6400, 1500)).toBe(6500);
  });

  it("never later than noted", () => {
    expect(dueMsOf(failedAt(2100, 2200), 2000, 1950)).toBe(2050);
    expect(dueMsOf(failedAt(2100, 2200), 2000, 2150)).toBe(2200);
  });
});
