import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { PAGE_OFFSETS, SettledTable } from "../../src/delivery/settled-table.ts";
import type { KeyedWrite } from "../../src/log/ports.ts";

const PREFIX = "d/1/s/";

/** What a keyed store holds after these writes. */
class Stored {
  readonly pairs = new Map<string, Uint8Array>();

  write(writes: readonly KeyedWrite[]): void {
    for (const write of writes) {
      if (write.type === "put") this.pairs.set(write.key, write.value);
      else this.pairs.delete(write.key);
    }
  }
}

describe("settled offsets", () => {
  it("in order: the cursor follows and nothing is kept", () => {
    const table = new SettledTable(10);
    for (let offset = 10; offset < 3 * PAGE_OFFSETS; offset += 1) {
      expect(table.settle(offset, offset + 1)).toBe(1);
      expect(table.cursor).toBe(offset + 1);
    }
    expect([...table.pairs(PREFIX)]).toEqual([]);
    expect(table.settledAbove).toBe(0);
  });

  it("a gap: holds the cursor until it is settled", () => {
    const table = new SettledTable(0);
    expect(table.settle(1, 10_000)).toBe(9999);
    expect([table.cursor, table.settledAbove]).toEqual([0, 9999]);
    expect([table.isSettled(0), table.isSettled(1), table.isSettled(9999)]).toEqual([
      false,
      true,
      true,
    ]);
    expect(table.isSettled(10_000)).toBe(false);
    expect([table.nextUnsettled(0), table.nextUnsettled(1), table.nextUnsettled(20_000)]).toEqual([
      0, 10_000, 20_000,
    ]);
    expect(table.settle(0, 1)).toBe(1);
    expect([table.cursor, table.settledAbove]).toEqual([10_000, 0]);
  });

  it("twice: counts once", () => {
    const table = new SettledTable(5);
    expect(table.settle(7, 9)).toBe(2);
    expect(table.settle(6, 9)).toBe(1);
    expect(table.settle(0, 9)).toBe(1);
    expect(table.settle(0, 9)).toBe(0);
    expect(table.cursor).toBe(9);
  });

  it("seek: forgets what was settled behind the new cursor and un-settles what lies above it", () => {
    const table = new SettledTable(0);
    const stored = new Stored();
    table.settle(5000, 5010);
    stored.write(table.takeWrites(PREFIX));
    expect(stored.pairs.size).toBe(1);
    table.seek(4999);
    stored.write(table.takeWrites(PREFIX));
    expect(stored.pairs.size).toBe(0);
    expect([table.cursor, table.isSettled(4998), table.isSettled(5000)]).toEqual([
      4999,
      true,
      false,
    ]);
  });

  it("millions settled out of order: cost an eighth of a byte each, whole pages nothing", () => {
    const table = new SettledTable(0);
    for (let offset = 1; offset < 4_000_000; offset += 2) table.settle(offset, offset + 1);
    const bytes = [...table.pairs(PREFIX)].reduce((sum, [, value]) => sum + value.length, 0);
    expect(bytes).toBeLessThanOrEqual(4_000_000 / 8 + 512);
    const ranged = new SettledTable(0);
    ranged.settle(PAGE_OFFSETS, 1000 * PAGE_OFFSETS);
    expect([...ranged.pairs(PREFIX)].every(([, value]) => value.length === 0)).toBe(true);
  });

  it("random calls: agree with a plain set, and writes and pairs give the same table again", () => {
    const seed = Number(process.env["SEED"] ?? 4711);
    const random = seededRandom(seed);
    for (let round = 0; round < 30; round += 1) {
      const begin = random.integer(0, 3 * PAGE_OFFSETS);
      let table = new SettledTable(begin);
      const stored = new Stored();
      const plain = new Set<number>();
      let cursor = begin;
      for (let step = 0; step < 60; step += 1) {
        const from = cursor + random.integer(-50, 2 * PAGE_OFFSETS);
        const length = random.next() < 0.7 ? random.integer(1, 40) : random.integer(1, 9000);
        const isGapClosed = random.next() < 0.3;
        const start = Math.max(0, isGapClosed ? cursor : from);
        let added = 0;
        for (let offset = Math.max(start, cursor); offset < start + length; offset += 1) {
          if (!plain.has(offset)) added += 1;
          plain.add(offset);
        }
        expect(table.settle(start, start + length), `seed ${seed}, round ${round}`).toBe(added);
        while (plain.has(cursor)) cursor += 1;
        expect(table.cursor, `seed ${seed}, round ${round}`).toBe(cursor);
        const probe = cursor + random.integer(0, 3 * PAGE_OFFSETS);
        expect(table.isSettled(probe)).toBe(plain.has(probe));
        let next = probe;
        while (plain.has(next)) next += 1;
        expect(table.nextUnsettled(probe)).toBe(next);
        stored.write(table.takeWrites(PREFIX));
        if (random.next() < 0.1) {
          expect([...stored.pairs].sort(([a], [b]) => (a < b ? -1 : 1))).toEqual([
            ...table.pairs(PREFIX),
          ]);
          const { settledAbove } = table;
          table = SettledTable.restore(table.cursor, PREFIX, stored.pairs);
          expect(table.settledAbove).toBe(settledAbove);
        }
      }
    }
  });

  it("stored pages: anything that is none is refused", () => {
    const restore = (key: string, value: Uint8Array) => () =>
      SettledTable.restore(PAGE_OFFSETS, PREFIX, [[key, value]]);
    expect(restore(`${PREFIX}1`, new Uint8Array(0))).toThrow(TypeError);
    expect(restore(`${PREFIX}00000000000`, new Uint8Array(0))).toThrow(TypeError);
    expect(restore(`${PREFIX}00000000001`, new Uint8Array(7))).toThrow(TypeError);
    expect(restore(`${PREFIX}00000000001`, new Uint8Array(512))).not.toThrow();
  });
});
