import { describe, expect, it } from "vitest";
import { DEADLINE_MS, Harness, hashesOf, offsetsOf, shown } from "./dispatch-support.ts";

describe("dispatcher, keyed: order", () => {
  it("one message of a key is out, messages of other keys and without a key go on", () => {
    const h = new Harness("keyed");
    h.append(["a", "b", "a", undefined, "b", undefined, "c"]);
    h.consumer(1);
    expect(shown(h.pump())).toEqual(["1: 0-1 3 5-6"]);
    h.settle(1, "ack", 1, [[0, 1]]);
    expect(h.pump()).toEqual([]);
    expect(shown(h.turn())).toEqual(["1: 2"]);
    expect(h.dispatcher.explain(4, h.nowMs).fate).toEqual({
      kind: "waiting",
      behindOffset: 1,
      key: Buffer.from("b"),
    });
  });

  it("the next one of a key goes out when the ack is applied, not before", () => {
    const h = new Harness("keyed");
    h.append(["a", "a"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "ack", 1);
    const update = h.dispatcher.takeUpdate(h.nowMs);
    expect(h.pump()).toEqual([]);
    if (update !== undefined) h.state.update(update, h.endOffset);
    h.dispatcher.updateApplied(h.nowMs);
    expect(shown(h.pump())).toEqual(["1: 1"]);
  });

  it("keys spread over consumers, and the batch is released when its last message went out", () => {
    const h = new Harness("keyed");
    h.append(["a", "b", "c", "a"]);
    h.consumer(1, 1);
    h.consumer(2, 2);
    expect(shown(h.pump())).toEqual(["1: 0", "2: 1-2"]);
    expect(h.heldBatches).toEqual(["b0"]);
    h.settle(1, "ack", 1);
    h.credit(2, 1);
    expect(shown(h.turn())).toEqual(["2: 3"]);
    expect(h.heldBatches).toEqual([]);
  });

  it("a failed message blocks its key until its next attempt, others go on", () => {
    const h = new Harness("keyed");
    h.append(["a", "b", "a", "b"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.settle(1, "ack", 1, [[1, 2]]);
    expect(shown(h.turn())).toEqual(["1: 3"]);
    h.pass(999);
    expect(h.pump()).toEqual([]);
    h.pass(1);
    const again = h.pump();
    expect(shown(again)).toEqual(["1: 0"]);
    expect(again[0]?.redeliveries).toEqual([{ offset: 0, handedOut: 2, failed: 1 }]);
    h.settle(1, "ack", again[0]?.number ?? 0);
    expect(shown(h.turn())).toEqual(["1: 2"]);
  });

  it("what comes back without penalty goes out again before later ones of its key", () => {
    const h = new Harness("keyed");
    h.append(["a", "b", "a", undefined]);
    h.consumer(1);
    h.pump();
    h.lose(1);
    h.consumer(2);
    expect(offsetsOf(h.pump()).sort()).toEqual([0, 1, 3]);
    expect(h.state.failures.size).toBe(0);
  });

  it("the window: when 4096 messages wait nothing more is read until one goes out", () => {
    const h = new Harness("keyed");
    for (let batch = 0; batch < 12; batch += 1) h.append(new Array<string>(500).fill("a"));
    h.append(["b"]);
    h.consumer(1);
    expect(shown(h.pump())).toEqual(["1: 0"]);
    const reads = h.reads.length;
    expect(h.heldBatches.length).toBeLessThanOrEqual(12);
    h.append(["c"]);
    h.pump();
    expect(h.reads.length).toBe(reads);
    for (let number = 1; number < 2000; number += 1) {
      h.settle(1, "ack", number);
      h.credit(1, 1);
      h.turn();
    }
    expect(h.state.settled.isSettled(1996)).toBe(true);
    expect(h.dispatcher.explain(6000, h.nowMs).fate.kind).toBe("settled");
  });

  it("the window: of what it does not reach nobody knows whether something comes before it", () => {
    const h = new Harness("keyed");
    for (let batch = 0; batch < 12; batch += 1) h.append(new Array<string>(500).fill("a"));
    h.append(["b", "a", "b", undefined]);
    h.consumer(1);
    h.pump();
    const fateOf = (offset: number, key: string | undefined) => {
      const value = key === undefined ? undefined : Buffer.from(key);
      return h.dispatcher.explain(offset, h.nowMs, { value }).fate;
    };
    const unread = { offset: 4097, key: Buffer.from("b") };
    expect(fateOf(6002, "b")).toEqual({ kind: "ready", unread });
    expect(fateOf(6001, "a")).toMatchObject({ kind: "waiting", behindOffset: 0 });
    expect(fateOf(6003, undefined)).toEqual({ kind: "ready", unread: undefined });
  });

  it("the window: what was looked at and waits for credit only is ready", () => {
    const h = new Harness("keyed");
    h.append(["a", "b"]);
    h.consumer(1, 1);
    h.pump();
    const key = { value: Buffer.from("b") };
    expect(h.dispatcher.explain(1, h.nowMs, key).fate).toEqual({
      kind: "ready",
      unread: undefined,
    });
    h.append(["c"]);
    h.lose(1);
    h.dispatcher.dropReadAhead();
    expect(h.dispatcher.explain(1, h.nowMs, key).fate).toMatchObject({ unread: { offset: 0 } });
  });

  it("the window in bytes: large batches that wait are bounded", () => {
    const h = new Harness("keyed");
    for (let batch = 0; batch < 40; batch += 1) h.append(new Array<string>(5000).fill("a"));
    h.consumer(1);
    h.pump();
    expect(h.heldBatches.length).toBeLessThanOrEqual(10);
  });

  it("a filter: unwanted messages of a key do not hold it up", () => {
    const h = new Harness("keyed");
    h.isUnwanted = (offset) => offset === 0 || offset === 2;
    h.append(["a", "a", "a", "a"]);
    h.consumer(1);
    expect(shown(h.pump())).toEqual(["1: 1"]);
    h.settle(1, "ack", 1);
    expect(shown(h.turn())).toEqual(["1: 3"]);
  });

  it("another filter: a retry that is unwanted now lets its key go on", () => {
    const h = new Harness("keyed");
    h.append(["a", "a"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1);
    h.turn();
    h.isUnwanted = (offset) => offset === 0;
    h.configure({ filter: "other" });
    h.pass(1000);
    h.turn();
    h.pass(1000);
    expect(shown(h.turn())).toEqual(["1: 1"]);
    expect(h.state.cursor).toBe(1);
  });

  it("retention: a key goes on behind a message that was dropped", () => {
    const h = new Harness("keyed");
    h.append(["a", "b"]);
    h.append(["a", "b"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.turn();
    h.dropBelow(2);
    expect(shown(h.turn())).toEqual(["1: 2"]);
    h.pass(DEADLINE_MS);
    const [first] = h.turn();
    h.settle(1, "release", first?.number ?? 0);
    expect(offsetsOf(h.turn()).sort()).toEqual([2, 3]);
  });

  it("seek back: everything goes out again in order", () => {
    const h = new Harness("keyed");
    h.append(["a", "a", "b"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "ack", 1);
    h.turn();
    h.seek(0);
    expect(shown(h.turn())).toEqual(["1: 0 2"]);
    expect(h.lost()).toEqual([{ consumer: 1, ranges: [[1, 2]], cause: "seek" }]);
  });
});

describe("dispatcher, keyed: failed for good", () => {
  it("skip: the message is dead, the next one of its key follows", () => {
    const h = new Harness("keyed", { onFailure: "skip" });
    h.append(["a", "a"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1);
    expect(shown(h.turn())).toEqual(["1: 1"]);
    expect(h.state.failures.get(0)?.isDead).toBe(true);
  });

  it("park: nothing of the key goes out until it is released, then all of it in order", () => {
    const h = new Harness("keyed", { onFailure: "park" });
    h.append(["a", "b", "a", "b"]);
    h.append(["a", "c"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.settle(1, "ack", 1, [[1, 2]]);
    expect(offsetsOf(h.turn())).toEqual([3]);
    expect(h.state.parked.byOffset(0)).toMatchObject({ key: Buffer.from("a"), scope: "key" });
    expect(h.dispatcher.explain(0, h.nowMs).fate.kind).toBe("parked");
    const key = { value: Buffer.from("a") };
    expect(h.dispatcher.explain(4, h.nowMs, key).fate).toEqual({
      kind: "parked",
      behindOffset: 0,
      key: key.value,
    });
    expect(h.dispatcher.progress().parkedKeys).toBe(1);
    expect(h.heldBatches).toEqual([]);
    h.append(["a"]);
    expect(h.pump()).toEqual([]);
    expect(h.dispatcher.releaseParked(3, "retry")).toBe(false);
    expect(h.dispatcher.releaseParked(0, "retry")).toBe(true);
    const order: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      for (const { number, ranges } of h.turn()) {
        order.push(...ranges.flatMap(([from]) => from));
        h.settle(1, "ack", number);
      }
    }
    expect(order.filter((offset) => h.keyOf(offset) === "a")).toEqual([0, 2, 4, 6]);
    expect(h.state.failures.size).toBe(0);
  });

  it("park, released without the message: the next one of the key goes out", () => {
    for (const action of ["settle", "dead"] as const) {
      const h = new Harness("keyed", { onFailure: "park" });
      h.append(["a", "a"]);
      h.consumer(1);
      h.pump();
      h.settle(1, "reject", 1);
      h.turn();
      h.dispatcher.releaseParked(0, action);
      expect(offsetsOf(h.turn())).toEqual([1]);
      expect(h.state.settled.isSettled(0)).toBe(action === "settle");
      expect(h.state.failures.deadCount).toBe(action === "dead" ? 1 : 0);
    }
  });

  it("park: a message without a key has no order, so it is dead", () => {
    const h = new Harness("keyed", { onFailure: "park" });
    h.append([undefined, undefined]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.turn();
    expect(h.state.failures.get(0)?.isDead).toBe(true);
    expect(h.state.parked.size).toBe(0);
  });

  it("parked keys survive a change of leaders", () => {
    const h = new Harness("keyed", { onFailure: "park" });
    h.append(["a", "b", "a"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.turn();
    h.changeLeader();
    h.consumer(1);
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.pump())).toEqual([1]);
    h.dispatcher.releaseParked(0, "retry");
    expect(offsetsOf(h.turn())).toEqual([0]);
  });

  it("stop: nothing at all goes out until somebody releases it", () => {
    const h = new Harness("keyed", { onFailure: "stop" });
    h.append(["a", "b", "a", "b"]);
    h.consumer(1, 2);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    h.settle(1, "ack", 1, [[1, 2]]);
    h.credit(1, 100);
    expect(h.turn()).toEqual([]);
    expect(h.dispatcher.progress().stoppedAt).toBe(0);
    expect(h.dispatcher.explain(3, h.nowMs).fate).toMatchObject({ kind: "paused", stoppedAt: 0 });
    h.dispatcher.releaseParked(0, "retry");
    expect(offsetsOf(h.turn()).sort()).toEqual([0, 3]);
  });

  it("stop, released by another leader", () => {
    const h = new Harness("keyed", { onFailure: "stop" });
    h.append(["a", "a"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1);
    h.turn();
    h.changeLeader();
    h.consumer(1);
    h.pass(DEADLINE_MS);
    expect(h.turn()).toEqual([]);
    h.dispatcher.releaseParked(0, "settle");
    expect(offsetsOf(h.turn())).toEqual([1]);
  });
});

describe("dispatcher, keyed: another leader", () => {
  it("a consumer more: nothing goes out before it is counted, or the next leader would not wait for it", () => {
    const h = new Harness("fifo");
    h.isCounting = false;
    h.append(["a", "b"]);
    h.consumer(1, 1);
    expect(h.pump()).toEqual([]);
    // That is replicated after this turn, and not for the sake of time.
    expect(h.dispatcher.wakeAtMs()).toBe(Number.POSITIVE_INFINITY);
    expect(offsetsOf(h.turn())).toEqual([0]);
    h.consumer(2, 1);
    expect(h.pump()).toEqual([]);
    expect(offsetsOf(h.turn())).toEqual([1]);
    h.changeLeader();
    h.consumer(3);
    expect(h.turn()).toEqual([]);
  });

  it("waits for the consumers of the last one, at most one ack deadline", () => {
    const h = new Harness("keyed");
    h.append(["a", "a"]);
    h.consumer(1);
    h.consumer(2);
    h.turn();
    expect([...h.state.noted.all()]).toEqual(hashesOf(["w1", "w2"]));
    h.changeLeader();
    h.consumer(1);
    expect(h.pump()).toEqual([]);
    expect(h.replicate()).toBe(false);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + DEADLINE_MS);
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([0]);
    expect([...h.state.noted.all()]).toEqual(hashesOf(["w1"]));
  });

  it("hands out at once when all are back, behind what they still work on", () => {
    const h = new Harness("keyed");
    h.append(["a", "b", "a", "b"]);
    h.consumer(1, 1);
    h.consumer(2, 1);
    h.turn();
    h.turn();
    h.changeLeader();
    h.consumer(1);
    h.consumer(2, 1000, { resumes: false });
    expect(h.pump()).toEqual([]);
    expect(h.resume(2, [{ ranges: [[1, 2]] }])).toEqual([{ number: 1, ranges: [[1, 2]] }]);
    expect(shown(h.pump())).toEqual(["1: 0"]);
    h.settle(2, "ack", 1);
    expect(shown(h.turn())).toEqual(["2: 3"]);
  });

  it("what a consumer went on with and loses before it was met: goes out again in its place", () => {
    const h = new Harness("keyed");
    h.append(["a", "a", "b"]);
    h.consumer(1, 0, { resumes: false });
    h.resume(1, [{ ranges: [[0, 1]] }]);
    h.lose(1);
    h.consumer(2);
    expect(shown(h.pump())).toEqual(["2: 0 2"]);
  });

  it("park of a message whose key nobody has looked at: the key is read", () => {
    const h = new Harness("keyed", { onFailure: "park" });
    h.append(["a", "a", "b"]);
    h.consumer(1, 0, { resumes: false });
    h.resume(1, [{ ranges: [[0, 1]] }]);
    const { outcome, number } = h.settle(1, "reject", 1);
    expect(outcome).toBe("later");
    h.turn();
    expect(h.state.parked.byOffset(0)?.key).toEqual(Buffer.from("a"));
    h.take();
    expect(h.confirmed()).toEqual([number]);
    h.credit(1, 10);
    expect(shown(h.turn())).toEqual(["1: 2"]);
    expect(h.heldBatches).toEqual([]);
  });

  it("a message that is ready and not out: may still be adopted", () => {
    const h = new Harness("keyed");
    h.append(["a", "b", "a"]);
    h.consumer(1, 1);
    h.pump();
    h.consumer(2, 100, { resumes: false });
    expect(h.resume(2, [{ ranges: [[0, 3]] }])).toEqual([{ number: 2, ranges: [[1, 2]] }]);
    expect(h.pump()).toEqual([]);
    expect(h.heldBatches).toEqual(["b0"]);
  });

  it("a failure that waits for its time: blocks its key under the next leader too", () => {
    const h = new Harness("keyed");
    h.append(["a", "a", "b"]);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.settle(1, "ack", 1, [[2, 3]]);
    h.turn();
    h.changeLeader();
    h.consumer(1);
    h.consumer(2);
    expect(h.pump()).toEqual([]);
    h.pass(1000);
    expect(offsetsOf(h.pump())).toEqual([0]);
  });
});
