import { describe, expect, it } from "vitest";
import { DEADLINE_MS, Harness, offsetsOf, shown } from "./dispatch-support.ts";

describe("dispatcher, shared: handing out", () => {
  it("whole batches: go out undecoded, and nothing is kept of them", () => {
    const h = new Harness("shared");
    h.append(100);
    h.append(50);
    h.consumer(1);
    const deliveries = h.pump();
    expect(shown(deliveries)).toEqual(["1: 0-99", "1: 100-149"]);
    expect(deliveries.map(({ isWhole, number }) => [isWhole, number])).toEqual([
      [true, 1],
      [true, 2],
    ]);
    expect(h.heldBatches).toEqual([]);
    expect(h.credits.get(1)?.messages).toBe(850);
  });

  it("little credit: a consumer gets a part of a batch, the rest goes to the next one", () => {
    const h = new Harness("shared");
    h.append(10);
    h.consumer(1, 3);
    h.consumer(2, 4);
    expect(shown(h.pump())).toEqual(["1: 0-2", "2: 3-6"]);
    h.credit(1, 100);
    const rest = h.pump();
    expect(shown(rest)).toEqual(["1: 7-9"]);
    expect(rest[0]?.isWhole).toBe(false);
  });

  it("bytes of credit: the last delivery may exceed them", () => {
    const h = new Harness("shared");
    h.append(10);
    h.consumer(1);
    h.credits.set(1, { messages: 1000, bytes: 0 });
    h.lose(1);
    const credit = { messages: 1000, bytes: 250 };
    h.dispatcher.addConsumer(2, { id: "x", reportsBegun: true, credit }, h.nowMs);
    expect(shown(h.pump())).toEqual(["2: 0-1", "2: 2"]);
    expect(credit.bytes).toBe(-50);
    expect(h.pump()).toEqual([]);
  });

  it("a thousand consumers with little credit: all make progress", () => {
    const h = new Harness("shared");
    for (let batch = 0; batch < 30; batch += 1) h.append(500);
    for (let key = 1; key <= 1000; key += 1) h.consumer(key, 5);
    const got = new Map<number, number>();
    for (let round = 0; round < 3; round += 1) {
      for (const { consumer, ranges } of h.pump()) {
        for (const [from, to] of ranges) got.set(consumer, (got.get(consumer) ?? 0) + to - from);
      }
      for (let key = 1; key <= 1000; key += 1) h.credit(key, 5);
    }
    expect(got.size).toBe(1000);
    expect(new Set(got.values())).toEqual(new Set([15]));
  });

  it("credit that another partition used up: counts here as well", () => {
    const h = new Harness("shared");
    h.append(10);
    h.consumer(1, 5);
    const credit = h.credits.get(1);
    if (credit !== undefined) credit.messages = 0;
    expect(h.pump()).toEqual([]);
    h.credit(1, 2);
    expect(shown(h.pump())).toEqual(["1: 0-1"]);
  });

  it("a draining consumer: gets nothing more and may settle", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 2);
    const [delivery] = h.pump();
    h.dispatcher.drain(1);
    h.credit(1, 100);
    expect(h.pump()).toEqual([]);
    expect(h.settle(1, "ack", delivery?.number ?? 0).outcome).toBe("later");
    h.replicate();
    expect(h.state.cursor).toBe(2);
  });

  it("paused: nothing goes out until the time has come", () => {
    const h = new Harness("shared", { pausedUntilMs: 1_000_500 });
    h.append(4);
    h.consumer(1);
    expect(h.pump()).toEqual([]);
    expect(h.dispatcher.wakeAtMs()).toBe(1_000_500);
    expect(h.dispatcher.explain(0, h.nowMs).fate.kind).toBe("paused");
    h.pass(500);
    expect(shown(h.pump())).toEqual(["1: 0-3"]);
  });

  it("paused: its end comes in the middle of a turn", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 2);
    expect(shown(h.pump())).toEqual(["1: 0-1"]);
    h.configure({ pausedUntilMs: h.nowMs + 500 });
    h.credit(1, 2);
    h.pass(499);
    h.take();
    // Between handing out and reading the clock goes on.
    h.pass(1);
    expect(h.dispatcher.nextRead(h.nowMs)).toBeUndefined();
    expect(h.dispatcher.wakeAtMs()).toBeLessThanOrEqual(h.nowMs);
    expect(shown(h.pump())).toEqual(["1: 2-3"]);
  });

  it("filter: unwanted records are not handed out, and settled with the next update or after a second", () => {
    const h = new Harness("shared");
    h.isUnwanted = (offset) => offset % 2 === 1;
    h.append(6);
    h.consumer(1);
    const [delivery] = h.pump();
    expect(delivery?.ranges).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    expect(delivery?.isWhole).toBe(false);
    expect(h.replicate()).toBe(false);
    h.pass(1000);
    expect(h.replicate()).toBe(true);
    expect([1, 3, 5].every((offset) => h.state.settled.isSettled(offset))).toBe(true);
    expect(h.dispatcher.progress().filteredMessages).toBe(3);
    expect(h.credits.get(1)?.messages).toBe(997);
  });

  it("filter: four thousand unwanted records are settled at once", () => {
    const h = new Harness("shared");
    h.isUnwanted = () => true;
    h.append(4096);
    h.consumer(1);
    h.pump();
    expect(h.replicate()).toBe(true);
    expect(h.state.cursor).toBe(4096);
  });

  it("another filter: what was not handed out is read again", () => {
    const h = new Harness("shared");
    h.isUnwanted = (offset) => offset < 5;
    h.append(10);
    h.consumer(1, 2);
    expect(offsetsOf(h.pump())).toEqual([5, 6]);
    h.isUnwanted = (offset) => offset >= 8;
    h.configure({ filter: "other" });
    h.credit(1, 100);
    expect(offsetsOf(h.pump())).toEqual([0, 1, 2, 3, 4, 7]);
    expect(h.heldBatches).toEqual([]);
  });
});

describe("dispatcher, shared: settling", () => {
  it("acks one by one in any order: are confirmed when they are applied, as one update of ranges", () => {
    const h = new Harness("shared");
    h.append(5);
    h.consumer(1);
    const [delivery] = h.pump();
    const number = delivery?.number ?? 0;
    const numbers = [3, 0, 1, 4].map((offset) => {
      const { number: settle, outcome } = h.settle(1, "ack", number, [[offset, offset + 1]]);
      expect(outcome).toBe("later");
      return settle;
    });
    expect(h.take().confirmed).toEqual([]);
    const update = h.dispatcher.takeUpdate(h.nowMs);
    expect(update?.settle).toEqual([
      [0, 2],
      [3, 5],
    ]);
    expect(h.dispatcher.takeUpdate(h.nowMs)).toBeUndefined();
    if (update !== undefined) h.state.update(update, h.endOffset);
    h.dispatcher.updateApplied(h.nowMs);
    expect(h.take().confirmed).toEqual([{ consumer: 1, numbers }]);
    expect(h.dispatcher.progress()).toMatchObject({ outstandingMessages: 1, cursor: 2 });
  });

  it("a cumulative ack: settles what the consumer holds up to that delivery and range", () => {
    const h = new Harness("shared");
    for (let batch = 0; batch < 3; batch += 1) h.append(4);
    h.consumer(1, 12);
    expect(h.pump()).toHaveLength(3);
    expect(h.settle(1, "ack", 2, [[4, 6]], { isCumulative: true }).outcome).toBe("later");
    h.replicate();
    expect(h.state.cursor).toBe(6);
    expect(h.settle(1, "ack", 2, [], { isCumulative: true }).outcome).toBe("later");
    h.replicate();
    expect(h.state.cursor).toBe(8);
    expect(h.settle(1, "ack", 2, [], { isCumulative: true }).outcome).toBe("confirmed");
    expect(h.settle(1, "ack", 9, [], { isCumulative: true }).outcome).toBe("stale");
  });

  it("a cumulative ack that was sent before a loss could be known: is stale", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1, 2);
    h.pump();
    h.pass(DEADLINE_MS - 1);
    h.append(2);
    h.credit(1, 2);
    h.pump();
    h.pass(1);
    expect(h.pump()).toEqual([]);
    h.credit(1, 2);
    expect(shown(h.pump())).toEqual(["1: 0-1"]);
    expect(h.settle(1, "ack", 2, [], { isCumulative: true }).outcome).toBe("stale");
    expect(h.settle(1, "ack", 3, [], { isCumulative: true }).outcome).toBe("later");
    h.replicate();
    expect(h.state.cursor).toBe(4);
  });

  it("another one's delivery, an unknown one, offsets that are not of it: stale, and nothing happens", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 2);
    h.consumer(2, 2);
    h.pump();
    expect(h.settle(2, "ack", 1).outcome).toBe("stale");
    expect(h.settle(1, "ack", 77).outcome).toBe("stale");
    expect(h.settle(1, "ack", 1, [[0, 3]]).outcome).toBe("stale");
    expect(h.settle(7, "ack", 1).outcome).toBe("stale");
    expect(h.replicate()).toBe(false);
    expect(h.dispatcher.progress().outstandingMessages).toBe(4);
  });

  it("an ack that is said twice: is confirmed with the first one, and at once when that is in force", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "ack", 1, [[1, 3]]);
    const second = h.settle(1, "ack", 1, [[1, 2]]);
    expect(second.outcome).toBe("later");
    const update = h.dispatcher.takeUpdate(h.nowMs);
    const third = h.settle(1, "ack", 1, [[2, 3]]);
    expect(third.outcome).toBe("later");
    if (update !== undefined) h.state.update(update, h.endOffset);
    h.dispatcher.updateApplied(h.nowMs);
    h.take();
    expect(h.confirmed()).toEqual([1, 2, 3]);
    expect(h.settle(1, "ack", 1, [[1, 3]]).outcome).toBe("confirmed");
    expect(h.replicate()).toBe(false);
  });

  it("while a settlement is under way: its messages are not handed out", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1);
    h.consumer(2);
    h.pump();
    h.settle(1, "ack", 1, [[0, 1]]);
    const update = h.dispatcher.takeUpdate(h.nowMs);
    h.lose(1);
    expect(shown(h.pump())).toEqual(["2: 1"]);
    expect(h.dispatcher.explain(0, h.nowMs).fate.kind).toBe("settling");
    if (update !== undefined) h.state.update(update, h.endOffset);
    h.dispatcher.updateApplied(h.nowMs);
    expect(h.dispatcher.explain(0, h.nowMs).fate.kind).toBe("settled");
  });

  it("release of what had failed: the next consumer is told how often", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.turn();
    h.settle(1, "ack", 1, [[1, 2]]);
    h.pass(60_000);
    const [again] = h.turn();
    expect(again?.redeliveries).toEqual([{ offset: 0, handedOut: 2, failed: 1 }]);
    h.settle(1, "release", again?.number ?? 0, [[0, 1]]);
    const [third] = h.turn();
    expect(third?.redeliveries).toEqual([{ offset: 0, handedOut: 3, failed: 1 }]);
  });

  it("release: goes out again at once without penalty", () => {
    const h = new Harness("shared");
    h.append(4);
    h.append(4);
    h.consumer(1, 4);
    h.pump();
    expect(h.settle(1, "release", 1, [[1, 3]]).outcome).toBe("confirmed");
    h.consumer(2);
    const again = h.pump();
    expect(shown(again).sort()).toEqual(["2: 1-2", "2: 4-7"]);
    const redelivered = again.find(({ ranges }) => ranges[0]?.[0] === 1)?.redeliveries;
    expect(redelivered).toEqual([
      { offset: 1, handedOut: 2, failed: 0 },
      { offset: 2, handedOut: 2, failed: 0 },
    ]);
    expect(h.state.failures.size).toBe(0);
  });

  it("extend: the deadline begins anew for what is named only", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 4);
    h.pump();
    h.pass(20_000);
    expect(h.settle(1, "extend", 1, [[1, 2]]).outcome).toBe("confirmed");
    h.pass(10_000);
    h.pump();
    expect(h.lost()).toEqual([
      {
        consumer: 1,
        ranges: [
          [0, 1],
          [2, 4],
        ],
        cause: "deadline",
      },
    ]);
    expect(h.settle(1, "ack", 1).outcome).toBe("stale");
    expect(h.settle(1, "ack", 1, [[1, 2]]).outcome).toBe("later");
    expect(h.settle(1, "extend", 1, [[0, 1]]).outcome).toBe("stale");
  });

  it("extend without ranges: the whole delivery stays", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 4);
    h.pump();
    h.pass(29_999);
    expect(h.settle(1, "extend", 1).outcome).toBe("confirmed");
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + DEADLINE_MS);
    h.pass(29_999);
    h.pump();
    expect(h.lost()).toEqual([]);
  });

  it("another ack deadline: holds for what goes out from then on", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1, 1);
    h.pump();
    h.configure({ ackDeadlineMs: 1000 });
    h.credit(1, 1);
    h.pump();
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + 1000);
    h.pass(1000);
    h.take();
    expect(h.lost()).toEqual([{ consumer: 1, ranges: [[1, 2]], cause: "deadline" }]);
  });
});

describe("dispatcher, shared: failing", () => {
  it("nack: tried again after the policy's delay, others go on meanwhile", () => {
    const h = new Harness("shared");
    h.append(3);
    h.consumer(1);
    h.pump();
    const { number } = h.settle(1, "nack", 1, [[0, 1]], { error: "no stock" });
    h.turn();
    expect(h.confirmed()).toEqual([number]);
    expect(h.state.failures.get(0)).toMatchObject({ failed: 1, notBeforeMs: h.nowMs + 1000 });
    expect(h.dispatcher.explain(0, h.nowMs).fate).toEqual({
      kind: "delayed",
      untilMs: h.nowMs + 1000,
    });
    h.append(1);
    expect(shown(h.pump())).toEqual(["1: 3"]);
    h.pass(999);
    expect(h.pump()).toEqual([]);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + 1);
    h.pass(1);
    const again = h.pump();
    expect(shown(again)).toEqual(["1: 0"]);
    expect(again[0]?.redeliveries).toEqual([{ offset: 0, handedOut: 2, failed: 1 }]);
    expect(h.heldBatches).toEqual([]);
  });

  it("a retry that comes back without penalty: still says how often the message failed", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[0, 1]]);
    h.replicate();
    h.pass(1000);
    const [retry] = h.pump();
    expect(retry?.redeliveries).toEqual([{ offset: 0, handedOut: 2, failed: 1 }]);
    h.settle(1, "release", retry?.number ?? 0, [[0, 1]]);
    expect(h.pump()[0]?.redeliveries).toEqual([{ offset: 0, handedOut: 3, failed: 1 }]);
  });

  it("due retries: go first, by due time and then offset", () => {
    const h = new Harness("shared");
    h.append(3);
    h.append(3);
    h.consumer(1, 6);
    h.pump();
    h.settle(1, "nack", 2, [[4, 5]], { retryAtMs: h.nowMs + 100 });
    h.settle(1, "nack", 1, [[2, 3]], { retryAtMs: h.nowMs + 200 });
    h.settle(1, "nack", 1, [[0, 1]], { retryAtMs: h.nowMs + 200 });
    h.turn();
    h.append(2);
    h.pass(300);
    h.credit(1, 100);
    expect(offsetsOf(h.pump()).slice(0, 3)).toEqual([4, 0, 2]);
  });

  it("the last attempt: the message is dead, and settled when it was moved", () => {
    const h = new Harness("shared");
    h.append(1);
    h.consumer(1);
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const [delivery] = h.pump();
      expect(delivery?.redeliveries[0]?.failed ?? 0).toBe(attempt - 1);
      h.settle(1, "nack", delivery?.number ?? 0);
      h.turn();
      h.pass(10_000);
    }
    expect(h.state.failures.dead().map(({ offset, failed }) => [offset, failed])).toEqual([[0, 3]]);
    expect(h.pump()).toEqual([]);
    expect(h.dispatcher.explain(0, h.nowMs).fate.kind).toBe("dead");
    h.dispatcher.deadMoved(0);
    h.turn();
    expect([h.state.cursor, h.state.failures.size]).toEqual([1, 0]);
    expect(h.dispatcher.progress().deadMessages).toBe(1);
  });

  it("reject: dead at once", () => {
    const h = new Harness("shared");
    h.append(2);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[1, 2]], { error: "not JSON" });
    h.turn();
    expect(h.state.failures.get(1)).toMatchObject({ isDead: true, failed: 1 });
    expect(h.state.failures.get(1)?.attempts[0]).toMatchObject({
      cause: "reject",
      error: "not JSON",
    });
  });

  it("no dead letter topic: tried for ever, at the longest delay", () => {
    const h = new Harness("shared", { deadLetterTopic: undefined });
    h.append(1);
    h.consumer(1);
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const [delivery] = h.pump();
      h.settle(1, attempt === 5 ? "reject" : "nack", delivery?.number ?? 0);
      h.turn();
      expect(h.state.failures.get(0)?.notBeforeMs).toBe(h.nowMs + (attempt === 1 ? 1000 : 5000));
      h.pass(5000);
    }
    expect(h.state.failures.deadCount).toBe(0);
  });

  it("a deadline that passes: what was begun failed, the rest goes out again without penalty", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 4);
    h.pump();
    h.settle(1, "begun", 1, [[1, 2]]);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + DEADLINE_MS);
    h.pass(DEADLINE_MS);
    h.consumer(2);
    expect(shown(h.pump())).toEqual(["2: 0 2-3"]);
    h.turn();
    expect(h.state.failures.all().map(({ offset }) => offset)).toEqual([1]);
    expect(h.lost()).toEqual([{ consumer: 1, ranges: [[0, 4]], cause: "deadline" }]);
    expect(h.settle(1, "ack", 1, [[0, 1]]).outcome).toBe("stale");
  });

  it("a deadline of a consumer that does not say what it begins: all of its messages failed", () => {
    const h = new Harness("shared");
    h.append(3);
    h.consumer(1, 3, { reportsBegun: false });
    h.pump();
    h.settle(1, "ack", 1, [[1, 2]]);
    h.pass(DEADLINE_MS);
    h.turn();
    expect(h.state.failures.all().map(({ offset }) => offset)).toEqual([0, 2]);
  });

  it("a lost consumer: what it began failed once, 499 others burn nothing", () => {
    const h = new Harness("shared");
    h.append(500);
    h.consumer(1, 500);
    h.pump();
    h.settle(1, "begun", 1, [[7, 8]]);
    h.lose(1);
    h.turn();
    expect(h.state.failures.all().map(({ offset, failed }) => [offset, failed])).toEqual([[7, 1]]);
    expect(h.state.failures.get(7)?.attempts[0]?.cause).toBe("session-lost");
    h.consumer(2);
    expect(shown(h.pump())).toEqual(["2: 0-6 8-499"]);
  });

  it("a lost consumer that does not say what it begins: its oldest message failed", () => {
    const h = new Harness("shared");
    h.append(3);
    h.append(3);
    h.consumer(1, 6, { reportsBegun: false });
    h.pump();
    h.settle(1, "ack", 1, [[0, 1]]);
    h.lose(1);
    h.turn();
    expect(h.state.failures.all().map(({ offset }) => offset)).toEqual([1]);
    h.consumer(2);
    expect(offsetsOf(h.pump()).sort()).toEqual([2, 3, 4, 5]);
  });

  it("jitter: messages that fail together are not due together", () => {
    const h = new Harness("shared");
    h.configure({ retry: { ...h.definition.retry, jitterPercent: 50 } });
    h.random = 0.3;
    h.append(20);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1);
    h.turn();
    const due = h.state.failures.all().map(({ notBeforeMs }) => notBeforeMs - h.nowMs);
    expect(new Set(due).size).toBe(20);
    expect(Math.min(...due)).toBeGreaterThanOrEqual(500);
    expect(Math.max(...due)).toBeLessThanOrEqual(1000);
  });

  it("many failures at once: follow in several updates, the settlement is confirmed with the last", () => {
    const h = new Harness("shared");
    h.append(1200);
    h.consumer(1, 1200);
    h.pump();
    h.settle(1, "nack", 1);
    expect(h.replicate()).toBe(true);
    h.take();
    expect([h.state.failures.size, h.confirmed()]).toEqual([500, []]);
    while (h.replicate()) {}
    h.take();
    expect([h.state.failures.size, h.confirmed()]).toEqual([1200, [1]]);
  });

  it("many retries that are due: are read together and all go out", () => {
    const h = new Harness("shared");
    for (let batch = 0; batch < 20; batch += 1) h.append(10);
    h.consumer(1);
    for (const { number } of h.pump()) h.settle(1, "nack", number);
    h.turn();
    h.pass(1000);
    h.reads.length = 0;
    const again = h.pump();
    expect(offsetsOf(again)).toEqual(Array.from({ length: 200 }, (_, at) => at));
    expect(h.reads.length).toBeLessThan(20);
    expect(h.heldBatches).toEqual([]);
  });
});

describe("dispatcher, shared: another leader", () => {
  it("what was out and not settled goes out again, what was settled does not", () => {
    const h = new Harness("shared");
    h.append(10);
    h.consumer(1);
    h.pump();
    h.settle(1, "ack", 1, [
      [0, 2],
      [5, 7],
    ]);
    h.settle(1, "nack", 1, [[8, 9]]);
    h.turn();
    h.settle(1, "ack", 1, [[3, 4]]);
    h.changeLeader();
    h.consumer(1);
    expect(shown(h.pump())).toEqual(["1: 2-4 7 9"]);
    h.pass(1000);
    const again = h.pump();
    expect(again[0]?.redeliveries).toEqual([{ offset: 8, handedOut: 1, failed: 1 }]);
  });

  it("held messages: go on under a new number, unless they went out meanwhile or are settled", () => {
    const h = new Harness("shared");
    h.append(10);
    h.consumer(1);
    h.pump();
    h.settle(1, "ack", 1, [[0, 1]]);
    h.turn();
    h.changeLeader();
    h.consumer(2, 3);
    expect(shown(h.pump())).toEqual(["2: 1-3"]);
    h.consumer(1, 1000, { resumes: false });
    const [resumed] = h.resume(1, [{ ranges: [[0, 6]] }]);
    expect(resumed).toEqual({ number: 2, ranges: [[4, 6]] });
    expect(shown(h.pump())).toEqual(["1: 6-9"]);
    expect(h.settle(1, "ack", 2).outcome).toBe("later");
    h.turn();
    expect(h.state.settled.isSettled(5)).toBe(true);
  });

  it("held messages beyond the log or of an absurd size: are not adopted", () => {
    const h = new Harness("shared");
    h.append(10);
    h.consumer(1, 0, { resumes: false });
    expect(h.resume(1, [{ ranges: [[8, 1_000_000]] }, { ranges: [[20, 30]] }])).toEqual([
      { number: 1, ranges: [[8, 10]] },
      { number: 0, ranges: [] },
    ]);
  });

  it("seek: what is out is lost, and goes out again from the new place", () => {
    const h = new Harness("shared");
    h.append(6);
    h.consumer(1);
    h.pump();
    const acked = h.settle(1, "ack", 1, [[0, 4]]);
    h.turn();
    h.seek(2);
    expect(shown(h.pump())).toEqual(["1: 2-5"]);
    expect(h.lost()).toEqual([{ consumer: 1, ranges: [[4, 6]], cause: "seek" }]);
    expect(h.confirmed()).toEqual([acked.number]);
  });

  it("retention: what it drops is not handed out again", () => {
    const h = new Harness("shared");
    h.append(4);
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "nack", 1, [[1, 2]]);
    h.turn();
    h.dropBelow(4);
    for (let round = 0; round < 2; round += 1) {
      h.pass(DEADLINE_MS);
      const [first] = h.pump();
      h.settle(1, "release", first?.number ?? 0);
      expect(offsetsOf(h.pump()).sort()).toEqual([4, 5, 6, 7]);
    }
    expect(h.state.droppedMessages).toBe(4);
  });
});

describe("dispatcher, shared: explain and progress", () => {
  it("each state of a message has its answer", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1, 3);
    h.pump();
    h.settle(1, "ack", 1, [[0, 1]]);
    h.settle(1, "nack", 1, [[1, 2]]);
    h.turn();
    const kinds = [0, 1, 2, 3, 4].map((offset) => h.dispatcher.explain(offset, h.nowMs).fate.kind);
    expect(kinds).toEqual(["settled", "delayed", "leased", "ready", "absent"]);
    expect(h.dispatcher.explain(2, h.nowMs)).toEqual({
      fate: { kind: "leased", consumerId: "w1", untilMs: h.nowMs + DEADLINE_MS },
      handedOut: 1,
    });
    expect(h.dispatcher.progress()).toMatchObject({
      cursor: 1,
      unsettledMessages: 3,
      outstandingMessages: 1,
      retryingMessages: 1,
      consumers: 1,
      activeConsumer: "",
      acknowledgedMessages: 1,
    });
  });
});
