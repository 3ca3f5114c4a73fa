import { describe, expect, it } from "vitest";
import { editDistance, suggest } from "../../src/config/suggest.ts";

describe("suggest", () => {
  it("distance: counts insertions, deletions, substitutions and swaps", () => {
    expect(editDistance("flush", "flush")).toBe(0);
    expect(editDistance("flushh", "flush")).toBe(1);
    expect(editDistance("fulsh", "flush")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("kitten", "sitting")).toBe(3);
  });

  it("suggest: names the nearest word, and nothing when none is near", () => {
    expect(suggest("flushh", ["acks", "flush"])).toBe("flush");
    expect(suggest("produc", ["consume", "produce"])).toBe("produce");
    expect(suggest("zebra", ["consume", "produce"])).toBeUndefined();
  });
});
