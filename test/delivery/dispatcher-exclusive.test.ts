import { describe, expect, it } from "vitest";
import { chooseOwner } from "../../src/delivery/rendezvous-plan.ts";
import { DEADLINE_MS, Harness, offsetsOf, shown } from "./dispatch-support.ts";

/** Keys 1 and 2 with ids of which the first, or the second, is chosen for "t/0". */
function pair(): { readonly chosen: string; readonly other: string } {
  const chosen = chooseOwner([{ id: "x" }, { id: "y" }], "t/0")?.id ?? "";
  return { chosen, other: chosen === "x" ? "y" : "x" };
}

describe("dispatcher, exclusive: one consumer", () => {
  it("in offset order to the one that is chosen", () => {
    const h = new Harness("exclusive");
    const { chosen, other } = pair();
    h.append(5);
    h.append(5);
    h.consumer(1, 1000, { id: other });
    h.consumer(2, 7, { id: chosen });
    expect(shown(h.pump())).toEqual(["2: 0-4", "2: 5-6"]);
    expect(h.dispatcher.progress().activeConsumer).toBe(chosen);
    h.credit(2, 10);
    expect(shown(h.pump())).toEqual(["2: 7-9"]);
  });

  it("hand-over: waits until the former one's leases are settled or over", () => {
    const h = new Harness("exclusive");
    const { chosen, other } = pair();
    h.append(6);
    h.consumer(1, 3, { id: other });
    expect(shown(h.pump())).toEqual(["1: 0-2"]);
    h.consumer(2, 1000, { id: chosen });
    h.credit(1, 100);
    expect(h.pump()).toEqual([]);
    h.settle(1, "ack", 1, [[0, 2]]);
    expect(h.turn()).toEqual([]);
    h.settle(1, "release", 1, [[2, 3]]);
    expect(shown(h.turn())).toEqual(["2: 2-5"]);
    expect(h.dispatcher.progress().activeConsumer).toBe(chosen);
  });

  it("hand-over: waits until what the former one acknowledged is in force, also when it is gone", () => {
    for (const isGone of [false, true]) {
      const h = new Harness("exclusive");
      const { chosen, other } = pair();
      h.append(6);
      h.consumer(1, 3, { id: other });
      h.pump();
      h.consumer(2, 1000, { id: chosen });
      h.settle(1, "ack", 1, [[0, 3]]);
      if (isGone) h.lose(1);
      expect(h.pump()).toEqual([]);
      // Another leader would hand out 0 to 2 again.
      expect(h.replicateUntold()).toBe(true);
      expect(h.pump()).toEqual([]);
      h.dispatcher.updateApplied(h.nowMs);
      expect(shown(h.pump())).toEqual(["2: 3-5"]);
    }
  });

  it("hand-over: also from a consumer that went on with what another leader gave it", () => {
    const h = new Harness("exclusive");
    const { chosen, other } = pair();
    h.append(6);
    h.consumer(1, 1000, { id: other, resumes: false });
    h.resume(1, [{ leaderEpoch: 1, ranges: [[0, 3]] }]);
    h.consumer(2, 1000, { id: chosen });
    h.settle(1, "ack", 1, [[0, 3]]);
    expect(h.pump()).toEqual([]);
    h.replicate();
    expect(shown(h.pump())).toEqual(["2: 3-5"]);
  });

  it("no hand-over: what comes next does not wait for acknowledgements", () => {
    const h = new Harness("exclusive");
    h.append(6);
    h.consumer(1, 3);
    h.pump();
    h.settle(1, "ack", 1, [[0, 3]]);
    h.credit(1, 3);
    expect(shown(h.pump())).toEqual(["1: 3-5"]);
  });

  it("the active one is lost: the other one goes on where it stood", () => {
    const h = new Harness("exclusive");
    const { chosen, other } = pair();
    h.append(6);
    h.consumer(1, 3, { id: chosen });
    h.consumer(2, 100, { id: other });
    h.pump();
    h.settle(1, "ack", 1, [[0, 1]]);
    h.lose(1);
    expect(shown(h.turn())).toEqual(["2: 1-5"]);
    expect(h.dispatcher.progress().activeConsumer).toBe(other);
  });

  it("partitions spread over consumers, and few change hands when one comes", () => {
    const ids = Array.from({ length: 5 }, (_, at) => ({ id: `consumer-${at}` }));
    const owners = (count: number): (string | undefined)[] =>
      Array.from({ length: 100 }, (_, at) => chooseOwner(ids.slice(0, count), `topic/${at}`)?.id);
    const [four, five] = [owners(4), owners(5)];
    expect(new Set(five).size).toBe(5);
    const changed = four.filter((owner, at) => owner !== five[at]);
    expect(changed.length).toBeLessThan(40);
    expect(five.filter((owner, at) => owner !== four[at])).toEqual(changed.map(() => "consumer-4"));
  });
});

describe("dispatcher, exclusive: failing", () => {
  it("a failure revokes what is out behind it, and blocks the partition until its next attempt", () => {
    const h = new Harness("exclusive");
    h.append(4);
    h.append(4);
    h.consumer(1, 6);
    h.pump();
    h.settle(1, "nack", 1, [[1, 2]]);
    h.settle(1, "ack", 1, [[0, 1]]);
    h.credit(1, 100);
    expect(h.turn()).toEqual([]);
    expect(h.lost()).toEqual([
      { consumer: 1, ranges: [[2, 4]], cause: "revoked" },
      { consumer: 1, ranges: [[4, 6]], cause: "revoked" },
    ]);
    expect(h.dispatcher.explain(5, h.nowMs).fate).toMatchObject({
      kind: "waiting",
      behindOffset: 1,
    });
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + 1000);
    h.pass(1000);
    const again = h.pump();
    expect(shown(again)).toEqual(["1: 1-3", "1: 4-7"]);
    expect(again[0]?.redeliveries).toEqual([
      { offset: 1, handedOut: 2, failed: 1 },
      { offset: 2, handedOut: 2, failed: 0 },
      { offset: 3, handedOut: 2, failed: 0 },
    ]);
    expect(h.state.failures.size).toBe(1);
  });

  it("while a failure is under way nothing goes out", () => {
    const h = new Harness("exclusive");
    h.append(4);
    h.consumer(1, 2);
    h.pump();
    h.settle(1, "nack", 1, [[1, 2]], { retryAtMs: 1 });
    h.credit(1, 100);
    expect(h.pump()).toEqual([]);
    expect(offsetsOf(h.turn())).toEqual([1, 2, 3]);
  });

  it("a deadline: what was begun failed, what is behind it comes back with it", () => {
    const h = new Harness("exclusive");
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "begun", 1, [[1, 2]]);
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([0]);
    h.setSilent(1, false);
    h.pass(1000);
    expect(offsetsOf(h.turn())).toEqual([1, 2, 3]);
  });

  it("stop: the partition stands until it is released", () => {
    const h = new Harness("exclusive", { onFailure: "stop" });
    h.append(3);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    expect(h.turn()).toEqual([]);
    expect(h.dispatcher.progress().stoppedAt).toBe(0);
    h.dispatcher.releaseParked(0, "retry");
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2]);
  });

  it("skip: the message is dead, the next one follows", () => {
    const h = new Harness("exclusive", { onFailure: "skip" });
    h.append(3);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    expect(offsetsOf(h.turn())).toEqual([1, 2]);
    h.dispatcher.deadMoved(0);
    h.turn();
    expect(h.state.cursor).toBe(1);
  });

  it("park: the key is passed over until it is released", () => {
    const h = new Harness("exclusive", { onFailure: "park" });
    h.append(["a", "b", "a", "b"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    expect(offsetsOf(h.turn())).toEqual([1, 3]);
    expect(h.state.parked.byOffset(0)?.key).toEqual(Buffer.from("a"));
    h.append(["a", "c"]);
    expect(offsetsOf(h.turn())).toEqual([5]);
    h.dispatcher.releaseParked(0, "retry");
    expect(offsetsOf(h.turn())).toEqual([0, 2, 4]);
    expect(h.heldBatches).toEqual([]);
  });
});

describe("dispatcher, exclusive: another leader", () => {
  it("held messages: go on when nothing stands before them", () => {
    const h = new Harness("exclusive");
    h.append(6);
    h.consumer(1, 4);
    h.turn();
    h.settle(1, "ack", 1, [[0, 1]]);
    h.turn();
    h.changeLeader();
    h.consumer(1, 100, { resumes: false });
    expect(h.resume(1, [{ ranges: [[1, 3]] }, { ranges: [[4, 5]] }])).toEqual([
      { number: 1, ranges: [[1, 3]] },
      { number: 0, ranges: [] },
    ]);
    expect(offsetsOf(h.pump())).toEqual([3, 4, 5]);
  });

  it("held messages of two consumers: only the first ones go on", () => {
    const h = new Harness("exclusive");
    h.append(6);
    h.consumer(1, 1, { resumes: false });
    h.consumer(2, 1, { resumes: false });
    expect(h.resume(1, [{ ranges: [[0, 1]] }])[0]?.number).toBe(1);
    expect(h.resume(2, [{ ranges: [[1, 2]] }])[0]?.number).toBe(0);
  });
});

describe("dispatcher, exclusive: time", () => {
  it("a retry that falls due while nothing may go out: wakes nobody again and again", () => {
    const h = new Harness("exclusive");
    h.append(2);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.turn();
    const dueMs = h.dispatcher.wakeAtMs();
    expect(dueMs).toBeGreaterThan(h.nowMs);
    h.configure({ pausedUntilMs: Number.MAX_SAFE_INTEGER });
    h.pass(dueMs - h.nowMs);
    h.turn();
    expect(h.dispatcher.wakeAtMs()).toBeGreaterThan(h.nowMs);
    h.configure({ pausedUntilMs: 0 });
    expect(offsetsOf(h.turn())).toEqual([0, 1]);
  });

  it("how much is out follows from how much is sent in vain", () => {
    const h = new Harness("exclusive");
    for (let at = 0; at < 2000; at += 1) h.append(1);
    h.consumer(1, 100_000);
    const out = (): number => h.dispatcher.progress().outstandingMessages;
    h.pump();
    expect(out()).toBe(1000);
    // The first one fails again and again: each time less is sent behind it.
    const sizes: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      h.configure({ retry: { ...h.definition.retry, attemptsMax: 100 } });
      const first = h.dispatcher.lastNumber - out() + 1;
      h.settle(1, "nack", first);
      h.turn();
      h.pass(10_000);
      h.turn();
      sizes.push(out());
    }
    expect(sizes).toEqual([500, 250, 125, 62, 31, 16, 16, 16]);
    // What is settled lets more be out, up to twice as much each time.
    const grown: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const last = h.dispatcher.lastNumber;
      for (let number = last - out() + 1; number <= last; number += 1) h.settle(1, "ack", number);
      h.turn();
      grown.push(out());
    }
    expect(grown).toEqual([32, 64, 128, 256]);
  });

  it("what the filter does not want lets nothing more be out", () => {
    const h = new Harness("exclusive");
    h.isUnwanted = (offset) => offset % 10 !== 0;
    for (let at = 0; at < 400; at += 1) h.append(100);
    h.consumer(1, 100_000);
    const out = (): number => h.dispatcher.progress().outstandingMessages;
    h.pump();
    expect(out()).toBe(1000);
    h.settle(1, "nack", 1, [[0, 1]]);
    h.turn();
    for (let second = 0; second < 10; second += 1) {
      h.pass(1000);
      h.turn();
    }
    expect(h.dispatcher.progress().filteredMessages).toBeGreaterThan(4000);
    expect(out()).toBe(500);
  });

  it("the next attempt becomes due in the middle of a turn", () => {
    const h = new Harness("exclusive");
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    expect(h.turn()).toEqual([]);
    const dueMs = h.nowMs + 1000;
    expect(h.dispatcher.wakeAtMs()).toBe(dueMs);
    h.pass(999);
    h.take();
    // Between handing out and reading the clock goes on.
    h.pass(1);
    expect(h.dispatcher.nextRead(h.nowMs)).toBeUndefined();
    expect(h.dispatcher.wakeAtMs()).toBeLessThanOrEqual(h.nowMs);
    expect(shown(h.pump())).toEqual(["1: 0-3"]);
  });

  it("what is due while the subscription is paused waits for that", () => {
    const h = new Harness("exclusive");
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.turn();
    h.configure({ pausedUntilMs: h.nowMs + 5000 });
    h.pass(1000);
    expect(h.pump()).toEqual([]);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + 4000);
  });
});
