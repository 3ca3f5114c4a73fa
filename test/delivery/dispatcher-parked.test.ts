import { describe, expect, it } from "vitest";
import type { SubscriptionMode } from "../../src/model/subscription.ts";
import { Harness, offsetsOf } from "./dispatch-support.ts";

/** Hands out and acknowledges until nothing more comes. @returns the offsets in their order */
function drained(h: Harness): number[] {
  const order: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    for (const delivery of h.turn()) {
      order.push(...offsetsOf([delivery]));
      h.settle(1, "ack", delivery.number);
    }
  }
  return order;
}

const ORDERED: readonly SubscriptionMode[] = ["keyed", "fifo", "exclusive"];

describe("dispatcher: what was parked goes on in the state before the dispatcher is told", () => {
  it.each(ORDERED)("%s: a released key is held up until then", (mode) => {
    const h = new Harness(mode, { onFailure: "park" });
    h.append(["k", "k"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.turn();
    h.dispatcher.releaseParked(0, "retry");
    expect(h.replicateUntold()).toBe(true);
    h.append(["k"]);
    expect(h.pump()).toEqual([]);
    h.dispatcher.updateApplied(h.nowMs);
    expect(drained(h)).toEqual([0, 1, 2]);
  });

  it.each(ORDERED)("%s: a filter that settles what parked lets nothing overtake", (mode) => {
    const h = new Harness(mode, { onFailure: "park" });
    h.append(["k", "k"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.turn();
    h.isUnwanted = (offset) => offset === 0;
    h.configure({ filter: "another" });
    h.pump();
    h.pass(1000);
    expect(h.replicateUntold()).toBe(true);
    expect(h.state.parked.size).toBe(0);
    h.append(["k"]);
    expect(h.pump()).toEqual([]);
    h.dispatcher.updateApplied(h.nowMs);
    expect(drained(h)).toEqual([1, 2]);
  });

  it.each(ORDERED)(
    "%s: a stopped partition whose message is given up stands until then",
    (mode) => {
      const h = new Harness(mode, { onFailure: "stop" });
      h.append(["k", "k"]);
      h.consumer(1);
      h.pump();
      h.settle(1, "reject", 1, [[0, 1]]);
      h.turn();
      expect(h.dispatcher.progress().stoppedAt).toBe(0);
      h.dispatcher.releaseParked(0, "dead");
      expect(h.replicateUntold()).toBe(true);
      h.append(["k"]);
      expect(h.pump()).toEqual([]);
      h.dispatcher.updateApplied(h.nowMs);
      expect(drained(h)).toEqual([1, 2]);
      expect(h.state.failures.get(0)?.isDead).toBe(true);
    },
  );
});

describe("dispatcher: fifo, a message that was gone on with fails for good before it is read", () => {
  it.each(["dead", "settle"] as const)("released as %s it is not tried again", (action) => {
    const h = new Harness("fifo", { onFailure: "stop" });
    h.append(["k", "k"]);
    h.consumer(1);
    h.pump();
    h.changeLeader();
    h.consumer(1, 1000, { resumes: false });
    const [resumed] = h.resume(1, [{ ranges: [[0, 1]] }]);
    const request = h.dispatcher.nextRead(h.nowMs);
    if (request === undefined) throw new Error("nothing is read");
    h.settle(1, "reject", resumed?.number ?? 0);
    h.replicate();
    expect(h.dispatcher.progress().stoppedAt).toBe(0);
    h.answer(request);
    h.dispatcher.releaseParked(0, action);
    h.replicate();
    expect(drained(h)).toEqual([1]);
  });
});

/** Replicates until nothing more is wanted. @returns how many updates that took */
function updates(h: Harness): number {
  for (let count = 0; count < 50; count += 1) if (!h.replicate()) return count;
  throw new Error("it replicates for ever");
}

describe("dispatcher: no further key can be parked", () => {
  it("the partition stops once; what was out then is tried again when it goes on", () => {
    const h = new Harness("keyed", { onFailure: "park" }, 0, { parkedKeys: 1 });
    h.append(["a", "b", "c", "d"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    updates(h);
    h.settle(1, "reject", 1, [[1, 2]]);
    updates(h);
    expect(h.dispatcher.progress().stoppedAt).toBe(1);
    h.settle(1, "reject", 1, [[2, 3]]);
    expect(updates(h)).toBeLessThan(5);
    expect(h.state.failures.get(2)?.failed).toBe(1);
    h.pass(1000);
    expect(h.pump()).toEqual([]);
    expect(updates(h)).toBe(0);
    h.dispatcher.releaseParked(0, "settle");
    h.dispatcher.releaseParked(1, "settle");
    updates(h);
    expect(offsetsOf(h.pump())).toEqual([2]);
  });

  it("a message that can not be a dead letter is tried again", () => {
    const h = new Harness("keyed", { onFailure: "park" }, 0, { failures: 1 });
    h.append(["a", "b"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    updates(h);
    h.settle(1, "reject", 1, [[1, 2]]);
    updates(h);
    expect(h.state.parked.byOffset(1)).toBeDefined();
    h.dispatcher.releaseParked(1, "dead");
    updates(h);
    expect(h.state.failures.get(1)).toBeUndefined();
    h.pass(1000);
    expect(drained(h)).toEqual([0, 1]);
  });
});
