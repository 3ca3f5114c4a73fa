import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { type Disk, type GroupLog, StorageError } from "../../src/log/ports.ts";
import { type GroupLogOptions, openGroupLog } from "../../src/log/segment-log.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { frame, run } from "./frames.ts";

const ALL = Number.MAX_SAFE_INTEGER;
const FRAME = 173;

function open(disk: Disk, more: Partial<GroupLogOptions> = {}): Promise<GroupLog> {
  const place = { disk, directory: "log", groupId: 1 as GroupId };
  return openGroupLog({ ...place, segmentBytes: 64 + 5 * FRAME, indexBytes: 400, ...more });
}

async function kindOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof StorageError ? error.kind : `not a StorageError: ${String(error)}`;
  }
  return "nothing thrown";
}

const nameOf = (first: number): string => `log/${String(first).padStart(20, "0")}.seg`;

/** Changes a file at rest. */
function edit(disk: Disk, path: string, change: (bytes: Buffer) => Buffer): void {
  const file = disk.open(path, { create: false });
  const bytes = change(file.readSync(0, file.size));
  file.truncate(0);
  file.append([bytes]);
  file.close();
}

function flip(disk: Disk, path: string, at: number): void {
  edit(disk, path, (bytes) => {
    bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
    return bytes;
  });
}

async function diskWith(entries: number): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const log = await open(disk);
  log.append(run(1, entries));
  await log.sync();
  log.close();
  return disk;
}

describe("segment log: damage at rest", () => {
  it("open: a flipped bit at every byte of the active segment below the hint: refused, or opened around it", async () => {
    let opened = 0;
    for (let at = 0; at < 64 + 2 * FRAME; at += 1) {
      const disk = await diskWith(7);
      flip(disk, nameOf(6), at);
      try {
        const log = await open(disk, { durableIndexHint: 7 });
        opened += 1;
        const damaged = at < 64 + FRAME ? 6 : 7;
        expect([log.lastIndex, log.nextOffset], `byte ${at}`).toEqual([7, 7]);
        expect(log.damage).toMatchObject([{ first: damaged, last: damaged }]);
        expect((await log.read(13 - damaged, 13 - damaged, 1)).length).toBe(1);
        expect(await kindOf(() => log.read(damaged, damaged, 1))).toBe("corrupt");
        log.append(run(8, 8));
        expect((await log.read(8, 8, 1)).length).toBe(1);
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        expect(error.kind).toBe("corrupt");
      }
    }
    // Refused: damage of the segment's header, of a length, and of the last entry's header, behind which nothing stands.
    expect(opened).toBe(2 * FRAME - (64 + 8 + 21) - 4);
  });

  it("open: a refusal changes nothing on disk", async () => {
    const disk = await diskWith(7);
    const whole = await open(disk);
    const before = await whole.read(1, 5, ALL);
    whole.close();
    flip(disk, nameOf(6), 64 + FRAME + 6);
    expect(await kindOf(() => open(disk, { durableIndexHint: 7 }))).toBe("corrupt");
    flip(disk, nameOf(6), 64 + FRAME + 6);
    const log = await open(disk, { durableIndexHint: 7 });
    expect((await log.read(1, 7, ALL)).length).toBe(before.length + 2);
  });

  it("open: above the hint the log is cut at the damage, and says so", async () => {
    const disk = await diskWith(9);
    flip(disk, nameOf(6), 64 + FRAME + 90);
    const reports: (string | undefined)[] = [];
    const observer = {
      onRecovery: (report: { readonly reason: string | undefined; readonly bytesCut: number }) => {
        reports.push(report.reason, String(report.bytesCut));
      },
    };
    const log = await open(disk, { durableIndexHint: 6, observer });
    expect(log.lastIndex).toBe(6);
    expect(reports).toEqual([expect.stringContaining("checksum"), String(3 * FRAME)]);
  });

  it("open: without a power cut the same is damage and nothing is cut, but for a torn end", async () => {
    const damaged = await diskWith(9);
    flip(damaged, nameOf(6), 64 + FRAME + 90);
    const log = await open(damaged, { pageCacheKept: true });
    expect([log.lastIndex, log.damage[0]?.first, log.damage[0]?.last]).toEqual([9, 7, 7]);
    const torn = await diskWith(9);
    edit(torn, nameOf(6), (bytes) => bytes.subarray(0, -50));
    expect((await open(torn, { pageCacheKept: true })).lastIndex).toBe(8);
  });

  it("open: a last frame cut at every byte is dropped, earlier ones stay", async () => {
    for (let left = 0; left < FRAME; left += 1) {
      const disk = await diskWith(7);
      edit(disk, nameOf(6), (bytes) => bytes.subarray(0, 64 + FRAME + left));
      const log = await open(disk, { durableIndexHint: 6 });
      expect(log.lastIndex).toBe(6);
      log.append(run(7, 7, { term: 2 }));
      expect((await log.read(7, 7, ALL))[0]?.term).toBe(2);
    }
  });

  it("open: a segment that lost its header with the power goes, with all behind it; what comes then is kept", async () => {
    const without: ((bytes: Buffer) => Buffer)[] = [
      () => Buffer.alloc(0),
      (bytes) => bytes.subarray(0, 30),
      (bytes) => bytes.fill(0, 0, 64),
      (bytes) => bytes.fill(0),
    ];
    for (const lose of without) {
      const disk = await diskWith(12);
      edit(disk, nameOf(6), lose);
      const log = await open(disk, { durableIndexHint: 5 });
      expect([log.lastIndex, log.segments().length]).toEqual([5, 1]);
      log.append(run(6, 12, { term: 2 }));
      await log.sync();
      expect(await log.examine(6)).toEqual([]);
      const after = disk.crash(seededRandom(1));
      const again = await open(after, { durableIndexHint: 12 });
      const terms = (await again.read(6, 12, ALL)).map(({ term }) => term);
      expect(terms).toEqual([2, 2, 2, 2, 2, 2, 2]);
      // As newest segment nothing but the hint stands for it.
      const newest = await diskWith(7);
      edit(newest, nameOf(6), lose);
      expect((await open(newest, { durableIndexHint: 5 })).lastIndex).toBe(5);
    }
  });

  it("cut: a segment with a damaged header is not written on, when nothing of it is left", async () => {
    const disk = await diskWith(12);
    flip(disk, nameOf(6), 20);
    const log = await open(disk, { durableIndexHint: 12 });
    expect(log.damage).toMatchObject([{ first: 6, last: 6 }]);
    log.truncateSuffix(6);
    expect([log.lastIndex, log.damage.length]).toEqual([5, 0]);
    log.append(run(6, 8, { term: 2 }));
    await log.sync();
    const again = await open(disk.crash(seededRandom(1)), { durableIndexHint: 5 });
    expect((await again.read(6, 8, ALL)).map(({ term }) => term)).toEqual([2, 2, 2]);
  });

  it("open: a segment without header is never cut where the hint reaches into it", async () => {
    for (const hint of [6, 8, 9]) {
      const disk = await diskWith(12);
      edit(disk, nameOf(6), (bytes) => bytes.fill(0, 0, 64));
      expect(await kindOf(() => open(disk, { durableIndexHint: hint }))).toBe("corrupt");
    }
  });

  it("open: a missing segment, first, middle or last, is corrupt below the hint", async () => {
    for (const first of [1, 6, 11]) {
      const disk = await diskWith(12);
      disk.remove(nameOf(first));
      // The first: nothing in the log says where it should begin; the replica compares it with its image.
      const expected = first === 1 ? "nothing thrown" : "corrupt";
      expect(await kindOf(() => open(disk, { durableIndexHint: 12 }))).toBe(expected);
    }
  });

  it("open: no file at all is corrupt when something was durable", async () => {
    expect(await kindOf(() => open(new MemoryDisk(), { durableIndexHint: 1 }))).toBe("corrupt");
  });

  it("open: segments of another group are refused", async () => {
    const disk = await diskWith(3);
    expect(await kindOf(() => open(disk, { groupId: 2 as GroupId }))).toBe("corrupt");
  });

  it("open: an input error is an error, never an empty log", async () => {
    const disk = new FaultDisk(await diskWith(3));
    disk.inject({ operations: ["open"], effect: { kind: "fail", as: "io" } });
    expect(await kindOf(() => open(disk))).toBe("io");
    disk.inject({ operations: ["read"], after: 1, effect: { kind: "fail", as: "io" } });
    expect(await kindOf(() => open(disk))).toBe("io");
    expect((await open(disk)).lastIndex).toBe(3);
  });

  it("read: damage in a sealed segment is found when it is read, others stay readable", async () => {
    const disk = await diskWith(12);
    flip(disk, nameOf(1), 64 + 2 * FRAME + 100);
    const log = await open(disk, { durableIndexHint: 12 });
    expect(await kindOf(() => log.read(1, 12, ALL))).toBe("corrupt");
    expect((await log.read(6, 12, ALL)).length).toBe(7);
    expect((await log.read(1, 2, ALL)).length).toBe(2);
  });

  it("read: a bit flipped on the way from the disk is found", async () => {
    const memory = await diskWith(5);
    const disk = new FaultDisk(memory);
    const log = await open(disk);
    for (let seed = 1; seed <= 60; seed += 1) {
      const effect = { kind: "flip", random: seededRandom(seed) } as const;
      disk.inject({ operations: ["read"], effect });
      const kind = await kindOf(() => log.read(3, 3, 1));
      // The flip may hit a frame before the wanted one, or slack behind it: then the answer must be right.
      if (kind === "nothing thrown") continue;
      expect(kind).toBe("corrupt");
    }
    expect((await log.read(1, 5, ALL)).length).toBe(5);
  });
});

describe("segment log: index files", () => {
  it("open: sealed segments with index file are not scanned; lost or damaged files are made again", async () => {
    for (const harm of ["none", "remove", "flip", "shorten"] as const) {
      const disk = await diskWith(17);
      const path = "log/00000000000000000006.idx";
      if (harm === "remove") disk.remove(path);
      if (harm === "flip") flip(disk, path, 100);
      if (harm === "shorten") edit(disk, path, (bytes) => bytes.subarray(0, 30));
      let scanned = 0;
      const observer = {
        onRecovery: (report: { readonly segmentsScanned: number }) => {
          scanned = report.segmentsScanned;
        },
      };
      const log = await open(disk, { observer, durableIndexHint: 17 });
      expect(scanned).toBe(harm === "none" ? 1 : 2);
      expect((await log.read(1, 17, ALL)).length).toBe(17);
      log.append(run(18, 18));
      await log.sync();
      expect(disk.exists(path)).toBe(true);
    }
  });

  it("open: an index file of an earlier writing of the segment is not believed", async () => {
    const disk = await diskWith(7);
    const file = disk.open("log/00000000000000000001.idx", { create: false });
    const stale = file.readSync(0, file.size);
    const log = await open(disk);
    log.truncateSuffix(4);
    log.append(run(4, 8, { term: 2 }));
    await log.sync();
    log.close();
    edit(disk, "log/00000000000000000001.idx", () => stale);
    const again = await open(disk, { durableIndexHint: 8 });
    expect(again.termRuns).toEqual([
      { term: 1, from: 1 },
      { term: 2, from: 4 },
    ]);
  });
});

describe("segment log: failing disk", () => {
  it("sync: an error is final, for appends too", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const log = await open(disk);
    log.append(run(1, 2));
    disk.inject({ operations: ["sync"], effect: { kind: "fail", as: "io" } });
    expect(await kindOf(() => log.sync())).toBe("io");
    expect(await kindOf(() => log.sync())).toBe("io");
    expect(() => log.append(run(3, 3))).toThrow(StorageError);
    expect(() => log.truncateSuffix(1)).toThrow(StorageError);
  });

  it("append: an input/output error is final", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const log = await open(disk);
    disk.inject({ operations: ["append"], effect: { kind: "short", bytes: 70 } });
    expect(() => log.append(run(1, 2))).toThrow(StorageError);
    expect(() => log.append(run(1, 2))).toThrow(StorageError);
    expect(await kindOf(() => log.sync())).toBe("io");
  });

  it("append: a full disk leaves the log as it was, at every operation of the call", async () => {
    for (let after = 0; after < 6; after += 1) {
      const disk = new FaultDisk(new MemoryDisk());
      const log = await open(disk);
      log.append(run(1, 3));
      const fault = disk.inject({
        operations: ["append", "create"],
        after,
        effect: { kind: "fail", as: "full" },
      });
      let isFull = false;
      try {
        log.append(run(4, 14));
      } catch (error) {
        isFull = error instanceof StorageError && error.kind === "full";
      }
      expect(isFull).toBe(fault.hits === 1);
      if (isFull) expect(log.lastIndex).toBe(3);
      if (isFull) log.append(run(4, 14, { term: 2 }));
      await log.sync();
      log.close();
      const again = await open(disk, { durableIndexHint: 14 });
      expect((await again.read(1, 14, ALL)).at(-1)?.term).toBe(isFull ? 2 : 1);
    }
  });

  it("reset and truncatePrefix: a full disk leaves the log usable", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const log = await open(disk);
    log.append(run(1, 3));
    const effect = { kind: "fail", as: "full" } as const;
    disk.inject({ operations: ["create"], times: 2, effect });
    expect(await kindOf(() => log.truncatePrefix(4))).toBe("full");
    expect(await kindOf(() => log.reset(9, 1, 9))).toBe("full");
    log.append([frame({ index: 4 })]);
    await log.sync();
    expect((await log.read(1, 4, ALL)).length).toBe(4);
  });

  it("sync: covers older segments first, then the directory", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const log = await open(disk);
    log.append(run(1, 12));
    const before = disk.changes;
    await log.sync();
    // Three segments, one directory, two index files (create and append each).
    expect(disk.changes - before).toBe(3 + 1 + 2 * 2);
    await log.sync();
    expect(disk.changes - before).toBe(8);
  });

  it("observer: is told duration and bytes of a sync", async () => {
    const seen: [number, number][] = [];
    let nowMs = 0;
    const clock = {
      monotonicMs: () => {
        nowMs += 2;
        return nowMs;
      },
      wallMs: () => 0,
      schedule: () => () => undefined,
      defer: () => undefined,
    };
    const onSync = (durationMs: number, bytes: number): void => {
      seen.push([durationMs, bytes]);
    };
    const log = await open(new MemoryDisk(), { clock, observer: { onSync } });
    log.append(run(1, 2));
    await log.sync();
    await log.sync();
    expect(seen).toEqual([[2, 2 * FRAME]]);
  });
});
