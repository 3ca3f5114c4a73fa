import { describe, expect, it } from "vitest";
import { LOSSES_AT_ONCE, LOSSES_PER_SECOND, LossPace } from "../../src/delivery/loss-pace.ts";
import { DEADLINE_MS, Harness } from "./dispatch-support.ts";

describe("pace of losses", () => {
  it("a burst at once, then so many a second", () => {
    const pace = new LossPace(1000);
    expect(pace.mayLose(1000)).toBe(true);
    pace.lost(LOSSES_AT_ONCE);
    expect(pace.mayLose(1000)).toBe(false);
    expect(pace.nextMs).toBe(1000 + 1000 / LOSSES_PER_SECOND);
    expect(pace.mayLose(pace.nextMs)).toBe(true);
    pace.lost(3 * LOSSES_PER_SECOND);
    const nextMs = pace.nextMs;
    expect(nextMs).toBe(1000 + 3000 + 1);
    expect(pace.mayLose(nextMs - 1)).toBe(false);
    expect(pace.mayLose(nextMs)).toBe(true);
  });

  it("what was not used adds up to one burst", () => {
    const pace = new LossPace(0);
    expect(pace.mayLose(3_600_000)).toBe(true);
    pace.lost(LOSSES_AT_ONCE);
    expect(pace.mayLose(3_600_000)).toBe(false);
  });
});

describe("dispatcher: messages whose deadline has passed", () => {
  /** So many are out, in deliveries of 100, and nobody says anything. */
  function out(count: number): Harness {
    const h = new Harness("shared");
    for (let at = 0; at < count; at += 100) h.append(100);
    h.consumer(1, count, { reportsBegun: false });
    h.pump();
    expect(h.dispatcher.progress().outstandingMessages).toBe(count);
    h.dispatcher.drain(1);
    return h;
  }

  it("more than a burst of them fail one after another, and those that wait can still be acknowledged", () => {
    const h = out(LOSSES_AT_ONCE + 2000);
    h.pass(DEADLINE_MS);
    h.turn();
    expect(h.dispatcher.progress().outstandingMessages).toBe(2000);
    expect(h.state.failures.size).toBe(LOSSES_AT_ONCE);
    const wakeMs = h.dispatcher.wakeAtMs();
    expect(wakeMs).toBeGreaterThan(h.nowMs);
    expect(wakeMs).toBeLessThanOrEqual(h.nowMs + 1);
    const last = LOSSES_AT_ONCE / 100 + 20;
    expect(h.settle(1, "ack", last).outcome).toBe("later");
    h.pass(1000);
    h.turn();
    expect(h.dispatcher.progress().outstandingMessages).toBe(900);
    h.pass(1000);
    h.turn();
    expect(h.dispatcher.progress().outstandingMessages).toBe(0);
    expect(h.state.failures.size).toBe(LOSSES_AT_ONCE + 1900);
  });

  it("what was never begun only comes back: it needs no turn", () => {
    const h = new Harness("shared");
    for (let at = 0; at < LOSSES_AT_ONCE + 2000; at += 100) h.append(100);
    h.consumer(1, LOSSES_AT_ONCE + 2000);
    h.pump();
    h.dispatcher.drain(1);
    h.pass(DEADLINE_MS);
    h.turn();
    expect(h.dispatcher.progress().outstandingMessages).toBe(0);
    expect(h.state.failures.size).toBe(0);
  });
});
