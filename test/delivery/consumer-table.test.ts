import { describe, expect, it } from "vitest";
import { ConsumerTable } from "../../src/delivery/consumer-table.ts";
import { hashOf } from "../../src/delivery/rendezvous-plan.ts";

function tableOf(count: number, roundBegin: number): ConsumerTable {
  const table = new ConsumerTable(false, roundBegin);
  for (let key = 1; key <= count; key += 1) {
    const credit = { messages: 1000, bytes: 1000 };
    table.add(key, { id: `c${key}`, reportsBegun: true, credit });
  }
  return table;
}

function turns(table: ConsumerTable, count: number): number[] {
  return Array.from({ length: count }, () => {
    const { key = 0 } = table.first() ?? {};
    table.rotate();
    return key;
  });
}

describe("consumer table: whose turn it is", () => {
  it("the round begins where it is told, and everybody has one turn in it", () => {
    expect(turns(tableOf(5, 0), 10)).toEqual([1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    expect(turns(tableOf(5, 2), 10)).toEqual([1, 4, 5, 2, 3, 1, 4, 5, 2, 3]);
    expect(turns(tableOf(1, 7), 2)).toEqual([1, 1]);
  });

  it("little traffic in many partitions goes to many consumers", () => {
    const seen = new Set<number>();
    for (let partition = 0; partition < 12; partition += 1) {
      for (const key of turns(tableOf(1000, hashOf(`s\nt/${partition}`)), 50)) seen.add(key);
    }
    expect(seen.size).toBeGreaterThan(400);
  });
});
