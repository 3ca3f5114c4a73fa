import { describe, expect, it } from "vitest";
import { CONSUMER_HASH_END, consumerHash } from "../../src/delivery/consumer-hash.ts";

describe("hash of a consumer", () => {
  it("is the same in every release: it stands in replicated state", () => {
    expect(["", "a", "worker-1", "größe"].map(consumerHash)).toEqual([
      518269074443, 21260532756915, 30165080839495, 193967556443743,
    ]);
  });

  it("ids that differ a little: have different ones, spread over all bits", () => {
    const ids = Array.from({ length: 20_000 }, (_, at) => `worker-${at}`);
    for (let at = 0; at < 20_000; at += 1) ids.push(`${at.toString(36)}.eu-west.example:7`);
    const hashes = ids.map(consumerHash);
    expect(new Set(hashes).size).toBe(ids.length);
    expect(hashes.every((hash) => hash >= 0 && hash < CONSUMER_HASH_END)).toBe(true);
    for (let bit = 0; bit < 48; bit += 1) {
      const ones = hashes.filter((hash) => Math.floor(hash / 2 ** bit) % 2 === 1).length;
      expect(Math.abs(ones / hashes.length - 0.5), `bit ${bit}`).toBeLessThan(0.015);
    }
    // Any 12 bits of it are as good as any others: none of 4096 places has far more than its share of 10.
    for (const from of [0, 12, 24, 36]) {
      const places = new Map<number, number>();
      for (const hash of hashes) {
        const place = Math.floor(hash / 2 ** from) % 4096;
        places.set(place, (places.get(place) ?? 0) + 1);
      }
      expect(Math.max(...places.values()), `bits from ${from}`).toBeLessThan(30);
    }
  });
});
