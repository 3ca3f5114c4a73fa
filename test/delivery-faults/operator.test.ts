import { describe, expect, it } from "vitest";
import type { Admin } from "../../src/client/index.ts";
import { DeliveryRecorder } from "../../src/testkit/index.ts";
import { Operator, policyOf } from "./operator.ts";

const place = (offset: number) => ({ topic: "t", partition: 1, offset });

/** What of SubscriptionAdmin an operator asks. */
function opened(parked: number[], refuses: () => boolean): { operator: Operator; asked: number[] } {
  const asked: number[] = [];
  const subscriptions = {
    async *parkedKeys() {
      yield* await Promise.resolve(parked.map(place));
    },
    release: (_: string, { offset }: { offset: number }) => {
      asked.push(offset);
      return refuses() ? Promise.reject(new Error("no answer")) : Promise.resolve();
    },
  };
  const admin = { subscriptions } as unknown as Admin;
  const recorder = new DeliveryRecorder(() => 0);
  const options = { admin, subscription: "s", policy: "park", recorder } as const;
  return { operator: new Operator(options), asked };
}

describe("operator of a fault test", () => {
  it("compare: what a new leader does not hold up any more is a problem; the rest has survived", () => {
    const { operator } = opened([], () => false);
    const problems = operator.compare([place(1), place(2)], [place(2), place(3)]);
    expect(problems).toEqual([expect.stringContaining("1@1")]);
    expect(operator.survived).toBe(1);
  });

  it("release: each that is parked; one without an answer says nothing about a leader", async () => {
    let isRefused = true;
    const { asked, operator } = opened([4], () => isRefused);
    await expect(operator.releaseAll()).rejects.toThrow("no answer");
    expect([...operator.released]).toEqual([]);
    expect(operator.compare([place(4)], [])).toEqual([]);
    expect(operator.survived).toBe(0);
    isRefused = false;
    expect(await operator.releaseAll()).toBe(1);
    expect([...operator.released]).toEqual(["1@4"]);
    expect(asked).toEqual([4, 4]);
  });

  it.each([
    ["shared", "hold", "skip"],
    ["keyed", "hold", "park"],
    ["fifo", "hold", "park"],
    ["exclusive", "hold", "stop"],
    ["exclusive", "skip", "skip"],
  ] as const)("policy of %s, %s: %s", (mode, how, policy) => {
    expect(policyOf(mode, how)).toBe(policy);
  });
});
