import { describe, expect, test } from "vitest";
import { CLOCK_ERROR_MS_MAX, clockErrors } from "../../src/cluster/clock-plan.ts";
import { Liveness, SESSION_MS } from "../../src/cluster/liveness.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { node } from "./support.ts";

function errorsOf(...offsets: number[]): number[] {
  const byNode = new Map(offsets.map((offset, place) => [(place + 1) as NodeId, offset]));
  return [...clockErrors(byNode).values()];
}

const word = { incarnation: 1, draining: false };

describe("clock plan", () => {
  test("errors: are counted from the median, so one wrong clock of three is found whoever asks", () => {
    expect(errorsOf(0, 20_000, -50)).toEqual([0, 20_000, -50]);
    expect(errorsOf(0, -20_000, -20_050)).toEqual([20_000, 0, -50]);
  });

  test("limit: is the promised one, 10 s", () => {
    expect(CLOCK_ERROR_MS_MAX).toBe(10_000);
  });

  test("errors: of two clocks neither is more right; alone everybody is", () => {
    expect(errorsOf(0, 30_000)).toEqual([-15_000, 15_000]);
    expect(errorsOf(0)).toEqual([0]);
  });

  test("liveness: a node whose clock is off by more than the limit is not believed, also when it is our own", () => {
    const liveness = new Liveness(node(1), 0);
    liveness.heard({ nodeId: 2, ...word }, 0, CLOCK_ERROR_MS_MAX);
    liveness.heard({ nodeId: 3, ...word }, 0, 0);
    expect([1, 2, 3].map((id) => liveness.isClockTrusted(node(id), 1))).toEqual([true, true, true]);
    liveness.heard({ nodeId: 2, ...word }, 0, CLOCK_ERROR_MS_MAX + 1);
    expect([1, 2, 3].map((id) => liveness.isClockTrusted(node(id), 1))).toEqual([
      true,
      false,
      true,
    ]);
    liveness.heard({ nodeId: 3, ...word }, 0, CLOCK_ERROR_MS_MAX + 2);
    expect(liveness.isClockTrusted(node(1), 1)).toBe(false);
  });

  test("liveness: who is silent has no vote about the time", () => {
    const liveness = new Liveness(node(1), 0);
    liveness.heard({ nodeId: 2, ...word }, 0, 60_000);
    liveness.heard({ nodeId: 3, ...word }, 0, 60_000);
    expect(liveness.isClockTrusted(node(1), 1)).toBe(false);
    expect(liveness.isClockTrusted(node(1), SESSION_MS + 1)).toBe(true);
  });
});
