// A consumer that lost something by its deadline and has said nothing since may be gone: whoever is there comes first.
import { describe, expect, it } from "vitest";
import { chooseOwner } from "../../src/delivery/rendezvous-plan.ts";
import { DEADLINE_MS, Harness, offsetsOf, shown } from "./dispatch-support.ts";

/** Two ids of which the first one is chosen for "t/0". */
function pair(): { readonly chosen: string; readonly other: string } {
  const chosen = chooseOwner([{ id: "x" }, { id: "y" }], "t/0")?.id ?? "";
  return { chosen, other: chosen === "x" ? "y" : "x" };
}

/** It has so much credit more, and has said nothing. */
function raise(h: Harness, key: number, messages: number): void {
  const credit = h.credits.get(key);
  if (credit !== undefined) credit.messages += messages;
  h.dispatcher.creditAdded(key);
}

/** The partition is consumer 1's, which has got 0 to 2 and no word out since. */
function exclusive(): Harness {
  const h = new Harness("exclusive");
  const { chosen, other } = pair();
  h.append(8);
  h.consumer(1, 3, { id: chosen });
  h.consumer(2, 4, { id: other });
  expect(shown(h.turn())).toEqual(["1: 0-2"]);
  return h;
}

describe("dispatcher, silent consumers: exclusive", () => {
  it("the partition goes to the other one when the deadline has passed, and not before", () => {
    const h = exclusive();
    h.pass(DEADLINE_MS - 1);
    expect(h.turn()).toEqual([]);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + 1);
    h.pass(1);
    expect(shown(h.turn())).toEqual(["2: 0-3"]);
    expect(h.dispatcher.progress().activeConsumer).toBe(pair().other);
    h.settle(2, "ack", 2, [[0, 4]]);
    h.credit(2, 100);
    expect(shown(h.turn())).toEqual(["2: 4-7"]);
  });

  it("credit that is left to it changes nothing", () => {
    const h = exclusive();
    h.credit(1, 100);
    expect(shown(h.turn())).toEqual(["1: 3-7"]);
    h.pass(DEADLINE_MS);
    expect(shown(h.turn())).toEqual(["2: 0-3"]);
  });

  it("what it began has failed: the other one gets it when it is due", () => {
    const h = exclusive();
    h.settle(1, "begun", 1, [[0, 1]]);
    h.pass(DEADLINE_MS);
    expect(h.turn()).toEqual([]);
    h.pass(1000);
    expect(shown(h.turn())).toEqual(["2: 0-3"]);
  });

  it("it speaks before anything went out: the partition stays its own", () => {
    const h = exclusive();
    h.settle(1, "begun", 1, [[0, 1]]);
    h.pass(DEADLINE_MS);
    expect(h.turn()).toEqual([]);
    h.credit(1, 10);
    h.pass(1000);
    expect(shown(h.turn())).toEqual(["1: 0-7"]);
  });

  it("a handler that is late settles: the partition comes back once, after what the other one has is in force", () => {
    const h = exclusive();
    h.pass(DEADLINE_MS);
    h.turn();
    expect(h.settle(1, "ack", 1, [[0, 1]]).outcome).toBe("stale");
    h.credit(1, 100);
    h.credit(2, 100);
    expect(h.turn()).toEqual([]);
    h.settle(2, "ack", 2, [[0, 4]]);
    expect(h.pump()).toEqual([]);
    expect(shown(h.turn())).toEqual(["1: 4-7"]);
    h.append(4);
    expect(shown(h.turn())).toEqual(["1: 8-11"]);
  });

  it("all are silent: as if nobody was, but one message at a time", () => {
    const h = exclusive();
    raise(h, 1, 5);
    expect(shown(h.turn())).toEqual(["1: 3-7"]);
    raise(h, 1, 5);
    h.pass(DEADLINE_MS);
    expect(shown(h.turn())).toEqual(["2: 0-3"]);
    h.pass(DEADLINE_MS);
    expect(shown(h.turn())).toEqual(["1: 0"]);
    h.pass(DEADLINE_MS);
    h.credit(2, 4);
    expect(shown(h.turn())).toEqual(["2: 0-3"]);
  });

  it("the only one: gets it again, first one message, and the rest when it speaks", () => {
    const h = new Harness("exclusive");
    h.append(3);
    h.consumer(1, 100);
    expect(shown(h.turn())).toEqual(["1: 0-2"]);
    for (let round = 0; round < 2; round += 1) {
      h.pass(DEADLINE_MS);
      expect(shown(h.turn())).toEqual(["1: 0"]);
    }
    h.setSilent(1, false);
    expect(shown(h.turn())).toEqual(["1: 1-2"]);
  });

  it("one that comes now is preferred, one that drains or has not resumed is not", () => {
    const h = exclusive();
    h.dispatcher.drain(2);
    h.consumer(3, 100, { id: "z", resumes: false });
    h.pass(DEADLINE_MS);
    h.credit(1, 3);
    h.setSilent(1, true);
    expect(shown(h.turn())).toEqual(["1: 0"]);
    h.resume(3, []);
    h.pass(DEADLINE_MS);
    expect(shown(h.turn())).toEqual(["3: 0-7"]);
  });
});

describe("dispatcher, silent consumers: other modes", () => {
  it.each(["shared", "keyed", "fifo"] as const)(
    "%s: nothing goes to a silent one while somebody else has credit",
    (mode) => {
      const h = new Harness(mode);
      const keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
      h.append(keys);
      h.consumer(1, 1);
      h.consumer(2, 2);
      expect(shown(h.turn())).toEqual(["1: 0", "2: 1-2"]);
      h.settle(2, "ack", 2);
      h.credit(1, 100);
      expect(shown(h.turn())).toEqual(["1: 3-7"]);
      h.credit(2, 100);
      h.pass(DEADLINE_MS);
      h.append(keys);
      const deliveries = h.turn();
      // Keys of which an earlier message is out have to wait.
      const others = mode === "shared" ? [8, 9, 10, 11, 12, 13, 14, 15] : [9, 10];
      const offsets = offsetsOf(deliveries).sort((a, b) => a - b);
      expect(offsets).toEqual([0, 3, 4, 5, 6, 7, ...others]);
      expect(deliveries.map(({ consumer }) => consumer)).toEqual(deliveries.map(() => 2));
    },
  );

  it("shared: it gets what nobody else can take, and its turns like anybody once it speaks", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1, 2);
    h.turn();
    h.consumer(2, 3);
    h.setSilent(1, true);
    raise(h, 1, 4);
    h.append(10);
    // What it has already may be all that anybody will ever hear of.
    expect(shown(h.turn())).toEqual(["2: 2-4"]);
    h.setSilent(1, false);
    h.credit(2, 1);
    expect(shown(h.turn()).sort()).toEqual(["1: 5-8", "2: 9"]);
  });

  it.each(["shared", "keyed", "fifo"] as const)(
    "%s: all are silent: one message each, whatever their credit is; who speaks gets more",
    (mode) => {
      const h = new Harness(mode);
      h.append(["a", "b", "c", "d", "e", "f"]);
      h.consumer(1, 100);
      h.turn();
      h.consumer(2, 100);
      h.setSilent(2, true);
      for (let round = 0; round < 3; round += 1) {
        h.pass(DEADLINE_MS);
        const deliveries = h.turn();
        expect(offsetsOf(deliveries)).toHaveLength(2);
        expect(deliveries.map(({ consumer }) => consumer).sort()).toEqual([1, 2]);
        expect(h.turn()).toEqual([]);
      }
      h.setSilent(2, false);
      const deliveries = h.turn();
      expect(offsetsOf(deliveries)).toHaveLength(4);
      expect(new Set(deliveries.map(({ consumer }) => consumer))).toEqual(new Set([2]));
    },
  );

  it("shared: a lone word between two losses", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1, 100);
    h.turn();
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([0]);
    h.credit(1, 1);
    expect(offsetsOf(h.turn())).toEqual([1]);
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([0]);
  });

  it("shared: what it has is taken from it by a seek: it is asked again at once", () => {
    const h = new Harness("shared");
    h.append(3);
    h.consumer(1, 100);
    h.turn();
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([0]);
    h.seek(1);
    expect(offsetsOf(h.turn())).toEqual([1]);
  });
});
