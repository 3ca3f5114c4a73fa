// What every implementation of the keyed store must do. Run by test/log/{memory,level,fault}-store.test.ts.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { KeyedStore, KeyedWrite } from "../../src/log/ports.ts";

export interface StoreUnderTest {
  readonly store: KeyedStore;
  readonly cleanUp: () => void;
}

const put = (key: string, value: string): KeyedWrite => {
  return { type: "put", key, value: Buffer.from(value) };
};

async function pairsOf(store: KeyedStore, prefix: string): Promise<string[]> {
  const pairs: string[] = [];
  for await (const [key, value] of store.range(prefix)) pairs.push(`${key}=${value.toString()}`);
  return pairs;
}

export function keyedStoreConformance(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`${name}: keyed store`, () => {
    let store: KeyedStore;
    let cleanUp: () => void;

    beforeEach(async () => {
      ({ store, cleanUp } = await make());
    });
    afterEach(async () => {
      await store.close();
      cleanUp();
    });

    it("batch: puts and deletes, the later write of a key wins", async () => {
      await store.batch([put("a", "1"), put("b", "1"), put("a", "2")], { sync: false });
      await store.batch([{ type: "delete", key: "b" }, put("c", "")], { sync: true });
      expect((await store.get("a"))?.toString()).toBe("2");
      expect(await store.get("b")).toBeUndefined();
      expect((await store.get("c"))?.length).toBe(0);
      expect(await store.get("none")).toBeUndefined();
    });

    it("batch: of nothing is harmless, deleting what is not there too", async () => {
      await store.batch([], { sync: true });
      await store.batch([{ type: "delete", key: "none" }], { sync: false });
      expect(await pairsOf(store, "")).toEqual([]);
    });

    it("batch: batches are executed in call order (not awaited)", async () => {
      const batches: Promise<void>[] = [];
      for (let number = 0; number < 100; number += 1) {
        batches.push(store.batch([put("k", String(number))], { sync: number % 7 === 0 }));
      }
      await Promise.all(batches);
      expect((await store.get("k"))?.toString()).toBe("99");
    });

    it("range: keys of a prefix, ascending by bytes", async () => {
      const keys = ["p/b", "p/a", "p", "p0", "q", "p/é", "p/\u{1F600}", "p/\uFFFD", "o/z"];
      await store.batch(
        keys.map((key) => put(key, "x")),
        { sync: false },
      );
      const found = (await pairsOf(store, "p/")).map((pair) => pair.slice(0, -2));
      expect(found).toEqual(["p/a", "p/b", "p/é", "p/\uFFFD", "p/\u{1F600}"]);
      expect((await pairsOf(store, "")).length).toBe(keys.length);
    });

    it("range: shows the store as it was at the call", async () => {
      await store.batch([put("a", "1"), put("b", "1")], { sync: false });
      const range = store.range("");
      await store.batch([put("b", "2"), put("c", "2"), { type: "delete", key: "a" }], {
        sync: false,
      });
      const seen: string[] = [];
      for await (const [key, value] of range) seen.push(`${key}=${value.toString()}`);
      expect(seen).toEqual(["a=1", "b=1"]);
    });

    it("range: may be left early", async () => {
      await store.batch([put("a", "1"), put("b", "1")], { sync: false });
      for await (const [key] of store.range("")) {
        expect(key).toBe("a");
        break;
      }
      expect((await store.get("b"))?.toString()).toBe("1");
    });

    it("removeRange: removes exactly the prefix, also what was not awaited (2500 keys)", async () => {
      const writes = Array.from({ length: 2500 }, (_, number) => put(`p/${number}`, "x"));
      const done = store.batch([...writes, put("p", "1"), put("q", "1")], { sync: false });
      await store.removeRange("p/");
      await done;
      expect(await pairsOf(store, "")).toEqual(["p=1", "q=1"]);
    });

    it("close: later batches are refused, closing again is harmless", async () => {
      await store.close();
      await store.close();
      await expect(store.batch([put("a", "1")], { sync: false })).rejects.toThrow();
    });
  });
}
