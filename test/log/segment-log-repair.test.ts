// Damage in sealed segments: found by reading and by examination, remembered, never served, repaired from elsewhere, and
// whatever the power does meanwhile, the old or the new file is there.
import { describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type DiskFault, FaultDisk } from "../../src/log/fault-disk.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import {
  DamageError,
  type Disk,
  type DiskFile,
  type EntrySource,
  type GroupLog,
  StorageError,
} from "../../src/log/ports.ts";
import { type GroupLogOptions, openGroupLog } from "../../src/log/segment-log.ts";
import type { Frame } from "../../src/model/entry-frame.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { frame, run } from "./frames.ts";

const ALL = Number.MAX_SAFE_INTEGER;
const FRAME = 173;
/** The first of three segments: entries 1 to 5; entry 4 begins term 2. */
const SEGMENT = 64 + 5 * FRAME;
const FRAMES = [...run(1, 3), ...run(4, 12, { term: 2 })];

function open(disk: Disk, more: Partial<GroupLogOptions> = {}): Promise<GroupLog> {
  const place = { disk, directory: "log", groupId: 1 as GroupId };
  return openGroupLog({
    ...place,
    segmentBytes: SEGMENT,
    indexBytes: 400,
    durableIndexHint: 12,
    ...more,
  });
}

const nameOf = (first: number, ending = "seg"): string =>
  `log/${String(first).padStart(20, "0")}.${ending}`;

/** Damage at rest. */
function flip(disk: MemoryDisk, path: string, at: number): void {
  disk.damage(path, (bytes) => bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at));
}

function bytesOf(disk: Disk, path: string): Buffer {
  const file = disk.open(path, { create: false });
  const bytes = Buffer.from(file.readSync(0, file.size));
  file.close();
  return bytes;
}

async function diskWith(frames: readonly Frame[] = FRAMES): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const log = await open(disk, { durableIndexHint: 0 });
  log.append(frames);
  await log.sync();
  log.close();
  return disk;
}

/** What an intact replica gives, two entries at a time. */
const intact: EntrySource = async function* (first, last) {
  for (let at = first; at <= last; at += 2) {
    yield await Promise.resolve(FRAMES.slice(at - 1, Math.min(last, at + 1)));
  }
};

/** One that has no entry from `end` on. */
function intactBelow(end: number): EntrySource {
  return async function* (first, last) {
    if (first >= end) throw new Error("not here");
    yield* intact(first, last);
  };
}

async function errorOf(run: Promise<unknown>): Promise<unknown> {
  return run.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function isServedRightly(log: GroupLog): Promise<void> {
  for (let index = log.firstIndex; index <= log.lastIndex; index += 1) {
    try {
      const [read] = await log.read(index, index, 1);
      expect(read?.bytes.equals(FRAMES[index - 1]?.bytes ?? Buffer.alloc(0))).toBe(true);
    } catch (error) {
      expect(error).toBeInstanceOf(DamageError);
    }
  }
}

describe("segment log: examination", () => {
  it("finds a flipped bit anywhere in a sealed segment; nothing damaged is read", async () => {
    const whole = await diskWith();
    for (let at = 0; at < SEGMENT; at += 3) {
      const disk = whole.detach();
      const log = await open(disk);
      const original = bytesOf(disk, nameOf(1));
      flip(disk, nameOf(1), at);
      const damage = await log.examine(3);
      expect(damage.length, `byte ${at}`).toBe(1);
      expect(log.damage).toEqual(damage);
      await isServedRightly(log);
      const [range] = damage;
      const isRead = await errorOf(log.read(range?.first ?? 0, range?.last ?? 0, ALL));
      expect(isRead).toBeInstanceOf(DamageError);
      expect(isRead).toMatchObject({ segment: 1 });
      // A damaged record is damaged alone: only a header hides what follows, up to the next place that is known.
      const entry = Math.floor((at - 64) / FRAME) + 1;
      if (at >= 64) expect(range?.first).toBe(entry);
      if (at >= 64 && (at - 64) % FRAME > 64 + 8 + 21) expect(range?.last).toBe(entry);
      await log.repair(1, intact);
      expect(log.damage).toEqual([]);
      expect(bytesOf(disk, nameOf(1)).equals(original)).toBe(true);
      expect(await log.examine(1)).toEqual([]);
      expect((await log.read(1, 12, ALL)).length).toBe(12);
      log.close();
      whole.detach();
      disk.removeTree("log/damaged");
    }
  });

  it("finds nothing in whole segments, the newest included, and paces itself", async () => {
    const log = await open(await diskWith());
    let paced = 0;
    for (const { firstIndex, bytes } of log.segments()) {
      const damage = await log.examine(firstIndex, async (count) => {
        paced += count;
        await Promise.resolve();
      });
      expect(damage).toEqual([]);
      expect(paced).toBeGreaterThanOrEqual(bytes);
    }
  });

  it("a page that belongs elsewhere, whole frames even, is damage", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    const other = bytesOf(disk, nameOf(6));
    disk.damage(nameOf(1), (bytes) => other.copy(bytes, 64 + FRAME, 64, 64 + 2 * FRAME));
    const [range] = await log.examine(1);
    expect(range?.first).toBe(2);
    await log.repair(1, intact);
    expect((await log.read(1, 12, ALL)).map(({ index }) => index).length).toBe(12);
  });

  it("a walk that is interrupted, and one whose segment is dropped, note nothing", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(1), 400);
    const stop = new Error("stop");
    expect(await errorOf(log.examine(1, () => Promise.reject(stop)))).toBe(stop);
    expect(log.damage).toEqual([]);
    const found = await log.examine(1, async () => {
      await log.truncatePrefix(6);
    });
    expect([found, log.damage]).toEqual([[], []]);
  });

  it("damage is remembered across a restart, and forgotten with its segment", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(1), 64 + 2 * FRAME + 150);
    const damage = await log.examine(1);
    await log.sync();
    log.close();
    const again = await open(disk);
    expect(again.damage).toEqual(damage);
    await again.truncatePrefix(6);
    expect(again.damage).toEqual([]);
    expect(disk.list("log").filter((name) => name.endsWith(".damaged"))).toEqual([]);
  });

  it("without room for the mark it is found anew after a restart", async () => {
    const memory = await diskWith();
    const disk = new FaultDisk(memory);
    const log = await open(disk);
    flip(memory, nameOf(1), 64 + 2 * FRAME + 150);
    const effect = { kind: "fail", as: "full" } as const;
    disk.inject({ operations: ["create"], path: ".damaged", effect });
    expect((await log.examine(1)).length).toBe(1);
    expect(log.damage.length).toBe(1);
    log.close();
    const again = await open(disk);
    expect(again.damage).toEqual([]);
    expect((await again.examine(1)).length).toBe(1);
  });

  it("a cut below the damage takes it away", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(1), 64 + 3 * FRAME + 150);
    expect((await log.examine(1))[0]?.first).toBe(4);
    log.truncateSuffix(3);
    expect(log.damage).toEqual([]);
    expect((await log.read(1, 9, ALL)).length).toBe(2);
  });
});

describe("segment log: opening around damage", () => {
  it("a sealed segment without index file, damaged anywhere: opens unless a term is in doubt, and is repaired", async () => {
    const whole = await diskWith();
    let opened = 0;
    let tried = 0;
    for (let at = 0; at < SEGMENT; at += 2) {
      tried += 1;
      const disk = whole.detach();
      const original = bytesOf(disk, nameOf(1));
      if (disk.exists(nameOf(1, "idx"))) disk.remove(nameOf(1, "idx"));
      flip(disk, nameOf(1), at);
      try {
        const log = await open(disk);
        opened += 1;
        expect([log.firstIndex, log.lastIndex, log.nextOffset]).toEqual([1, 12, 12]);
        expect(log.termRuns).toEqual([
          { term: 1, from: 1 },
          { term: 2, from: 4 },
        ]);
        await isServedRightly(log);
        await log.repair(log.damage[0]?.first ?? 0, intact);
        expect(log.damage).toEqual([]);
        expect(bytesOf(disk, nameOf(1)).equals(original), `byte ${at}`).toBe(true);
        log.close();
        expect((await open(disk)).damage).toEqual([]);
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        expect(error).toMatchObject({ kind: "corrupt" });
        disk.damage(nameOf(1), (bytes) => original.copy(bytes));
      }
      disk.removeTree("log/damaged");
      whole.detach();
    }
    // Not: the log's first header, and headers at whose place a term may begin: of entries 1, 3 and 4.
    expect(opened / tried).toBeGreaterThan(0.6);
  });

  it("damage above what was promised is a torn end, as ever", async () => {
    const disk = await diskWith();
    disk.remove(nameOf(1, "idx"));
    flip(disk, nameOf(1), 64 + 2 * FRAME + 150);
    const log = await open(disk, { durableIndexHint: 2 });
    expect([log.lastIndex, log.damage]).toEqual([2, []]);
  });

  it("a damaged header between whole segments, a cut-off end, an index that is right: all are bridged", async () => {
    for (const change of ["header", "short", "last frame"] as const) {
      const disk = await diskWith();
      const original = bytesOf(disk, nameOf(6));
      if (change === "header") flip(disk, nameOf(6), 20);
      if (change === "last frame") flip(disk, nameOf(6), 64 + 4 * FRAME + 20);
      if (change === "short") {
        const file = disk.open(nameOf(6), { create: false });
        file.truncate(64 + 3 * FRAME + 20);
        await file.sync();
      }
      const log = await open(disk);
      expect([log.lastIndex, log.damage.length], change).toEqual([12, 1]);
      await isServedRightly(log);
      await log.repair(log.damage[0]?.first ?? 0, intact);
      expect(bytesOf(disk, nameOf(6)).equals(original), change).toBe(true);
      expect((await log.read(1, 12, ALL)).length).toBe(12);
    }
  });

  it("a message that looks like a frame is not taken for one", async () => {
    const disk = new MemoryDisk();
    const sized = { segmentBytes: 64 + 1200 } as const;
    const log = await open(disk, { ...sized, durableIndexHint: 0 });
    // Entry 2 carries what looks like entries 3 and 4.
    const fake = Buffer.concat([
      frame({ index: 3, fill: 9 }).bytes,
      frame({ index: 4, fill: 9 }).bytes,
    ]);
    const carrier = frame({ index: 2, bytes: fake.length });
    fake.copy(carrier.bytes, carrier.bytes.length - fake.length);
    const frames = [frame({ index: 1 }), carrier, ...run(3, 8)];
    log.append(frames);
    await log.sync();
    log.close();
    disk.remove(nameOf(1, "idx"));
    flip(disk, nameOf(1), 64 + FRAME + 30);
    const again = await open(disk, { ...sized, durableIndexHint: 8 });
    for (let index = 1; index <= 8; index += 1) {
      const read = await again.read(index, index, 1).catch(() => []);
      if (read[0] !== undefined)
        expect(read[0].bytes.equals(frames[index - 1]?.bytes ?? carrier.bytes)).toBe(true);
    }
  });
});

describe("segment log: opening around much damage", () => {
  const FIRST = 10_000;
  const LAST = FIRST + 20;
  const sized = { segmentBytes: 64 + FIRST * FRAME, indexBytes: 64 * 1024 } as const;

  /** A sealed segment of 10,000 frames without index file, zeroed from one entry to another at each of `places`. */
  async function large(
    change: (disk: MemoryDisk, placeOf: (index: number) => number) => void,
  ): Promise<{ log: GroupLog; disk: MemoryDisk; turns: number }> {
    const disk = new MemoryDisk();
    const made = await open(disk, { ...sized, durableIndexHint: 0 });
    made.append(run(1, LAST));
    await made.sync();
    made.close();
    disk.remove(nameOf(1, "idx"));
    change(disk, (index) => 64 + (index - 1) * FRAME);
    let turns = 0;
    const schedule: Clock["schedule"] = (delayMs, action) => {
      turns += 1;
      return systemClock.schedule(delayMs, action);
    };
    const clock: Clock = { ...systemClock, schedule };
    const log = await open(disk, { ...sized, durableIndexHint: LAST, clock });
    return { log, disk, turns };
  }

  const rangesOf = (log: GroupLog): number[][] =>
    log.damage.map(({ first, last }) => [first, last]);

  it("two wrong headers far apart: each entry is damaged alone, and others get their turns", async () => {
    const { log, turns } = await large((disk, placeOf) => {
      for (const index of [4, FIRST - 3]) flip(disk, nameOf(1), placeOf(index) + 20);
    });
    expect(rangesOf(log)).toEqual([
      [4, 4],
      [FIRST - 3, FIRST - 3],
    ]);
    expect(turns).toBeGreaterThan(4);
    expect((await log.read(5, FIRST - 4, ALL)).length).toBe(FIRST - 8);
  });

  it("what hides its length as well: everything between is damaged, in linear time", async () => {
    const { log, turns } = await large((disk, placeOf) => {
      const zero = (first: number, last: number): void =>
        disk.damage(nameOf(1), (bytes) => bytes.fill(0, placeOf(first), placeOf(last + 1)));
      zero(4, 5);
      zero(FIRST - 3, FIRST - 2);
    });
    expect(rangesOf(log)).toEqual([[4, FIRST - 2]]);
    expect(turns).toBeGreaterThan(4);
  });

  it("every tenth header is wrong: each entry is damaged alone", async () => {
    const { log } = await large((disk, placeOf) => {
      for (let index = 5; index < FIRST; index += 10) flip(disk, nameOf(1), placeOf(index) + 34);
    });
    expect(log.damage.length).toBe(FIRST / 10);
    expect(log.damage.every(({ first, last }) => first === last)).toBe(true);
  });

  it("a message full of frames is not taken for its successors, whichever byte of its header is wrong", async () => {
    const fakes = [3, 4, 5].map((index) => frame({ index, fill: 99, bytes: 10 }).bytes);
    const inner = Buffer.concat([...fakes, ...fakes]);
    const carrier = frame({ index: 2, bytes: inner.length });
    inner.copy(carrier.bytes, carrier.bytes.length - inner.length);
    const frames = [frame({ index: 1 }), carrier, ...run(3, 8)];
    const size = 64 + FRAME + carrier.bytes.length + 4 * FRAME;
    for (let at = 0; at < 72; at += 1) {
      for (const bit of [1, 4, 128]) {
        const disk = new MemoryDisk();
        const made = await open(disk, { segmentBytes: size, durableIndexHint: 0 });
        made.append(frames);
        await made.sync();
        made.close();
        disk.remove(nameOf(1, "idx"));
        const fifth = 64 + 3 * FRAME + carrier.bytes.length;
        disk.damage(nameOf(1), (bytes) => {
          bytes.writeUInt8(bytes.readUInt8(64 + FRAME + at) ^ bit, 64 + FRAME + at);
          bytes.writeUInt8(bytes.readUInt8(fifth + 20) ^ 1, fifth + 20);
        });
        const log = await open(disk, { segmentBytes: size, durableIndexHint: 8 });
        for (let index = 1; index <= 8; index += 1) {
          const read = await log.read(index, index, 1).catch(() => []);
          const written = frames[index - 1]?.bytes;
          if (read[0] !== undefined) expect(written?.equals(read[0].bytes)).toBe(true);
        }
        expect(log.damage[0]?.first).toBe(2);
      }
    }
  });
});

describe("segment log: repair", () => {
  it("of the newest segment: what comes next goes to a new one", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(11), 64 + 150);
    expect((await log.examine(11))[0]).toMatchObject({ first: 11, last: 11 });
    log.append([frame({ index: 13, term: 2 })]);
    await log.repair(11, intact);
    expect(log.damage).toEqual([]);
    log.append([frame({ index: 14, term: 2 })]);
    await log.sync();
    expect((await log.read(1, 14, ALL)).length).toBe(14);
    expect(log.segments().length).toBe(4);
  });

  it("refuses what does not fit, and leaves the log as it was", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(1), 64 + 2 * FRAME + 150);
    const damage = await log.examine(1);
    const wrong: readonly Frame[][] = [
      [frame({ index: 3, term: 2 })],
      [frame({ index: 4, term: 1 })],
      [frame({ index: 3, baseOffset: 7 })],
      [frame({ index: 3, bytes: 41 })],
      [damagedFrame()],
      [],
      [...run(3, 4)],
    ];
    for (const frames of wrong) {
      const source: EntrySource = async function* () {
        yield await Promise.resolve(frames);
      };
      expect(await errorOf(log.repair(1, source))).toMatchObject({ kind: "corrupt" });
      expect(log.damage).toEqual(damage);
    }
    const gone = new Error("nobody there");
    const failing: EntrySource = () => {
      throw gone;
    };
    expect(await errorOf(log.repair(1, failing))).toBe(gone);
    expect(disk.list("log").filter((name) => name.endsWith(".tmp"))).toEqual([]);
    await log.repair(1, intact);
    expect((await log.read(1, 12, ALL)).length).toBe(12);
  });

  it("keeps the damaged original, the newest two of a log", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    for (let round = 1; round <= 3; round += 1) {
      flip(disk, nameOf(1), 64 + round * FRAME + 150);
      await log.examine(1);
      const damaged = bytesOf(disk, nameOf(1));
      await log.repair(1, intact);
      const kept = disk.list("log/damaged");
      expect(kept.length).toBe(Math.min(2, round));
      expect(bytesOf(disk, `log/damaged/${kept.at(-1)}`).equals(damaged)).toBe(true);
    }
    log.close();
    expect((await open(disk)).damage).toEqual([]);
  });

  it("a full disk is not the end: the log goes on, damaged", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(1), 64 + 150);
    await log.examine(1);
    disk.setCapacity(3000);
    expect(await errorOf(log.repair(1, intact))).toMatchObject({ kind: "full" });
    disk.setCapacity(undefined);
    await log.repair(1, intact);
    expect(log.damage).toEqual([]);
  });

  it("reads and appends go on meanwhile; a cut meanwhile is not undone", async () => {
    const disk = await diskWith();
    const log = await open(disk);
    flip(disk, nameOf(6), 64 + 150);
    await log.examine(6);
    const cutting: EntrySource = async function* (first, last) {
      log.append([frame({ index: 13, term: 2 })]);
      expect((await log.read(1, 5, ALL)).length).toBe(5);
      log.truncateSuffix(9);
      yield* intact(first, last);
    };
    await log.repair(6, cutting);
    expect([log.lastIndex, log.damage.length]).toEqual([8, 1]);
    await log.repair(6, intact);
    expect((await log.read(1, 8, ALL)).length).toBe(8);
  });
});

describe("segment log: a cut while a repaired segment takes its place", () => {
  async function repairAndCut(entry: number, cut: number): Promise<[MemoryDisk, GroupLog]> {
    const disk = await diskWith();
    const log = await open(disk);
    for (const at of [1, 4]) flip(disk, nameOf(entry), 64 + at * FRAME + 150);
    await log.examine(entry);
    disk.setSyncWait((path) => {
      if (path === "log" && log.lastIndex >= cut) log.truncateSuffix(cut);
      return Promise.resolve();
    });
    // The second of two damaged entries stays so.
    await errorOf(log.repair(entry, intactBelow(entry + 4)));
    expect(log.lastIndex).toBe(cut - 1);
    disk.setSyncWait(() => Promise.resolve());
    log.append(run(cut, cut, { term: 3 }));
    await log.sync();
    return [disk, log];
  }

  const filesOf = (disk: MemoryDisk, ending: string): string[] =>
    disk.list("log").filter((name) => name.endsWith(ending));

  it("of that segment: no index file is written of what goes on, and no damage is left above", async () => {
    const [disk, log] = await repairAndCut(1, 5);
    expect([log.damage, filesOf(disk, ".idx"), filesOf(disk, ".damaged")]).toEqual([[], [], []]);
    expect((await log.read(1, 6, ALL)).map(({ term }) => term)).toEqual([1, 1, 1, 2, 3]);
  });

  it("below that segment: nothing of it is left", async () => {
    const [disk, log] = await repairAndCut(6, 4);
    expect([log.damage, filesOf(disk, ".idx"), filesOf(disk, ".damaged")]).toEqual([[], [], []]);
    expect((await log.read(1, 4, ALL)).length).toBe(4);
  });
});

describe("segment log: index files that find no room", () => {
  it.each(["create", "append"] as const)(
    "%s: are written with a later sync, and leave nothing open",
    async (operation) => {
      const disk = new CountingDisk(new MemoryDisk());
      const log = await open(disk, { durableIndexHint: 0 });
      const effect = { kind: "fail", as: "full" } as const;
      disk.inject({ operations: [operation], path: ".idx", effect });
      log.append(run(1, 6));
      await log.sync();
      expect(disk.list("log").filter((name) => name.endsWith(".idx"))).toEqual([]);
      log.append(run(7, 7));
      await log.sync();
      expect(disk.list("log").filter((name) => name.endsWith(".idx")).length).toBe(1);
      expect(disk.openIndexes).toBe(0);
    },
  );
});

/** Knows how many index files are open. */
class CountingDisk extends FaultDisk {
  openIndexes = 0;

  override open(path: string, options: { readonly create: boolean }): DiskFile {
    const file = super.open(path, options);
    if (!path.endsWith(".idx")) return file;
    this.openIndexes += 1;
    const close = file.close.bind(file);
    file.close = () => {
      this.openIndexes -= 1;
      close();
    };
    return file;
  }
}

describe("segment log: bytes that can not be read", () => {
  const fault = {
    operations: ["read"],
    times: ALL,
    effect: { kind: "fail", as: "io" },
  } as const satisfies DiskFault;

  it("in a sealed segment: damage, for readers and for an examination; it is repaired", async () => {
    const memory = await diskWith();
    const original = bytesOf(memory, nameOf(6));
    const disk = new FaultDisk(memory);
    const log = await open(disk);
    const active = disk.inject({ ...fault, file: nameOf(6) });
    for (const read of [log.read(7, 7, 1), log.indexOfOffset(7), log.offsetOfTime(1007)]) {
      expect(await errorOf(read)).toMatchObject({
        name: "StorageError",
        kind: "corrupt",
        segment: 6,
      });
    }
    expect(await log.examine(6)).toMatchObject([{ first: 6, last: 10 }]);
    expect((await log.read(1, 5, ALL)).length).toBe(5);
    await log.repair(6, intact);
    active.lift();
    expect(log.damage).toEqual([]);
    expect(bytesOf(memory, nameOf(6)).equals(original)).toBe(true);
  });

  it("met by a repair: it is refused, a look finds them, the next one succeeds", async () => {
    const memory = await diskWith();
    const disk = new FaultDisk(memory);
    const log = await open(disk);
    flip(memory, nameOf(6), 64 + 150);
    await log.examine(6);
    const active = disk.inject({ ...fault, file: nameOf(6) });
    expect(await errorOf(log.repair(6, intact))).toMatchObject({ kind: "corrupt" });
    expect((await log.examine(6))[0]).toMatchObject({ first: 6, last: 10 });
    await log.repair(6, intact);
    active.lift();
    expect((await log.read(1, 12, ALL)).length).toBe(12);
  });

  it("in the newest segment: an error, as ever", async () => {
    const disk = new FaultDisk(await diskWith());
    const log = await open(disk);
    disk.inject({ ...fault, file: nameOf(11) });
    expect(await errorOf(log.read(11, 12, ALL))).toMatchObject({ kind: "io" });
    expect(await errorOf(log.examine(11))).toMatchObject({ kind: "io" });
    expect(log.damage).toEqual([]);
  });
});

describe("segment log: repair in part", () => {
  /** Entries that are asked for; those in `known` are given, up to the first that is not. */
  function partial(known: readonly number[], asked: number[] = []): EntrySource {
    return async function* (first, last) {
      for (let at = first; at <= last; at += 1) {
        asked.push(at);
        if (!known.includes(at)) throw new Error(`nobody has ${at}`);
        yield await Promise.resolve(FRAMES.slice(at - 1, at));
      }
    };
  }

  /** Headers are wrong, so that everything up to the next known place is damaged. */
  async function damagedAt(...entries: number[]): Promise<{ disk: MemoryDisk; log: GroupLog }> {
    const disk = await diskWith();
    const log = await open(disk);
    for (const entry of entries) flip(disk, nameOf(6), 64 + (entry - 6) * FRAME + 20);
    await log.examine(6);
    return { disk, log };
  }

  it("entries below what is needed are not asked for and stay damaged (log start inside the range)", async () => {
    for (const from of [7, 8, 9, 10]) {
      const { disk, log } = await damagedAt(6, 7, 8, 9, 10);
      expect([log.damage[0]?.first, log.damage.at(-1)?.last]).toEqual([6, 10]);
      const asked: number[] = [];
      const known = [6, 7, 8, 9, 10].filter((index) => index >= from);
      await log.repair(6, partial(known, asked), { from });
      expect(Math.min(...asked)).toBe(from);
      expect(log.damage.every(({ last }) => last < from)).toBe(true);
      expect((await log.read(from, 12, ALL)).length).toBe(13 - from);
      await isServedRightly(log);
      await log.sync();
      log.close();
      disk.removeTree("log/damaged");
      await isServedRightly(await open(disk));
    }
  });

  it("what was given is kept, whatever is missing behind or in another range", async () => {
    const original = bytesOf(await diskWith(), nameOf(6));
    for (let bits = 1; bits < 31; bits += 1) {
      const known = [6, 7, 8, 9, 10].filter((_, at) => (bits & (1 << at)) !== 0);
      const { disk, log } = await damagedAt(6, 7, 8, 9, 10);
      const before = log.damage.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      const error = await errorOf(log.repair(6, partial(known)));
      expect(error).toBeInstanceOf(Error);
      const left = log.damage.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      if (known.includes(6)) expect(left).toBeLessThan(before);
      expect(bytesOf(disk, nameOf(6)).length).toBe(original.length);
      await isServedRightly(log);
      await log.repair(6, intact);
      expect(log.damage).toEqual([]);
      expect(bytesOf(disk, nameOf(6)).equals(original)).toBe(true);
    }
  });

  it("ends when its pace rejects: the log is as it was", async () => {
    const { disk, log } = await damagedAt(7);
    const { damage } = log;
    const stop = new Error("stop");
    for (let reads = 0; reads < 3; reads += 1) {
      let done = 0;
      const pace = (): Promise<void> => {
        done += 1;
        return done > reads ? Promise.reject(stop) : Promise.resolve();
      };
      expect(await errorOf(log.repair(6, intact, { pace }))).toBe(stop);
      expect(log.damage).toEqual(damage);
      expect(disk.list("log").filter((name) => name.endsWith(".tmp"))).toEqual([]);
    }
    await log.repair(6, intact);
  });
});

describe("segment log: repair of a segment that leaves the log meanwhile", () => {
  const leave: Readonly<Record<string, (log: GroupLog) => Promise<unknown>>> = {
    "a prefix is dropped": (log) => log.truncatePrefix(11),
    "the log is cut before it": async (log) => Promise.resolve(log.truncateSuffix(5)),
    "the log is reset": (log) => log.reset(20, 2, 19),
    "the log is reset to the same place": (log) => log.reset(6, 2, 5),
    "the log is closed": async (log) => Promise.resolve(log.close()),
  };
  for (const [what, change] of Object.entries(leave)) {
    it(`nothing happens (${what}, at any piece)`, async () => {
      for (const isServed of [true, false]) {
        const disk = await diskWith();
        const log = await open(disk);
        flip(disk, nameOf(6), 64 + 150);
        await log.examine(6);
        let first = 0;
        let files: readonly string[] = [];
        const leaving: EntrySource = async function* (from, last) {
          await change(log);
          first = log.firstIndex;
          files = disk.list("log").filter((name) => !name.endsWith(".tmp"));
          if (isServed) yield* intact(from, last);
          else throw new Error("nobody there");
        };
        await log.repair(6, leaving);
        expect(log.firstIndex).toBe(first);
        expect(disk.list("log")).toEqual(files);
        expect(disk.list("log/damaged")).toEqual([]);
      }
    });
  }

  it("dropped while its original is kept, or closed then: the copy goes, the log is right", async () => {
    for (const how of ["drop", "close"] as const) {
      const memory = await diskWith();
      const disk = new FaultDisk(memory);
      const log = await open(disk);
      flip(memory, nameOf(6), 64 + 150);
      await log.examine(6);
      const clock = new VirtualClock();
      const effect = { kind: "slow", ms: 50, clock: clock.root } as const;
      disk.inject({ operations: ["read"], file: nameOf(6), after: 1, effect });
      const repaired = log.repair(6, intact);
      await clock.run(10);
      expect(memory.list("log/damaged").length, how).toBe(1);
      if (how === "drop") await log.truncatePrefix(11);
      else log.close();
      await clock.until(repaired);
      expect(memory.list("log").filter((name) => name.endsWith(".tmp"))).toEqual([]);
      if (how === "drop") expect([log.firstIndex, log.damage]).toEqual([11, []]);
    }
  });

  it("an original that can not be kept is reported, whatever fails; the repair goes on", async () => {
    const failures: readonly DiskFault[] = [
      { operations: ["makeDirectory"], effect: { kind: "fail", as: "io" } },
      { operations: ["create"], path: "damaged/", effect: { kind: "fail", as: "missing" } },
      { operations: ["append"], path: "damaged/", effect: { kind: "short", bytes: 7 } },
      { operations: ["append"], path: "damaged/", effect: { kind: "fail", as: "full" } },
      { operations: ["read"], file: nameOf(1), after: 1, effect: { kind: "fail", as: "io" } },
    ];
    for (const fault of failures) {
      const memory = await diskWith();
      const disk = new FaultDisk(memory);
      const problems: string[] = [];
      const log = await open(disk, {
        observer: { onProblem: (problem) => problems.push(problem) },
      });
      flip(memory, nameOf(1), 64 + 150);
      await log.examine(1);
      const { hits } = await repairUnder(disk, log, fault);
      expect([hits, problems]).toEqual([1, ["a damaged original is not kept"]]);
      expect(log.damage).toEqual([]);
      expect(memory.list("log/damaged")).toEqual([]);
    }
  });

  it("files of other names among the originals are left alone", async () => {
    const disk = await diskWith();
    disk.makeDirectory("log/damaged");
    for (const name of ["notes.txt", "zz", "9"]) {
      disk.open(`log/damaged/${name}`, { create: true }).close();
    }
    const log = await open(disk);
    for (let round = 1; round <= 3; round += 1) {
      flip(disk, nameOf(1), 64 + round * FRAME + 150);
      await log.examine(1);
      await log.repair(1, intact);
    }
    const kept = disk.list("log/damaged");
    expect(kept.filter((name) => name.endsWith(".seg")).length).toBe(2);
    expect(kept).toEqual(expect.arrayContaining(["notes.txt", "zz", "9"]));
  });
});

async function repairUnder(
  disk: FaultDisk,
  log: GroupLog,
  fault: DiskFault,
): Promise<{ readonly hits: number }> {
  const active = disk.inject(fault);
  await log.repair(1, intact);
  return { hits: active.hits };
}

describe("segment log: a crash during repair", () => {
  it("at every change of the disk: the old file or the new one is there, and a second repair ends it", async () => {
    const boundaries = await changesOfRepair();
    expect(boundaries).toBeGreaterThan(8);
    for (let after = 0; after < boundaries; after += 1) {
      for (const death of ["process", "power"] as const) {
        for (let seed = 1; seed <= 6; seed += 1) {
          const memory = await diskWith();
          const disk = new FaultDisk(memory);
          const log = await open(disk);
          flip(memory, nameOf(1), 64 + 2 * FRAME + 150);
          await log.examine(1);
          await log.sync();
          const damaged = bytesOf(memory, nameOf(1));
          disk.inject({ after, times: ALL, effect: { kind: "fail", as: "io" } });
          await errorOf(log.repair(1, intact));
          const left = death === "power" ? memory.crash(randomOf(seed)) : memory.detach();
          const found = bytesOf(left, nameOf(1));
          const isNew = (await whole()).equals(found);
          const where = `${death} after ${after}, seed ${seed}`;
          expect(isNew || found.equals(damaged), where).toBe(true);
          const again = await open(left, { pageCacheKept: death === "process" });
          expect(again.lastIndex).toBe(12);
          expect(again.damage.length, where).toBe(isNew ? 0 : 1);
          expect(left.list("log").filter((name) => name.endsWith(".tmp"))).toEqual([]);
          if (!isNew) await again.repair(1, intact);
          expect((await again.read(1, 12, ALL)).length).toBe(12);
        }
      }
    }
  });
});

/** Seed 1: nothing that was not synced survives. */
function randomOf(seed: number): Random {
  const worst: Random = { next: () => 0, integer: (from) => from, uuid: () => "" };
  return seed === 1 ? worst : seededRandom(seed);
}

async function whole(): Promise<Buffer> {
  return bytesOf(await diskWith(), nameOf(1));
}

async function changesOfRepair(): Promise<number> {
  const memory = await diskWith();
  const disk = new FaultDisk(memory);
  const log = await open(disk);
  flip(memory, nameOf(1), 64 + 2 * FRAME + 150);
  await log.examine(1);
  await log.sync();
  const before = disk.changes;
  await log.repair(1, intact);
  return disk.changes - before;
}

function damagedFrame(): Frame {
  const made = frame({ index: 3 });
  made.bytes.writeUInt8(77, 150);
  return made;
}
