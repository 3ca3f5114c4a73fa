// The broker's side of the memory budget: records on their way, the process as a whole, and what the health page says.
import { describe, expect, test } from "vitest";
import { LogMemory } from "../../src/broker/log-memory.ts";
import { pressureChecks } from "../../src/broker/memory-pressure.ts";
import { OverloadLog } from "../../src/broker/overload-log.ts";
import { fullCollection, ProcessMemory } from "../../src/broker/process-memory.ts";
import { MemoryBudget } from "../../src/model/memory-budget.ts";
import { evaluateHealth } from "../../src/observe/health.ts";
import { VirtualClock } from "../partition/fixture.ts";

const MIB = 1024 * 1024;
const BUDGET = 512 * MIB;

describe("log memory", () => {
  test("large batches stop at three quarters, small ones go on to the limit", () => {
    const clock = new VirtualClock();
    const budget = new MemoryBudget(BUDGET);
    const log = new LogMemory({ clock, budget, measure: () => 0 });
    let large = 0;
    while (log.refusal(MIB) === undefined) large += 1;
    expect(large).toBe(24);
    let small = 0;
    while (log.refusal(64 * 1024) === undefined) small += 1;
    expect(small).toBe(8 * 16);
    expect(log.refusal(1)).toMatchObject({ reason: "OVERLOADED", fields: { limit: "memory.log" } });
  });

  test("what is really there is measured now and then; one batch always fits", () => {
    const clock = new VirtualClock();
    const budget = new MemoryBudget(BUDGET);
    let held = 32 * MIB;
    const log = new LogMemory({ clock, budget, measure: () => held });
    expect(log.refusal(100)).toBeDefined();
    held = 0;
    expect(log.refusal(100)).toBeDefined();
    clock.nowMs += 10;
    expect(log.refusal(40 * MIB)).toBeUndefined();
  });
});

describe("process memory", () => {
  test("above the budget a collection is asked for, not more often than every two seconds", async () => {
    const clock = new VirtualClock();
    const budget = new MemoryBudget(BUDGET);
    let rss = 100 * MIB;
    let collections = 0;
    const watch = new ProcessMemory(budget, {
      clock,
      rssBytes: () => rss,
      onShort: () => undefined,
      collect: () => {
        collections += 1;
      },
    });
    watch.start();
    await clock.advance(1000);
    expect(collections).toBe(0);
    rss = 700 * MIB;
    await clock.advance(1000);
    expect(collections).toBe(1);
    expect(budget.isExhausted).toBe(true);
    await clock.advance(2000);
    expect(collections).toBe(2);
    rss = 200 * MIB;
    await clock.advance(200);
    expect(budget.isExhausted).toBe(false);
    watch.close();
    await clock.advance(5000);
    expect(collections).toBe(2);
  });

  test("collections that left much are asked for again when an eighth of the budget came on top", async () => {
    const clock = new VirtualClock();
    const budget = new MemoryBudget(BUDGET);
    let rss = 620 * MIB;
    const asked: number[] = [];
    const watch = new ProcessMemory(budget, {
      clock,
      rssBytes: () => rss,
      onShort: () => undefined,
      collect: () => {
        asked.push(rss / MIB);
        rss -= 10 * MIB;
      },
    });
    watch.start();
    await clock.advance(10_000);
    expect(asked).toEqual([620]);
    rss = 630 * MIB;
    await clock.advance(10_000);
    expect(asked).toEqual([620]);
    // Pages are given back late: what is left is the least that was seen since.
    rss = 520 * MIB;
    await clock.advance(100);
    rss = 616 * MIB;
    await clock.advance(10_000);
    expect(asked).toEqual([620, 616]);
    watch.close();
  });

  test("while nothing is taken in: collections in vain become rarer, until one helped", async () => {
    const clock = new VirtualClock();
    const budget = new MemoryBudget(BUDGET);
    let rss = 700 * MIB;
    const atMs: number[] = [];
    const watch = new ProcessMemory(budget, {
      clock,
      rssBytes: () => rss,
      onShort: () => undefined,
      collect: () => atMs.push(clock.nowMs),
    });
    watch.start();
    await clock.advance(65_000);
    const gaps = atMs.slice(1).map((at, place) => Math.round((at - (atMs[place] ?? 0)) / 1000));
    expect(gaps).toEqual([2, 4, 8, 16, 16, 16]);
    rss = 200 * MIB;
    await clock.advance(1000);
    rss = 700 * MIB;
    atMs.length = 0;
    await clock.advance(3000);
    expect(atMs).toHaveLength(2);
    watch.close();
  });

  test("it is told when memory begins and ceases to be short, once each", async () => {
    const clock = new VirtualClock();
    let rss = 300 * MIB;
    const told: string[] = [];
    const watch = new ProcessMemory(new MemoryBudget(BUDGET), {
      clock,
      rssBytes: () => rss,
      collect: () => undefined,
      onShort: (isShort) => told.push(`${rss / MIB}: ${isShort}`),
    });
    watch.start();
    for (const mib of [357, 359, 400, 350, 308, 307, 300, 350]) {
      rss = mib * MIB;
      await clock.advance(1000);
    }
    expect(told).toEqual(["359: true", "307: false"]);
    watch.close();
  });

  test("a full collection can be had at run time", () => {
    expect(fullCollection()).not.toThrow();
  });
});

describe("health: pressure", () => {
  test("says which share, the process, and which limits refused lately; live and ready are untouched", () => {
    const clock = new VirtualClock();
    const budget = new MemoryBudget(BUDGET);
    const overloads = new OverloadLog(clock);
    const look = (): readonly string[] =>
      evaluateHealth(pressureChecks(budget, overloads)).pressure.reasons;
    expect(look()).toEqual([]);
    budget.take("send", 60 * MIB);
    budget.setProcessBytes(600 * MIB);
    overloads.note("memory.send");
    overloads.note("memory.send");
    expect(look()).toEqual([
      "memory: send holds 60 of 64 MiB, the process has 600 of 512 MiB",
      "overload: refused within the last 30 s, by limit: memory.send 2",
    ]);
    const health = evaluateHealth(pressureChecks(budget, overloads));
    expect([health.live.ok, health.ready.ok, health.pressure.ok]).toEqual([true, true, false]);
    budget.give("send", 60 * MIB);
    budget.setProcessBytes(0);
    clock.nowMs += 30_001;
    expect(look()).toEqual([]);
  });
});
