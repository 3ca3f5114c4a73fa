import { describe, expect, it } from "vitest";
import { FaultStore, type StoreFault } from "../../src/log/fault-store.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import { type KeyedStore, StorageError } from "../../src/log/ports.ts";
import { MarkingStore } from "../../src/replica/marking-store.ts";
import { isKeyedFailed, isStorageFailed } from "../../src/replica/storage-failure.ts";

type Operation = StoreFault["operation"];

async function walk(store: KeyedStore): Promise<void> {
  for await (const [key] of store.range("")) expect(key).toBe("nothing is in it");
}

const RUNS: Readonly<Record<Operation, (store: KeyedStore) => Promise<unknown>>> = {
  batch: (store) => store.batch([{ type: "delete", key: "k" }], { sync: false }),
  get: (store) => store.get("k"),
  range: walk,
  removeRange: (store) => store.removeRange("k"),
};
const OPERATIONS = ["batch", "get", "range", "removeRange"] as const;

async function failing(operation: Operation, as: "io" | "full" | "corrupt"): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const inner = new FaultStore(new MemoryStore());
  const store = new MarkingStore(inner, disk);
  inner.inject({ operation, effect: { kind: "fail", as } });
  await expect(RUNS[operation](store)).rejects.toMatchObject({ kind: as });
  await RUNS[operation](store);
  return disk;
}

describe("marking store", () => {
  it.each(OPERATIONS)("%s of a store that fails: leaves the store's mark", async (operation) => {
    for (const as of ["io", "full"] as const) {
      const disk = await failing(operation, as);
      expect([isKeyedFailed(disk), isStorageFailed(disk)]).toEqual([true, false]);
    }
  });

  it.each(["get", "range"] as const)("%s of damaged rows: no mark", async (operation) => {
    expect(isKeyedFailed(await failing(operation, "corrupt"))).toBe(false);
  });

  it("close that fails: leaves the mark; use after close: does not", async () => {
    const disk = new MemoryDisk();
    const closed = new MarkingStore(new MemoryStore(), disk);
    await closed.close();
    await expect(closed.get("k")).rejects.toBeInstanceOf(StorageError);
    expect(isKeyedFailed(disk)).toBe(false);
    const inner = new MemoryStore();
    inner.close = () => Promise.reject(new StorageError("io", "keyed", "not synced"));
    await expect(new MarkingStore(inner, disk).close()).rejects.toMatchObject({ kind: "io" });
    expect(isKeyedFailed(disk)).toBe(true);
  });
});
