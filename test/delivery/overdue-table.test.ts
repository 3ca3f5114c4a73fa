import { describe, expect, it } from "vitest";
import { OUTSTANDING_MAX } from "../../src/delivery/dispatch-core.ts";
import {
  OVERDUE_AT_ONCE,
  OVERDUE_PER_SECOND,
  OverdueTable,
} from "../../src/delivery/overdue-table.ts";
import { DEADLINE_MS, Harness, offsetsOf } from "./dispatch-support.ts";

function filled(count: number): OverdueTable {
  const table = new OverdueTable(1000);
  for (let offset = 0; offset < count; offset += 1) table.add(offset, 0.5);
  return table;
}

describe("overdue messages: their turn", () => {
  it("a burst at once, then portions, so many a second", () => {
    const table = filled(OVERDUE_AT_ONCE + 250);
    expect(table.take(1000)).toHaveLength(OVERDUE_AT_ONCE);
    const portionMs = (100 * 1000) / OVERDUE_PER_SECOND;
    expect(table.nextMs()).toBe(1000 + portionMs);
    expect(table.endMs()).toBe(1000 + 2.5 * portionMs);
    expect(table.take(1000 + portionMs - 1)).toEqual([]);
    expect(table.take(1000 + portionMs)).toHaveLength(100);
    expect(table.take(1000 + 2 * portionMs)).toHaveLength(100);
    // The last ones are fewer than a portion.
    expect(table.nextMs()).toBe(1000 + 2.5 * portionMs);
    expect(table.take(table.nextMs()).map(([offset]) => offset)).toEqual(
      Array.from({ length: 50 }, (_, at) => OVERDUE_AT_ONCE + 200 + at),
    );
    expect(table.nextMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it("what was not used adds up to one burst", () => {
    const table = filled(OVERDUE_AT_ONCE + 1);
    expect(table.take(3_600_000)).toHaveLength(OVERDUE_AT_ONCE);
    expect(table.size).toBe(1);
  });
});

describe("dispatcher: messages whose deadline has passed", () => {
  const PORTION_MS = (100 * 1000) / OVERDUE_PER_SECOND;
  const MORE = 2 * OVERDUE_PER_SECOND;
  const MORE_MS = 2000;
  const ALL = OVERDUE_AT_ONCE + MORE;

  /** Consumer 1 has all of them, in deliveries of 100, says nothing until their deadline, and gets no more. */
  function overdue(): Harness {
    const h = new Harness("shared");
    for (let at = 0; at < ALL; at += 100) h.append(100);
    h.consumer(1, ALL, { reportsBegun: false });
    expect(offsetsOf(h.pump())).toHaveLength(ALL);
    h.dispatcher.drain(1);
    h.pass(DEADLINE_MS);
    h.turn();
    return h;
  }

  it("all are lost at once; the failures of those beyond a burst follow one portion after another", () => {
    const h = overdue();
    expect(h.dispatcher.progress().outstandingMessages).toBe(0);
    expect(h.state.failures.size).toBe(OVERDUE_AT_ONCE);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + PORTION_MS);
    h.pass(PORTION_MS);
    h.turn();
    expect(h.state.failures.size).toBe(OVERDUE_AT_ONCE + 100);
    h.pass(MORE_MS);
    h.turn();
    expect(h.state.failures.size).toBe(ALL);
  });

  it("those that wait go to nobody, and explain says that they will be tried again", () => {
    const h = overdue();
    h.consumer(2, 100_000);
    expect(offsetsOf(h.turn())).toEqual([]);
    const { fate } = h.dispatcher.explain(ALL - 1, h.nowMs);
    expect(fate).toEqual({ kind: "delayed", untilMs: h.nowMs + MORE_MS });
    h.pass(1000);
    expect(offsetsOf(h.turn())).toHaveLength(OVERDUE_AT_ONCE);
    h.pass(1000);
    expect(offsetsOf(h.turn())).toHaveLength(MORE / 2);
    h.pass(1000);
    expect(offsetsOf(h.turn())).toHaveLength(MORE / 2);
  });

  it("what another consumer never began comes back at its deadline all the same", () => {
    const h = new Harness("shared");
    for (let at = 0; at < ALL; at += 100) h.append(100);
    h.consumer(1, ALL, { reportsBegun: false });
    h.pump();
    h.append(10);
    h.consumer(2, 10);
    expect(offsetsOf(h.pump())).toHaveLength(10);
    for (const key of [1, 2]) h.dispatcher.drain(key);
    h.consumer(3, 100);
    h.pass(DEADLINE_MS);
    const expected = Array.from({ length: 10 }, (_, at) => ALL + at);
    expect(offsetsOf(h.turn())).toEqual(expected);
    expect(h.state.failures.size).toBe(OVERDUE_AT_ONCE);
  });

  it("they count as out: with them at most 100,000 are", () => {
    const h = new Harness("shared");
    for (let at = 0; at < 120_000; at += 1000) h.append(1000);
    h.consumer(1, 60_000, { reportsBegun: false });
    expect(offsetsOf(h.pump())).toHaveLength(60_000);
    h.dispatcher.drain(1);
    h.pass(DEADLINE_MS);
    h.consumer(2, 100_000);
    expect(offsetsOf(h.pump())).toHaveLength(OUTSTANDING_MAX - (60_000 - OVERDUE_AT_ONCE));
  });

  it("a seek voids those that wait", () => {
    const h = overdue();
    h.seek(0);
    h.consumer(2, 200_000);
    expect(offsetsOf(h.turn())).toHaveLength(ALL);
    h.settle(2, "ack", h.dispatcher.lastNumber);
    h.pass(10_000);
    h.turn();
    expect(h.state.failures.size).toBe(0);
  });

  it("exclusive: nothing goes out before all of them are decided, since what failed goes first", () => {
    const h = new Harness("exclusive");
    for (let at = 0; at < 30_000; at += 100) h.append(100);
    h.consumer(1, 100_000, { reportsBegun: false });
    // What is settled lets more be out.
    for (let out = h.pump(); offsetsOf(out).length < ALL; out = h.turn()) {
      for (const { number } of out) h.settle(1, "ack", number);
    }
    const first = h.state.cursor;
    h.dispatcher.drain(1);
    h.consumer(2, 100_000);
    h.pass(DEADLINE_MS);
    expect(offsetsOf(h.turn())).toEqual([]);
    expect(h.dispatcher.wakeAtMs()).toBe(h.nowMs + PORTION_MS);
    h.pass(PORTION_MS);
    expect(offsetsOf(h.turn())).toEqual([]);
    h.pass(10_000);
    expect(offsetsOf(h.turn())[0]).toBe(first);
  });
});
