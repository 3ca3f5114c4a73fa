import { describe, expect, it } from "vitest";
import type { SubscriptionMode } from "../../src/model/subscription.ts";
import { Harness, offsetsOf } from "./dispatch-support.ts";

const MODES: readonly SubscriptionMode[] = ["shared", "keyed", "fifo", "exclusive"];

describe("dispatcher: seek", () => {
  it.each(MODES)(
    "%s: what an update under way settled and the seek brought back goes out",
    (mode) => {
      const h = new Harness(mode);
      h.append(["a", "b", "c", "d"]);
      h.consumer(1);
      h.pump();
      h.settle(1, "ack", 1, [[0, 1]]);
      const update = h.dispatcher.takeUpdate(h.nowMs);
      expect(update?.settle).toEqual([[0, 1]]);
      // The first command of two that carry it is applied, then the seek, then the second.
      h.state.update({ id: "s", settle: [[0, 1]] }, h.endOffset);
      h.seek(0);
      h.pump();
      h.dispatcher.updateApplied(h.nowMs);
      const out = new Set(offsetsOf(h.turn()));
      for (let round = 0; round < 20 && h.state.cursor < h.endOffset; round += 1) {
        for (const delivery of h.turn())
          for (const offset of offsetsOf([delivery])) out.add(offset);
        for (const number of h.outputs.flatMap(({ deliveries }) =>
          deliveries.map((d) => d.number),
        )) {
          h.settle(1, "ack", number);
        }
      }
      expect(out.has(0)).toBe(true);
      expect(h.state.cursor).toBe(h.endOffset);
    },
  );

  it.each(MODES)(
    "%s: in the state before the dispatcher is told: what was said before is void",
    (mode) => {
      const h = new Harness(mode);
      h.append(["a", "b"]);
      h.consumer(1);
      h.turn();
      h.settle(1, "ack", 1);
      h.turn();
      h.append(["c", "d"]);
      h.pump();
      const { number } = h.settle(1, "ack", 2, [[2, 3]]);
      h.state.seek(0);
      expect(h.dispatcher.takeUpdate(h.nowMs)).toBeUndefined();
      expect(h.settle(1, "ack", 2, [[3, 4]]).outcome).toBe("stale");
      expect(offsetsOf(h.turn())).toEqual([0, 1, 2, 3]);
      expect(h.confirmed()).toContain(number);
      h.dispatcher.seeked(h.nowMs);
      expect(h.turn()).toEqual([]);
      expect(h.lost().filter(({ cause }) => cause === "seek")).toHaveLength(1);
    },
  );

  it.each(["keyed", "fifo", "exclusive"] as const)(
    "%s: what an update under way settled is not overtaken by what comes behind it",
    (mode) => {
      const h = new Harness(mode);
      h.append(["k", "k", "k"]);
      h.consumer(1, 1);
      h.turn();
      h.settle(1, "ack", 1);
      h.credit(1, 1);
      h.turn();
      h.settle(1, "ack", 2);
      expect(h.replicateUntold()).toBe(true);
      h.state.seek(0);
      const order: number[] = [];
      const step = (): void => {
        h.credit(1, 1);
        for (const delivery of h.pump()) {
          order.push(...offsetsOf([delivery]));
          h.settle(1, "ack", delivery.number);
        }
      };
      step();
      h.dispatcher.updateApplied(h.nowMs);
      for (let round = 0; round < 10; round += 1) {
        step();
        h.replicate();
      }
      expect(order).toEqual([0, 1, 2]);
      expect(h.state.cursor).toBe(3);
    },
  );

  it("a dead letter that arrives after it settles nothing", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.turn();
    expect(h.state.failures.get(0)?.isDead).toBe(true);
    h.seek(0);
    h.dispatcher.deadMoved(0);
    expect(offsetsOf(h.turn())).toEqual([0, 1]);
    expect(h.state.cursor).toBe(0);
  });
});
