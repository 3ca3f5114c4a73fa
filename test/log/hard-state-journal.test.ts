import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { openHardStateJournal } from "../../src/log/hard-state-journal.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import {
  type Disk,
  type HardStateJournal,
  type HardStateRecord,
  StorageError,
} from "../../src/log/ports.ts";
import { openRealDisk } from "../../src/log/real-disk.ts";
import type { GroupId, ReplicaId, TopicId } from "../../src/model/ids.ts";
import { temporaryDirectory } from "./temporary.ts";

const PATH = "hard-state.journal";

function record(
  groupId: number,
  term: number,
  more: Partial<HardStateRecord> = {},
): HardStateRecord {
  return {
    groupId: groupId as GroupId,
    replicaId: 4097 as ReplicaId,
    term,
    vote: 0,
    recovering: false,
    lazy: false,
    durableCommitIndex: 0,
    unrecovered: false,
    removed: false,
    ...more,
  };
}

function open(disk: Disk, bootId = "boot-1"): Promise<HardStateJournal> {
  return openHardStateJournal(disk, { bootId });
}

async function kindOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof StorageError ? error.kind : `not a StorageError: ${String(error)}`;
  }
  return "nothing thrown";
}

function edit(disk: Disk, change: (bytes: Buffer) => Buffer): void {
  const file = disk.open(PATH, { create: false });
  const bytes = change(file.readSync(0, file.size));
  file.truncate(0);
  file.append([bytes]);
  file.close();
}

const HARD_STATE_RECORD_BYTES = 54;
const SYNCED_RECORD_BYTES = 13;

describe("hard-state journal", () => {
  it("save: every field comes back after a reopen, the newest record wins", async () => {
    const { path, remove } = temporaryDirectory();
    const disk = openRealDisk(path);
    const journal = await open(disk);
    const full = record(3, 9, {
      vote: 8194 as ReplicaId,
      recovering: true,
      lazy: true,
      durableCommitIndex: 2 ** 40,
      removed: true,
      topicId: "5f0c9f1e-6d8b-4b4e-9a55-0f6d1c2b3a49" as TopicId,
    });
    journal.save(record(3, 8));
    journal.save(full);
    journal.save(record(4, 1, { lazy: true }));
    await journal.sync();
    await journal.close({ clean: true });
    const again = await open(disk);
    expect(again.get(3 as GroupId)).toEqual(full);
    expect(again.all()).toEqual([full, record(4, 1, { lazy: true })]);
    expect(again.get(9 as GroupId)).toBeUndefined();
    await again.close({ clean: false });
    remove();
  });

  it("unrecovered: a new boot sets it for all records, and only saving takes it away again", async () => {
    const { path, remove } = temporaryDirectory();
    const disk = openRealDisk(path);
    const journal = await open(disk, "boot-1");
    journal.save(record(3, 1));
    journal.save(record(4, 1));
    await journal.sync();
    // Power is lost; the first process afterwards dies before it has recovered group 4.
    const second = await open(disk, "boot-2");
    expect(second.all()).toEqual([
      record(3, 1, { unrecovered: true }),
      record(4, 1, { unrecovered: true }),
    ]);
    second.save(record(3, 1));
    await second.sync();
    const third = await open(disk, "boot-2");
    expect(third.bootChanged).toBe(false);
    expect(third.all()).toEqual([record(3, 1), record(4, 1, { unrecovered: true })]);
    await third.close({ clean: true });
    remove();
  });

  it("recovering: a new boot after an unclean end sets it for lazy replicas, in the write that notes the boot", async () => {
    const disk = new MemoryDisk();
    const first = await open(disk, "boot-1");
    first.save(record(3, 1, { lazy: true }));
    first.save(record(4, 1));
    await first.sync();
    // Killed: the page cache is still there.
    const second = await open(disk, "boot-1");
    expect(second.get(3 as GroupId)?.recovering).toBe(false);
    // Power is lost; the process that notices dies at once, and so does the one after it.
    await open(disk, "boot-2");
    const fourth = await open(disk, "boot-2");
    expect(fourth.get(3 as GroupId)).toEqual(
      record(3, 1, { lazy: true, unrecovered: true, recovering: true }),
    );
    expect(fourth.get(4 as GroupId)).toEqual(record(4, 1, { unrecovered: true }));
    await fourth.close({ clean: true });
    // A clean end does not take the mark away, only saving does.
    expect((await open(disk, "boot-3")).get(3 as GroupId)?.recovering).toBe(true);
  });

  it("recovering: not set by a new boot after a clean end; an unknown boot is a new one", async () => {
    const disk = new MemoryDisk();
    const first = await open(disk, "boot-1");
    first.save(record(3, 1, { lazy: true }));
    await first.close({ clean: true });
    const second = await open(disk, "boot-2");
    expect(second.get(3 as GroupId)?.recovering).toBe(false);
    await second.close({ clean: true });
    await open(disk, "");
    const killed = await open(disk, "");
    expect(killed.get(3 as GroupId)?.recovering).toBe(true);
  });

  it("open: incarnation grows by one each time, wasClean and bootChanged tell of the last run", async () => {
    const disk = new MemoryDisk();
    const seen: unknown[] = [];
    for (const [bootId, clean] of [
      ["a", true],
      ["a", false],
      ["b", true],
      ["", true],
      ["", true],
    ] as const) {
      const journal = await open(disk, bootId);
      seen.push([journal.incarnation, journal.wasClean, journal.bootChanged]);
      await journal.close({ clean });
    }
    expect(seen).toEqual([
      [1, false, true],
      [2, true, false],
      [3, false, true],
      [4, true, true],
      [5, true, true],
    ]);
  });

  it("open: a journal that must exist is missing", async () => {
    const options = { bootId: "a", mustExist: true };
    expect(await kindOf(() => openHardStateJournal(new MemoryDisk(), options))).toBe("missing");
  });

  it("open: a flipped bit anywhere is refused or, in the last record after a power cut, cut", async () => {
    const make = async (): Promise<MemoryDisk> => {
      const disk = new MemoryDisk();
      const journal = await open(disk);
      for (let term = 1; term <= 3; term += 1) journal.save(record(term, term));
      await journal.sync();
      return disk.detach();
    };
    const bytes = (await make()).open(PATH, { create: false }).size;
    // The last record says that everything before it was synced.
    const lastAt = bytes - SYNCED_RECORD_BYTES;
    for (let at = 0; at < bytes; at += 1) {
      for (const bootId of ["boot-1", "boot-2"]) {
        const disk = await make();
        edit(disk, (content) => {
          content.writeUInt8(content.readUInt8(at) ^ 8, at);
          return content;
        });
        const isLast = at >= lastAt;
        // A flipped length can look like a short write even without a power cut.
        const isLength = isLast && at < lastAt + 4;
        const kind = await kindOf(() => open(disk, bootId));
        const isCut = isLast && (bootId === "boot-2" || isLength);
        if (isCut && isLength) expect(["nothing thrown", "corrupt"]).toContain(kind);
        else expect(kind, `byte ${at} ${bootId}`).toBe(isCut ? "nothing thrown" : "corrupt");
      }
    }
  });

  it("open: of records that no sync covered, a power cut may keep any; they are cut at the first gap", async () => {
    const disk = new MemoryDisk();
    const journal = await open(disk);
    journal.save(record(1, 5));
    await journal.sync();
    journal.save(record(2, 7));
    journal.save(record(3, 8));
    const after = disk.detach();
    edit(after, (content) => {
      const unsyncedAt = content.length - 2 * HARD_STATE_RECORD_BYTES;
      content.fill(0, unsyncedAt, unsyncedAt + HARD_STATE_RECORD_BYTES);
      return content;
    });
    // Without a power cut nothing of it can have been lost.
    expect(await kindOf(() => open(after, "boot-1"))).toBe("corrupt");
    const again = await open(after, "boot-2");
    expect(again.all().map(({ groupId, term }) => [groupId, term])).toEqual([[1, 5]]);
  });

  it("open: a torn last record is dropped", async () => {
    for (let left = 0; left < 54; left += 1) {
      const disk = new MemoryDisk();
      const journal = await open(disk);
      journal.save(record(1, 1));
      journal.save(record(1, 2));
      const after = disk.detach();
      edit(after, (content) => content.subarray(0, content.length - 54 + left));
      expect((await open(after)).get(1 as GroupId)?.term).toBe(1);
    }
  });

  it("sync: a failure is final", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const journal = await open(disk);
    journal.save(record(1, 1));
    disk.inject({ operations: ["sync"], effect: { kind: "fail", as: "io" } });
    expect(await kindOf(() => journal.sync())).toBe("io");
    expect(await kindOf(() => journal.sync())).toBe("io");
    expect(() => journal.save(record(1, 2))).toThrow(StorageError);
    expect(await kindOf(() => journal.close({ clean: true }))).toBe("io");
  });

  it("sync: covers saves before the call, one fdatasync for all", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    const journal = await open(disk);
    for (let group = 1; group <= 50; group += 1) journal.save(record(group, 1));
    const before = disk.changes;
    await Promise.all([journal.sync(), journal.sync(), journal.sync()]);
    // And the record that says so.
    expect(disk.changes - before).toBe(2);
    await journal.sync();
    expect(disk.changes - before).toBe(2);
  });

  it("compaction: keeps the file small, with saves while it runs", async () => {
    const disk = new MemoryDisk();
    const journal = await open(disk);
    const syncs: Promise<void>[] = [];
    for (let term = 1; term <= 20_000; term += 1) {
      journal.save(record(term % 3, term));
      if (term % 500 === 0) syncs.push(journal.sync());
      if (term % 1_000 === 0) await syncs.at(-1);
    }
    await Promise.all(syncs);
    await journal.sync();
    expect(disk.open(PATH, { create: false }).size).toBeLessThan(400 * 1024);
    const again = await open(disk.crash(seededRandom(1)));
    expect(
      again
        .all()
        .map(({ term }) => term)
        .sort(),
    ).toEqual([19_998, 19_999, 20_000]);
  });
});

describe("hard-state journal: power cut at every I/O boundary", () => {
  it("what was synced is there, never an older vote (also while compacting)", async () => {
    for (let boundary = 0; boundary < 130; boundary += 1) {
      for (let seed = 1; seed <= 6; seed += 1) {
        const random = seededRandom(boundary * 100 + seed);
        const memory = new MemoryDisk();
        const disk = new FaultDisk(memory);
        const effect = { kind: "short", bytes: random.integer(0, 60) } as const;
        disk.inject({ after: boundary, times: Number.POSITIVE_INFINITY, effect });
        const promised = new Map<number, number>();
        let opens = 0;
        try {
          for (let round = 0; round < 4; round += 1) {
            const journal = await open(disk);
            opens = journal.incarnation;
            for (let term = 1; term <= 6; term += 1) {
              const group = term % 2;
              journal.save(record(group, round * 10 + term));
              await journal.sync();
              promised.set(group, round * 10 + term);
            }
            await journal.close({ clean: round % 2 === 0 });
          }
        } catch {
          // The power was cut here.
        }
        const after = memory.crash(random);
        const journal = await open(after, "boot-2");
        for (const [group, term] of promised) {
          expect(
            journal.get(group as GroupId)?.term ?? 0,
            `boundary ${boundary}`,
          ).toBeGreaterThanOrEqual(term);
        }
        expect(journal.incarnation).toBeGreaterThan(opens);
      }
    }
  });
});
