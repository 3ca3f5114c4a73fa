import { describe, expect, it } from "vitest";
import { SLOT_COUNT } from "../../src/model/limits.ts";
import { initialLayout, murmur2, slotOf, slotTable } from "../../src/model/slots.ts";
import vectors from "./slot-vectors.json" with { type: "json" };

describe("slots", () => {
  it("murmur2: gives the published values (known vectors)", () => {
    const published: readonly [string, number][] = [
      ["21", -973932308],
      ["foobar", -790332482],
      ["a-little-bit-long-string", -985981536],
      ["a-little-bit-longer-string", -1486304829],
      ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
      ["abc", 479470107],
    ];
    for (const [text, hash] of published) expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  it("slot: is what other languages have to compute (slot-vectors.json)", () => {
    for (const { keyHex, murmur2: hash, slot } of vectors.vectors) {
      const key = Buffer.from(keyHex, "hex");
      expect([murmur2(key), slotOf(key)]).toEqual([hash, slot]);
    }
    expect(vectors.vectors.length).toBeGreaterThan(10);
  });

  it("layout: gives every slot to exactly one partition, evenly (1 to 4096 partitions)", () => {
    for (const partitions of [1, 2, 3, 5, 16, 100, 4095, 4096]) {
      const { slots, epoch } = initialLayout(partitions);
      const owned = slots.map((ranges) => ranges.reduce((sum, { from, to }) => sum + to - from, 0));
      expect(epoch).toBe(1);
      expect(owned.reduce((sum, count) => sum + count)).toBe(SLOT_COUNT);
      expect(Math.max(...owned) - Math.min(...owned)).toBeLessThanOrEqual(1);
      const table = slotTable(slots);
      slots.forEach((ranges, partition) => {
        for (const { from, to } of ranges) {
          expect([table[from], table[to - 1]]).toEqual([partition, partition]);
        }
      });
    }
  });

  it("table: says −1 where nobody owns a slot (incomplete layout)", () => {
    const table = slotTable([[{ from: 0, to: 10 }]]);
    expect([table[9], table[10]]).toEqual([0, -1]);
  });
});
