import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { OffsetTable } from "../../src/delivery/offset-table.ts";

describe("table of offsets", () => {
  it("ranges: neighbours are one, also across pages", () => {
    const table = new OffsetTable();
    expect(table.add(4090, 4100)).toBe(10);
    expect(table.add(4095, 4101)).toBe(1);
    table.add(1, 2);
    expect(table.ranges()).toEqual([
      [1, 2],
      [4090, 4101],
    ]);
    expect(table.delete(4096, 4097)).toBe(1);
    expect([table.nextAbsent(4090), table.nextPresent(2, 5000), table.size]).toEqual([
      4096, 4090, 11,
    ]);
    expect(table.nextPresent(4101, 9000)).toBe(9000);
  });

  it("random calls: agree with a plain set", () => {
    const random = seededRandom(Number(process.env["SEED"] ?? 11));
    const table = new OffsetTable();
    const plain = new Set<number>();
    for (let step = 0; step < 3000; step += 1) {
      const from = random.integer(0, 10_000);
      const to = from + random.integer(0, random.next() < 0.1 ? 5000 : 40);
      const isAdding = random.next() < 0.5;
      let changed = 0;
      for (let offset = from; offset < to; offset += 1) {
        if (plain.has(offset) === isAdding) continue;
        changed += 1;
        if (isAdding) plain.add(offset);
        else plain.delete(offset);
      }
      expect(isAdding ? table.add(from, to) : table.delete(from, to)).toBe(changed);
      const place = random.integer(0, 15_000);
      expect(table.has(place)).toBe(plain.has(place));
      let absent = place;
      while (plain.has(absent)) absent += 1;
      let present = place;
      while (present < 15_000 && !plain.has(present)) present += 1;
      expect([table.nextAbsent(place), table.nextPresent(place, 15_000)]).toEqual([
        absent,
        present,
      ]);
      expect(table.size).toBe(plain.size);
    }
    const offsets = table.ranges().flatMap(([from, to]) => {
      return Array.from({ length: to - from }, (_, at) => from + at);
    });
    expect(offsets).toEqual([...plain].sort((a, b) => a - b));
  });
});
