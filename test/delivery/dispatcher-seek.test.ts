import { describe, expect, it } from "vitest";
import type { SubscriptionMode } from "../../src/model/subscription.ts";
import { Harness, offsetsOf, shown } from "./dispatch-support.ts";

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
      h.seekUntold(0);
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
      h.seekUntold(0);
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

  it("keyed: what the leader before it gave is not gone on with: it would overtake what comes again", () => {
    const h = new Harness("keyed");
    h.append(["k", "k"]);
    h.consumer(1);
    h.turn();
    h.settle(1, "ack", 1);
    expect(shown(h.turn())).toEqual(["1: 1"]);
    h.seek(0);
    h.changeLeader();
    h.consumer(1, 1000, { resumes: false });
    const [resumed] = h.resume(1, [{ ranges: [[1, 2]] }]);
    expect(shown(h.turn())).toEqual(["1: 0"]);
    h.settle(1, "release", resumed?.number ?? 0);
    expect(shown(h.turn())).toEqual([]);
    h.settle(1, "ack", 1);
    expect(shown(h.turn())).toEqual(["1: 1"]);
    expect(resumed).toEqual({ number: 0, ranges: [] });
  });

  it("shared: what the leader before it gave can not be acknowledged: it is to be handed out again", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1);
    h.pump();
    h.seek(0);
    h.changeLeader();
    h.consumer(1, 1000, { resumes: false });
    const [resumed] = h.resume(1, [{ ranges: [[0, 2]] }]);
    expect(h.settle(1, "ack", resumed?.number ?? 0, [[0, 2]]).outcome).toBe("stale");
    expect(offsetsOf(h.turn())).toEqual([0, 1]);
  });

  it("what was given before it is void for every later leader, and what later ones gave is gone on with", () => {
    const h = new Harness("shared");
    h.append(4);
    h.seek(0);
    const seekEpoch = h.term;
    for (let leader = 0; leader < 2; leader += 1) {
      h.changeLeader();
      h.consumer(1, 0, { resumes: false });
      const claims = [seekEpoch - 1, seekEpoch, seekEpoch + 1].map((leaderEpoch, at) => ({
        leaderEpoch,
        ranges: [[at, at + 1] as const],
      }));
      expect(h.resume(1, claims).map(({ ranges }) => ranges)).toEqual([[], [], [[2, 3]]]);
    }
  });

  it("a consumer without a stream while it was applied: comes back to the same leader with nothing", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1);
    h.pump();
    h.lose(1);
    h.seek(0);
    h.consumer(2, 1000, { id: "w1", resumes: false });
    const claim = { leaderEpoch: h.term, ranges: [[0, 2] as const] };
    expect(h.resume(2, [claim])).toEqual([{ number: 0, ranges: [] }]);
    expect(shown(h.turn())).toEqual(["2: 0-1"]);
  });
});
