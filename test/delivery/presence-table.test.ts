import { describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { PresenceTable } from "../../src/delivery/presence-table.ts";

/** Ascending, none twice. */
function some(random: Random): number[] {
  const hashes = Array.from(
    { length: random.integer(0, 6) },
    () => random.integer(0, 40) * 2 ** 42,
  );
  return [...new Set(hashes)].sort((a, b) => a - b);
}

describe("presence table", () => {
  it("random notes: agrees with a plain set, with what is stored, and with what it says has changed", () => {
    const seed = Number(process.env["SEED"] ?? 11);
    const random = seededRandom(seed);
    for (let round = 0; round < 20; round += 1) {
      const max = random.integer(1, 30);
      const table = new PresenceTable(max);
      const plain = new Set<number>();
      let isComplete: boolean = true;
      const stored = new Map<string, Uint8Array>();
      for (let step = 0; step < 100; step += 1) {
        const title = `seed ${seed}, round ${round}, step ${step}`;
        const [left, joined] = [some(random), some(random)];
        const complete = random.next() < 0.1;
        const { version } = table;
        const before = new Set(plain);
        const wasComplete: boolean = isComplete;
        if (complete) isComplete = true;
        for (const hash of left) plain.delete(hash);
        for (const hash of joined) {
          if (plain.size < max) plain.add(hash);
          else if (!plain.has(hash)) isComplete = false;
        }
        const hasChanged = table.note({ ...(complete && { complete }), left, joined });
        expect([...table.all()], title).toEqual([...plain].sort((a, b) => a - b));
        expect([table.size, table.isComplete], title).toEqual([plain.size, isComplete]);
        const changed = [...before, ...plain].filter((one) => before.has(one) !== plain.has(one));
        for (const hash of changed) expect(table.newest, title).toContain(hash);
        if (changed.length > 0 || isComplete !== wasComplete) expect(hasChanged, title).toBe(true);
        expect(table.version, title).toBe(version + (hasChanged ? 1 : 0));
        for (const write of table.takeWrites("x/")) {
          if (write.type === "put") stored.set(write.key, write.value);
          else stored.delete(write.key);
        }
        expect([...table.pairs("x/")], title).toEqual([...stored].sort());
      }
      const copy = new PresenceTable(max);
      copy.restore("x/", [...stored].reverse(), isComplete);
      expect([...copy.all()]).toEqual([...table.all()]);
      expect(copy.isComplete).toBe(isComplete);
      expect(copy.takeWrites("x/")).toEqual([]);
    }
  });

  it("more than there is room for: is refused when it is read", () => {
    const table = new PresenceTable();
    table.note({ joined: [1, 2, 3] });
    const pairs = [...table.pairs("x/")];
    expect(() => new PresenceTable(2).restore("x/", pairs, true)).toThrow(TypeError);
    expect(() => new PresenceTable(3).restore("x/", pairs, true)).not.toThrow();
  });
});
