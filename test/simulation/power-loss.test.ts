import { expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import { crashDisk, crashStore, isLoss, NO_LOSS } from "./power-loss.ts";

const BATCHES = 8;

it("power loss: as many batches of the store are lost as are gone (100 seeds, with holes and without)", async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const store = new MemoryStore();
    await store.batch([put("kept")], { sync: true });
    for (let number = 0; number < BATCHES; number += 1) {
      await store.batch([put(`key ${number}`)], { sync: false });
    }
    const crashed = crashStore(store, seededRandom(seed), seed % 2 === 0);
    let left = 0;
    for await (const _ of crashed.store.range("key ")) left += 1;
    expect(crashed.batches).toBe(BATCHES - left);
  }
});

it("power loss: what was synced is no loss, what was not is (a file, and a file whose name was not synced)", async () => {
  const disk = new MemoryDisk();
  disk.makeDirectory("groups");
  disk.open("groups/synced", { create: true }).append([Buffer.from("a")]);
  await disk.open("groups/synced", { create: false }).sync();
  await disk.syncDirectory("");
  await disk.syncDirectory("groups");
  const whole = crashDisk(disk, LOWEST);
  expect(whole).toMatchObject({ files: 0, torn: 0 });
  whole.memory.open("groups/synced", { create: false }).append([Buffer.from("b")]);
  whole.memory.open("groups/unnamed", { create: true });
  expect(crashDisk(whole.memory, LOWEST)).toMatchObject({ files: 2, torn: 0 });
});

it("power loss: a segment that ends in the middle of an entry is torn, a cache that is gone is nothing", async () => {
  const disk = new MemoryDisk();
  disk.makeDirectory("groups");
  disk.open("groups/1.idx", { create: true });
  await disk.syncDirectory("");
  expect(isLoss({ ...NO_LOSS, ...crashDisk(disk, LOWEST) })).toBe(false);
  const other = new MemoryDisk();
  other.makeDirectory("groups");
  const segment = other.open("groups/1.seg", { create: true });
  segment.append([Buffer.alloc(64)]);
  await segment.sync();
  await other.syncDirectory("");
  await other.syncDirectory("groups");
  segment.append([Buffer.alloc(100, 1)]);
  const half = { ...LOWEST, integer: (from: number, to: number) => (from + to) >> 1 };
  expect(crashDisk(other, half)).toMatchObject({ files: 1, torn: 1 });
});

const LOWEST = { next: () => 0, integer: (from: number) => from, uuid: () => "" };

function put(key: string): { readonly type: "put"; readonly key: string; readonly value: Buffer } {
  return { type: "put", key, value: Buffer.from("x") };
}
