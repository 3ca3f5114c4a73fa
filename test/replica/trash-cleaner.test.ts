import { describe, expect, it } from "vitest";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { TrashCleaner } from "../../src/replica/trash-cleaner.ts";
import { silentLogger } from "../support/silent-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const HOUR_MS = 3_600_000;

function scene(retentionMs: number) {
  const clock = new VirtualClock();
  const disk = new MemoryDisk();
  disk.makeDirectory("trash");
  disk.makeDirectory("groups");
  const throwAway = (name: string): void => {
    disk.makeDirectory(`trash/${name}`);
    for (const file of ["1.log", "2.log"]) {
      disk.open(`trash/${name}/${file}`, { create: true }).append([Buffer.from("old")]);
    }
  };
  const cleaner = new TrashCleaner({ disk, clock: clock.root, logger: silentLogger }, retentionMs);
  return { clock, disk, cleaner, throwAway };
}

describe("trash cleaner", () => {
  it("an entry: stays for the retention, then goes with all its files, and nothing else does", async () => {
    const { clock, disk, cleaner, throwAway } = scene(HOUR_MS);
    throwAway("7-1");
    cleaner.start();
    await clock.run(HOUR_MS - 1000);
    throwAway("8-1");
    expect(disk.list("trash")).toEqual(["7-1", "8-1"]);
    expect(disk.list("trash/7-1")).toEqual(["1.log", "2.log"]);
    await clock.run(120_000);
    expect(disk.list("trash")).toEqual(["8-1"]);
    expect(disk.exists("groups")).toBe(true);
    await clock.run(HOUR_MS);
    expect(disk.list("trash")).toEqual([]);
    cleaner.close();
  });

  it("a start: counts the age anew", async () => {
    const { clock, disk, cleaner, throwAway } = scene(HOUR_MS);
    throwAway("7-1");
    cleaner.start();
    await clock.run(HOUR_MS - 1000);
    cleaner.close();
    const next = new TrashCleaner({ disk, clock: clock.root, logger: silentLogger }, HOUR_MS);
    next.start();
    await clock.run(HOUR_MS - 1000);
    expect(disk.list("trash")).toEqual(["7-1"]);
    next.close();
  });

  it("retention 0: goes at the next look; after close() nothing goes", async () => {
    const { clock, disk, cleaner, throwAway } = scene(0);
    cleaner.start();
    throwAway("7-1");
    await clock.run(1500);
    expect(disk.list("trash")).toEqual([]);
    cleaner.close();
    throwAway("8-1");
    await clock.run(HOUR_MS);
    expect(disk.list("trash")).toEqual(["8-1"]);
  });

  it("a disk that refuses: is asked again later", async () => {
    const { clock, disk, cleaner, throwAway } = scene(1000);
    throwAway("7-1");
    const remove = disk.removeTree.bind(disk);
    let refusals = 0;
    disk.removeTree = (path) => {
      refusals += 1;
      if (refusals < 3) throw new Error("busy");
      remove(path);
    };
    cleaner.start();
    await clock.run(10 * 60_000);
    expect(disk.list("trash")).toEqual([]);
    expect(refusals).toBeGreaterThanOrEqual(3);
    cleaner.close();
  });
});
