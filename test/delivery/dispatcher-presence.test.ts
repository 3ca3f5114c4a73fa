// For whom a new leader waits in ordered modes, and what it notes for the next one.
import { describe, expect, it, vi } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { PresenceTable } from "../../src/delivery/presence-table.ts";
import type { SubscriptionMode } from "../../src/model/subscription.ts";
import { DEADLINE_MS, Harness, hashesOf, offsetsOf, shown } from "./dispatch-support.ts";

const ORDERED: readonly SubscriptionMode[] = ["keyed", "fifo", "exclusive"];

/** Leaders note by themselves; each consumer has one message at most. */
function harnessOf(mode: SubscriptionMode, notedConsumers?: number): Harness {
  const limits = notedConsumers === undefined ? {} : { notedConsumers };
  const h = new Harness(mode, {}, 0, limits);
  h.isCounting = false;
  h.append(["a", "b", "c", "d"]);
  return h;
}

const noted = (h: Harness): number[] => [...h.state.noted.all()];

describe("dispatcher, presence: a new leader", () => {
  it.each(ORDERED)("%s: one that is new does not stand for one that is missing", (mode) => {
    for (const isBack of [true, false]) {
      const h = harnessOf(mode);
      h.consumer(1, 1);
      h.consumer(2, 1);
      expect(h.turn().length).toBeGreaterThan(0);
      h.changeLeader();
      h.consumer(1);
      h.consumer(3);
      h.consumer(4);
      expect(h.turn()).toEqual([]);
      // They are noted at once, and nobody is forgotten: the next leader waits for all.
      expect(noted(h)).toEqual(hashesOf(["w1", "w2", "w3", "w4"]));
      h.pass(DEADLINE_MS - 1);
      expect(h.turn()).toEqual([]);
      if (isBack) h.consumer(2);
      else h.pass(1);
      expect(offsetsOf(h.turn()).length).toBeGreaterThan(0);
    }
  });

  it("what the missing one says it works on stays with it", () => {
    const h = harnessOf("keyed");
    h.consumer(1, 1);
    h.consumer(2, 1);
    expect(shown(h.turn())).toEqual(["1: 0", "2: 1"]);
    h.changeLeader();
    h.consumer(1);
    h.consumer(3);
    expect(h.turn()).toEqual([]);
    h.consumer(2, 1, { resumes: false });
    expect(h.turn()).toEqual([]);
    expect(h.resume(2, [{ ranges: [[1, 2]] }])).toEqual([{ number: 1, ranges: [[1, 2]] }]);
    expect(offsetsOf(h.turn()).sort()).toEqual([0, 2, 3]);
  });

  it("the same id is the same consumer, under whatever session", () => {
    const h = harnessOf("fifo");
    h.consumer(1, 1, { id: "x" });
    h.consumer(2, 1, { id: "y" });
    h.turn();
    h.changeLeader();
    h.consumer(7, 1, { id: "y" });
    expect(h.turn()).toEqual([]);
    h.consumer(8, 1, { id: "x" });
    expect(offsetsOf(h.turn())).toEqual([0, 1]);
  });

  it("one that came back and left is waited for no more, another one still is", () => {
    const h = harnessOf("fifo");
    h.consumer(1, 1);
    h.consumer(2, 1);
    h.turn();
    h.changeLeader();
    h.consumer(1);
    h.consumer(3);
    h.lose(1);
    expect(h.turn()).toEqual([]);
    h.consumer(2);
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2, 3]);
  });

  it("a session that was replaced and has said nothing: the later one has spoken", () => {
    const h = harnessOf("fifo");
    h.consumer(1);
    h.turn();
    h.changeLeader();
    h.consumer(2, 1000, { id: "w1", resumes: false });
    h.consumer(3, 1000, { id: "w1" });
    h.lose(2);
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2, 3]);
  });

  it("shared: nothing is noted, and nobody waited for", () => {
    const h = harnessOf("shared");
    h.consumer(1);
    h.turn();
    expect([h.replicate(), h.state.noted.size]).toEqual([false, 0]);
    h.changeLeader();
    h.consumer(2);
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2, 3]);
  });
});

describe("dispatcher, presence: the note", () => {
  it("one that leaves for good: is dropped within a second, and not waited for", () => {
    const h = harnessOf("keyed");
    h.consumer(1, 1);
    h.consumer(2, 1);
    h.turn();
    h.lose(2);
    h.turn();
    expect(noted(h)).toHaveLength(2);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + 1000);
    h.pass(1000);
    h.turn();
    expect(noted(h)).toEqual(hashesOf(["w1"]));
    h.changeLeader();
    h.consumer(1);
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2, 3]);
  });

  it("one that is there twice for a moment: is there until the last one leaves", () => {
    const h = harnessOf("keyed");
    h.consumer(1, 0, { id: "x" });
    h.consumer(2, 0, { id: "x" });
    h.turn();
    h.pass(5000);
    h.lose(1);
    expect(h.replicate()).toBe(false);
    h.consumer(3, 0, { id: "x" });
    expect(h.replicate()).toBe(false);
    h.lose(2);
    h.lose(3);
    h.turn();
    expect(noted(h)).toEqual([]);
  });

  it("one that comes back while it is being dropped: nothing goes out before it is noted again", () => {
    const h = harnessOf("fifo");
    h.consumer(1, 0);
    h.consumer(2, 1);
    h.turn();
    h.lose(2);
    h.pass(1000);
    const dropped = h.dispatcher.takeUpdate(h.nowMs);
    expect(dropped).toEqual({ id: "s", left: hashesOf(["w2"]) });
    h.consumer(4, 1, { id: "w2" });
    expect(h.pump()).toEqual([]);
    h.state.update(dropped ?? { id: "s" }, h.endOffset);
    expect(h.pump()).toEqual([]);
    h.dispatcher.updateApplied(h.nowMs);
    expect(h.pump()).toEqual([]);
    expect(shown(h.turn())).toEqual(["4: 0"]);
    h.changeLeader();
    h.consumer(1);
    expect(h.turn()).toEqual([]);
  });

  it("more than can be noted: the next leader waits a whole deadline, until they are few enough again", () => {
    const h = harnessOf("keyed", 2);
    for (const key of [1, 2, 3]) h.consumer(key, 1);
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2]);
    expect([h.state.noted.size, h.state.noted.isComplete]).toEqual([2, false]);
    h.pass(5000);
    expect(h.replicate()).toBe(false);
    h.changeLeader();
    for (const key of [1, 2, 3]) h.consumer(key, 1);
    expect(h.turn()).toEqual([]);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + DEADLINE_MS);
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([0, 1, 2]);
    h.lose(1);
    h.turn();
    expect([noted(h), h.state.noted.isComplete]).toEqual([hashesOf(["w2", "w3"]), true]);
    h.changeLeader();
    h.consumer(2, 1);
    h.consumer(3, 1);
    expect(offsetsOf(h.turn())).toEqual([0, 1]);
  });

  it("random comings and goings: nothing goes out to somebody unnoted, and a quiet second later it says who is there", () => {
    const seed = Number(process.env["SEED"] ?? 7);
    const random = seededRandom(seed);
    for (let round = 0; round < 40; round += 1) {
      const h = harnessOf("keyed", round % 2 === 0 ? undefined : 4);
      let key = 0;
      for (let step = 0; step < 120; step += 1) {
        const title = `seed ${seed}, round ${round}, step ${step}`;
        const keys = [...h.ids.keys()];
        const one = keys[random.integer(0, Math.max(1, keys.length))];
        const action = random.integer(0, 7);
        if (action < 2) {
          key += 1;
          h.consumer(key, 1, { id: `w${random.integer(0, 8)}` });
        } else if (action === 2 && one !== undefined) h.lose(one);
        else if (action === 3) h.replicateUntold();
        else if (action === 4) h.dispatcher.updateApplied(h.nowMs);
        else if (action === 5) h.pass(random.integer(0, 1500));
        else if (random.next() < 0.05) h.changeLeader();
        for (const { consumer } of h.take().deliveries) {
          const [hash = -1] = hashesOf([h.ids.get(consumer) ?? ""]);
          const { noted } = h.state;
          expect(noted.has(hash) || !noted.isComplete, title).toBe(true);
        }
      }
      h.dispatcher.updateApplied(h.nowMs);
      for (const ms of [DEADLINE_MS, 1000]) {
        h.pass(ms);
        while (h.replicate()) {}
      }
      const present = hashesOf([...h.ids.values()]);
      const { isComplete, max } = h.state.noted;
      expect(isComplete, `round ${round}`).toBe(present.length <= max);
      if (isComplete) expect(noted(h), `round ${round}`).toEqual(present);
    }
  });

  it("a thousand consumers: what is noted is what changed, and a turn looks at none of them", () => {
    const h = harnessOf("keyed");
    for (let key = 1; key <= 1000; key += 1) h.consumer(key, 0);
    const first = h.dispatcher.takeUpdate(h.nowMs);
    expect(first?.joined).toHaveLength(1000);
    expect(JSON.stringify(first).length).toBeLessThan(17_000);
    h.state.update(first ?? { id: "s" }, h.endOffset);
    h.dispatcher.updateApplied(h.nowMs);
    h.pump();
    h.consumer(1001, 0);
    h.lose(500);
    h.pass(1000);
    const second = h.dispatcher.takeUpdate(h.nowMs);
    expect(second).toEqual({ id: "s", left: hashesOf(["w500"]), joined: hashesOf(["w1001"]) });
    h.state.update(second ?? { id: "s" }, h.endOffset);
    h.dispatcher.updateApplied(h.nowMs);
    h.pump();
    const looks = vi.spyOn(PresenceTable.prototype, "has");
    const walks = vi.spyOn(PresenceTable.prototype, "all");
    try {
      for (let turn = 0; turn < 100; turn += 1) h.turn();
      h.consumer(1002, 0);
      h.lose(1002);
      expect(looks.mock.calls.length).toBeLessThan(10);
      looks.mockClear();
      for (let key = 2001; key <= 2100; key += 1) {
        h.consumer(key, 0);
        h.turn();
      }
      expect(h.state.noted.size).toBe(1100);
      expect(looks.mock.calls.length).toBeLessThan(100 * 20);
      expect(walks.mock.calls.length).toBe(0);
    } finally {
      vi.restoreAllMocks();
    }
  });
});
