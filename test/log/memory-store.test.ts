import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { FaultStore } from "../../src/log/fault-store.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import { type KeyedStore, type KeyedWrite, StorageError } from "../../src/log/ports.ts";
import { keyedStoreConformance } from "../conformance/keyed-store.ts";

keyedStoreConformance("memory store", async () => {
  return { store: new MemoryStore(), cleanUp: () => undefined };
});
keyedStoreConformance("fault store without faults", async () => {
  return { store: new FaultStore(new MemoryStore()), cleanUp: () => undefined };
});

const put = (key: string): KeyedWrite => ({ type: "put", key, value: Buffer.from("x") });

async function keysOf(store: KeyedStore): Promise<string> {
  const keys: string[] = [];
  for await (const [key] of store.range("")) keys.push(key);
  return keys.join("");
}

async function written(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.batch([put("a")], { sync: false });
  await store.batch([put("b")], { sync: true });
  await store.batch([put("c"), put("d")], { sync: false });
  await store.batch([put("e")], { sync: false });
  return store;
}

describe("memory store: crash", () => {
  it("power cut after it was closed: loses nothing", async () => {
    const store = await written();
    await store.close();
    expect(await keysOf(store.crash({ ...seededRandom(1), integer: () => 0 }))).toBe("abcde");
  });

  it("power cut: loses any suffix of unsynced batches, each whole", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 60; seed += 1) {
      outcomes.add(await keysOf((await written()).crash(seededRandom(seed))));
    }
    expect(outcomes).toEqual(new Set(["ab", "abcd", "abcde"]));
  });

  it("power cut with holes: loses any unsynced batches", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 60; seed += 1) {
      outcomes.add(await keysOf((await written()).crash(seededRandom(seed), { holes: true })));
    }
    expect(outcomes).toEqual(new Set(["ab", "abcd", "abcde", "abe"]));
  });

  it("death of the process: keeps everything, unsynced stays unsynced", async () => {
    const store = await written();
    const after = store.detach();
    expect(await keysOf(after)).toBe("abcde");
    await expect(store.batch([put("z")], { sync: true })).rejects.toThrow(StorageError);
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 60; seed += 1) {
      outcomes.add(await keysOf((await written()).detach().crash(seededRandom(seed))));
    }
    expect(outcomes).toEqual(new Set(["ab", "abcd", "abcde"]));
  });
});

describe("fault store", () => {
  it("inject: fails the n-th operation of a kind", async () => {
    const store = new FaultStore(new MemoryStore());
    const effect = { kind: "fail", as: "io" } as const;
    const hits = store.inject({ operation: "batch", after: 1, effect });
    store.inject({ operation: "range", effect });
    await store.batch([put("a")], { sync: false });
    await expect(store.batch([put("b")], { sync: false })).rejects.toThrow(StorageError);
    await expect(keysOf(store)).rejects.toThrow(StorageError);
    expect(hits()).toBe(1);
    expect(await keysOf(store)).toBe("a");
    store.heal();
  });
});
