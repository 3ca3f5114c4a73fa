import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { StorageError } from "../../src/log/ports.ts";
import { diskConformance } from "../conformance/disk.ts";

diskConformance("fault disk without faults", () => {
  return { disk: new FaultDisk(new MemoryDisk()), cleanUp: () => undefined };
});

describe("fault disk", () => {
  it("inject: hits the n-th matching operation, as often as asked", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const file = disk.open("a", { create: true });
    const effect = { kind: "fail", as: "full" } as const;
    const fault = disk.inject({ operations: ["append"], path: "a", after: 1, times: 2, effect });
    file.append([Buffer.from("1")]);
    expect(() => file.append([Buffer.from("2")])).toThrow(StorageError);
    expect(() => file.append([Buffer.from("3")])).toThrow(StorageError);
    file.append([Buffer.from("4")]);
    await file.sync();
    expect(fault.hits).toBe(2);
    expect(file.readSync(0, 9).toString()).toBe("14");
  });

  it("inject: other paths and operations are left alone, lift and heal end it", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const file = disk.open("a", { create: true });
    const effect = { kind: "fail", as: "io" } as const;
    const times = Number.POSITIVE_INFINITY;
    const elsewhere = disk.inject({ operations: ["append"], path: "b", times, effect });
    const syncs = disk.inject({ operations: ["sync"], times, effect });
    file.append([Buffer.from("1")]);
    await expect(file.sync()).rejects.toThrow(StorageError);
    syncs.lift();
    await file.sync();
    expect([elsewhere.hits, syncs.hits]).toEqual([0, 1]);
    disk.inject({ times, effect });
    expect(() => disk.remove("a")).toThrow(StorageError);
    disk.heal();
    disk.remove("a");
  });

  it("short: writes a part, then fails", () => {
    const disk = new FaultDisk(new MemoryDisk());
    const file = disk.open("a", { create: true });
    disk.inject({ operations: ["append"], effect: { kind: "short", bytes: 3 } });
    expect(() => file.append([Buffer.from("ab"), Buffer.from("cd")])).toThrow(StorageError);
    expect(file.readSync(0, 9).toString()).toBe("abc");
  });

  it("flip: changes one bit of one read, not of the file", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const file = disk.open("a", { create: true });
    file.append([Buffer.alloc(8)]);
    disk.inject({ operations: ["read"], effect: { kind: "flip", random: seededRandom(1) } });
    const bits = [...(await file.read(0, 8))].reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0);
    expect(bits).toBe(1);
    expect((await file.read(0, 8)).equals(Buffer.alloc(8))).toBe(true);
  });

  it("lie: a sync reports what it did not do", async () => {
    const memory = new MemoryDisk();
    const disk = new FaultDisk(memory);
    const operations = ["sync", "syncDirectory"] as const;
    const fault = disk.inject({ operations, times: 2, effect: { kind: "lie" } });
    await disk.open("a", { create: true }).sync();
    await disk.syncDirectory("");
    expect(fault.hits).toBe(2);
    const outcomes = new Set<boolean>();
    for (let seed = 1; seed < 20; seed += 1) {
      const again = new MemoryDisk();
      again.open("a", { create: true });
      outcomes.add(again.crash(seededRandom(seed)).exists("a"));
    }
    expect(outcomes.has(false)).toBe(true);
  });

  it("slow: delays a sync by the injected clock", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const file = disk.open("a", { create: true });
    const scheduled: { readonly delayMs: number; readonly run: () => void }[] = [];
    const clock = {
      monotonicMs: () => 0,
      wallMs: () => 0,
      schedule: (delayMs: number, run: () => void) => {
        scheduled.push({ delayMs, run });
        return () => undefined;
      },
      defer: (run: () => void) => run(),
    };
    disk.inject({ operations: ["sync"], effect: { kind: "slow", ms: 300, clock } });
    let isDone = false;
    const synced = file.sync().then(() => {
      isDone = true;
    });
    await Promise.resolve();
    expect([isDone, scheduled[0]?.delayMs]).toEqual([false, 300]);
    scheduled[0]?.run();
    await synced;
  });
});
