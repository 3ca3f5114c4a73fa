import { describe, expect, it } from "vitest";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { StorageError } from "../../src/log/ports.ts";
import { MarkingDisk } from "../../src/replica/marking-disk.ts";
import { isStorageFailed } from "../../src/replica/storage-failure.ts";

describe("marking disk", () => {
  it("a sync of any file that fails: leaves the mark, the error goes on", async () => {
    const faulty = new FaultDisk(new MemoryDisk());
    const disk = new MarkingDisk(faulty);
    const file = disk.open("log", { create: true });
    file.append([Buffer.from("x")]);
    await file.sync();
    expect(isStorageFailed(disk)).toBe(false);
    faulty.inject({ operations: ["sync"], path: "log", effect: { kind: "fail", as: "io" } });
    await expect(file.sync()).rejects.toBeInstanceOf(StorageError);
    expect(isStorageFailed(disk)).toBe(true);
  });

  it("a sync of a directory that fails: the same", async () => {
    const faulty = new FaultDisk(new MemoryDisk());
    const disk = new MarkingDisk(faulty);
    disk.makeDirectory("groups");
    faulty.inject({
      operations: ["syncDirectory"],
      path: "groups",
      effect: { kind: "fail", as: "io" },
    });
    await expect(disk.syncDirectory("groups")).rejects.toBeInstanceOf(StorageError);
    expect(isStorageFailed(disk)).toBe(true);
  });

  it("a file under a temporary name that finds no room: no mark; any other failure of it leaves one", async () => {
    for (const [path, as, isMarked] of [
      ["log.tmp", "full", false],
      ["log.tmp", "io", true],
      ["log", "full", true],
    ] as const) {
      const faulty = new FaultDisk(new MemoryDisk());
      const disk = new MarkingDisk(faulty);
      const file = disk.open(path, { create: true });
      faulty.inject({ operations: ["sync"], path, effect: { kind: "fail", as } });
      await expect(file.sync()).rejects.toMatchObject({ kind: as });
      expect(isStorageFailed(disk), `${path} ${as}`).toBe(isMarked);
    }
  });

  it("a file that has its name for good now: a mark, as any other", async () => {
    const faulty = new FaultDisk(new MemoryDisk());
    const disk = new MarkingDisk(faulty);
    const file = disk.open("journal.tmp", { create: true });
    await file.sync();
    disk.rename("journal.tmp", "journal");
    faulty.inject({ operations: ["sync"], path: "journal", effect: { kind: "fail", as: "full" } });
    await expect(file.sync()).rejects.toMatchObject({ kind: "full" });
    expect(isStorageFailed(disk)).toBe(true);
  });

  it("other failures, and a file that was closed meanwhile: no mark", async () => {
    const disk = new MarkingDisk(new MemoryDisk());
    await expect(disk.syncDirectory("nowhere")).rejects.toMatchObject({ kind: "missing" });
    const closed = Object.assign(new Error("bad file descriptor"), { code: "EBADF" });
    const memory = new MemoryDisk();
    const file = memory.open("log", { create: true });
    file.sync = () => Promise.reject(new StorageError("io", "log", "closed", { cause: closed }));
    memory.open = () => file;
    const other = new MarkingDisk(memory);
    await expect(other.open("log", { create: false }).sync()).rejects.toMatchObject({ kind: "io" });
    expect(isStorageFailed(memory)).toBe(false);
    expect(isStorageFailed(disk)).toBe(false);
  });
});
