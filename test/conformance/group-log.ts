// What a group log must do on every disk. Run by test/log/segment-log.test.ts on memory, real and fault disk.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Disk, GroupLog } from "../../src/log/ports.ts";
import { type GroupLogOptions, openGroupLog } from "../../src/log/segment-log.ts";
import type { Frame } from "../../src/model/entry-frame.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { frame, run } from "../log/frames.ts";
import type { DiskUnderTest } from "./disk.ts";

const GROUP = 5 as GroupId;
const ALL = Number.MAX_SAFE_INTEGER;

/** Frames of the helper are 64 + 8 + 61 + 40 = 173 bytes: five to a segment, index entries for every second. */
const SMALL = { segmentBytes: 64 + 5 * 173, indexBytes: 200 };

async function indexesOf(log: GroupLog): Promise<number[]> {
  const frames = await log.read(log.firstIndex, log.lastIndex, ALL);
  return frames.map(({ index }) => index);
}

function range(from: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - from + 1) }, (_, number) => from + number);
}

export function groupLogConformance(name: string, make: () => DiskUnderTest): void {
  describe(`${name}: group log`, () => {
    let disk: Disk;
    let cleanUp: () => void;
    let log: GroupLog;

    const open = async (more: Partial<GroupLogOptions> = {}): Promise<GroupLog> => {
      return openGroupLog({ disk, directory: "groups/5", groupId: GROUP, ...SMALL, ...more });
    };
    const reopen = async (): Promise<void> => {
      await log.sync();
      log.close();
      log = await open();
    };

    beforeEach(async () => {
      ({ disk, cleanUp } = make());
      log = await open();
    });
    afterEach(() => {
      log.close();
      cleanUp();
    });

    it("open: a new log is empty", () => {
      expect([log.firstIndex, log.lastIndex, log.lastTerm, log.firstPrevTerm]).toEqual([
        1, 0, 0, 0,
      ]);
      expect([log.startOffset, log.nextOffset, log.lastAppendTimeMs, log.bytes]).toEqual([
        0, 0, 0, 0,
      ]);
      expect(log.termRuns).toEqual([]);
      expect(log.termAt(0)).toBeUndefined();
      expect(log.termAt(1)).toBeUndefined();
    });

    it("append: frames come back byte for byte, over several segments and a reopen", async () => {
      const frames = run(1, 23);
      log.append(frames.slice(0, 3));
      log.append(frames.slice(3, 20));
      log.append(frames.slice(20));
      for (let again = 0; again < 2; again += 1) {
        const read = await log.read(1, 23, ALL);
        expect(Buffer.concat(read.map(({ bytes }) => bytes)).toString("hex")).toBe(
          Buffer.concat(frames.map(({ bytes }) => bytes)).toString("hex"),
        );
        expect(log.lastIndex).toBe(23);
        expect(log.nextOffset).toBe(23);
        expect(log.lastAppendTimeMs).toBe(1_023);
        expect(log.bytes).toBe(23 * 173);
        expect(log.segments().map(({ firstIndex, sealed }) => [firstIndex, sealed])).toEqual([
          [1, true],
          [6, true],
          [11, true],
          [16, true],
          [21, false],
        ]);
        await reopen();
      }
    });

    it("append: refuses gaps, old terms and wrong offsets, before anything is written", async () => {
      log.append(run(1, 2, { term: 3 }));
      expect(() => log.append(run(4, 4, { term: 3 }))).toThrow("continues");
      expect(() => log.append([frame({ index: 3, term: 2 })])).toThrow("continues");
      expect(() => log.append([frame({ index: 3, term: 3, baseOffset: 9 })])).toThrow("continues");
      const [good, bad] = [frame({ index: 3, term: 3 }), frame({ index: 5, term: 3 })];
      expect(() => log.append([good, bad])).toThrow("continues");
      expect(await indexesOf(log)).toEqual([1, 2]);
    });

    it("append: a frame larger than a segment gets its own", async () => {
      log.append([frame({ index: 1 }), frame({ index: 2, bytes: 5_000 }), frame({ index: 3 })]);
      await reopen();
      expect(log.segments().map(({ firstIndex }) => firstIndex)).toEqual([1, 2, 3]);
      expect((await log.read(2, 2, 10))[0]?.bytes.length).toBe(133 + 5_000);
    });

    it("read: about bytesMax, at least one frame, never beyond last", async () => {
      log.append(run(1, 12));
      expect((await log.read(2, 12, 1)).map(({ index }) => index)).toEqual([2]);
      expect((await log.read(2, 12, 3 * 173)).map(({ index }) => index)).toEqual([2, 3, 4]);
      expect((await log.read(2, 7, ALL)).map(({ index }) => index)).toEqual(range(2, 7));
      expect(await log.read(13, 20, ALL)).toEqual([]);
    });

    it("read: every start, large frames between small ones (random access, then in sequence)", async () => {
      const sizes = [10, 70_000, 5, 200_000, 40, 40, 40, 130_000, 1];
      const frames = sizes.map((bytes, number) => frame({ index: number + 1, bytes }));
      log.close();
      log = await open({ segmentBytes: 300_000, indexBytes: 64 * 1024, directory: "other" });
      log.append(frames);
      for (let from = 1; from <= sizes.length; from += 1) {
        const read: Frame[] = [];
        for (let next = from; next <= sizes.length; next = (read.at(-1)?.index ?? 0) + 1) {
          read.push(...(await log.read(next, sizes.length, 100)));
        }
        expect(read.map(({ index }) => index)).toEqual(range(from, sizes.length));
      }
    });

    it("terms and memberships: known after appends, cuts and a reopen", async () => {
      const frames = [...run(1, 4, { term: 1 }), ...run(5, 6, { term: 2 })];
      frames.push(frame({ index: 7, term: 5, kind: "membership", recordCount: 0 }));
      for (let index = 8; index <= 13; index += 1) {
        frames.push(frame({ index, term: 5, recordCount: 0, baseOffset: 6 }));
      }
      log.append(frames);
      for (let again = 0; again < 2; again += 1) {
        expect(log.termRuns).toEqual([
          { term: 1, from: 1 },
          { term: 2, from: 5 },
          { term: 5, from: 7 },
        ]);
        expect(range(1, 14).map((index) => log.termAt(index))).toEqual([
          1,
          1,
          1,
          1,
          2,
          2,
          5,
          5,
          5,
          5,
          5,
          5,
          5,
          undefined,
        ]);
        expect(log.membershipIndexes(1)).toEqual([7]);
        expect(log.membershipIndexes(8)).toEqual([]);
        await reopen();
      }
      log.truncateSuffix(7);
      expect(log.membershipIndexes(1)).toEqual([]);
      expect(log.termRuns).toEqual([
        { term: 1, from: 1 },
        { term: 2, from: 5 },
      ]);
    });

    it("truncateSuffix: from every index, then appends go on (also after a reopen)", async () => {
      for (let from = 12; from >= 1; from -= 1) {
        log.append(run(log.lastIndex + 1, 13, { term: 13 - from }));
        await log.sync();
        log.truncateSuffix(from);
        expect([log.lastIndex, log.nextOffset, log.bytes]).toEqual([
          from - 1,
          from - 1,
          (from - 1) * 173,
        ]);
        expect(await indexesOf(log)).toEqual(range(1, from - 1));
        if (from % 2 === 0) await reopen();
        expect(log.lastIndex).toBe(from - 1);
      }
      log.append(run(1, 13, { term: 20, fill: 99 }));
      await reopen();
      expect(log.termRuns).toEqual([{ term: 20, from: 1 }]);
      expect(await indexesOf(log)).toEqual(range(1, 13));
    });

    it("truncateSuffix: beyond the end is harmless", async () => {
      log.append(run(1, 3));
      log.truncateSuffix(4);
      log.truncateSuffix(99);
      expect(await indexesOf(log)).toEqual([1, 2, 3]);
    });

    it("truncatePrefix: drops whole segments only", async () => {
      log.append(run(1, 13, { term: 2 }));
      expect(await log.truncatePrefix(5)).toBe(1);
      expect(await log.truncatePrefix(6)).toBe(6);
      expect(await log.truncatePrefix(13)).toBe(11);
      expect([log.firstIndex, log.firstPrevTerm, log.startOffset]).toEqual([11, 2, 10]);
      expect(log.termAt(10)).toBeUndefined();
      expect(await log.read(5, 13, ALL)).toEqual([]);
      await reopen();
      expect([log.firstIndex, log.firstPrevTerm, log.startOffset]).toEqual([11, 2, 10]);
      expect(await indexesOf(log)).toEqual([11, 12, 13]);
      expect(log.bytes).toBe(3 * 173);
    });

    it("truncatePrefix: behind the last entry empties the log and keeps its end", async () => {
      log.append(run(1, 7, { term: 4 }));
      expect(await log.truncatePrefix(8)).toBe(8);
      await reopen();
      expect([log.firstIndex, log.lastIndex, log.lastTerm, log.nextOffset]).toEqual([8, 7, 4, 7]);
      expect([log.bytes, log.lastAppendTimeMs]).toEqual([0, 1_007]);
      log.append(run(8, 9, { term: 4 }));
      expect(await indexesOf(log)).toEqual([8, 9]);
    });

    it("reset: the log restarts elsewhere, forwards and backwards", async () => {
      log.append(run(1, 13, { term: 2 }));
      for (const [index, prevTerm, offset] of [
        [100, 7, 90],
        [6, 3, 2],
        [6, 3, 2],
        [1, 0, 0],
      ] as const) {
        await log.reset(index, prevTerm, offset);
        for (let again = 0; again < 2; again += 1) {
          expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([
            index,
            index - 1,
            prevTerm,
          ]);
          expect([log.startOffset, log.nextOffset, log.bytes]).toEqual([offset, offset, 0]);
          await reopen();
        }
        const next = run(index, index + 7, { term: 9 });
        log.append(
          next.map((one) =>
            frame({ index: one.index, term: 9, baseOffset: offset + one.index - index }),
          ),
        );
        await reopen();
        expect(await indexesOf(log)).toEqual(range(index, index + 7));
      }
    });

    it("indexOfOffset: finds the frame that holds the offset, or the next with records", async () => {
      const drafts = [
        { index: 1, recordCount: 0, baseOffset: 0 },
        { index: 2, recordCount: 4, baseOffset: 0 },
        { index: 3, recordCount: 0, baseOffset: 4 },
        { index: 4, recordCount: 2, baseOffset: 4 },
        { index: 5, recordCount: 1, baseOffset: 6 },
        { index: 6, recordCount: 3, baseOffset: 7 },
        { index: 7, recordCount: 1, baseOffset: 10 },
        { index: 8, recordCount: 0, baseOffset: 11 },
      ];
      log.append(drafts.map(frame));
      const expected = [2, 2, 2, 2, 4, 4, 5, 6, 6, 6, 7, undefined];
      for (let again = 0; again < 2; again += 1) {
        for (const [offset, index] of expected.entries()) {
          expect(await log.indexOfOffset(offset), `offset ${offset}`).toBe(index);
        }
        await reopen();
      }
      expect(await log.truncatePrefix(8)).toBe(7);
      expect(await log.indexOfOffset(0)).toBe(7);
    });

    it("offsetOfTime: the first frame with records that is not older", async () => {
      const times = [10, 10, 20, 20, 20, 30, 40, 40];
      log.append(times.map((appendTimeMs, number) => frame({ index: number + 1, appendTimeMs })));
      log.append([frame({ index: 9, recordCount: 0, baseOffset: 8, appendTimeMs: 50 })]);
      const answers = [0, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51];
      const expected = [0, 0, 2, 2, 5, 5, 6, 6, undefined, undefined, undefined];
      for (let again = 0; again < 2; again += 1) {
        for (const [number, timeMs] of answers.entries()) {
          expect(await log.offsetOfTime(timeMs), `time ${timeMs}`).toBe(expected[number]);
        }
        await reopen();
      }
    });

    it("sync: many at once, with appends and cuts between them", async () => {
      const syncs: Promise<void>[] = [];
      for (let index = 1; index <= 40; index += 1) {
        log.append(run(log.lastIndex + 1, log.lastIndex + 2, { term: index }));
        syncs.push(log.sync());
        if (index % 5 === 0) log.truncateSuffix(log.lastIndex - 6);
        if (index % 3 === 0) await syncs.at(-1);
      }
      await Promise.all(syncs);
      const before = log.lastIndex;
      await reopen();
      expect(await indexesOf(log)).toEqual(range(1, before));
    });

    it("read: a cut while reads are under way never shows as damage", async () => {
      log.append(run(1, 30));
      const reads: Promise<Frame[]>[] = [];
      for (let term = 2; term < 12; term += 1) {
        reads.push(log.read(1, 30, ALL), log.read(17, 30, 400));
        log.truncateSuffix(13);
        log.append(run(13, 30, { term, fill: term }));
      }
      for (const read of await Promise.all(reads)) {
        const first = read[0]?.index ?? 0;
        expect(read.map(({ index }) => index)).toEqual(range(first, first + read.length - 1));
      }
    });

    it("read: reads of a log that loses its prefix end well", async () => {
      log.append(run(1, 30));
      const reads = range(1, 30).map((from) => log.read(from, 30, ALL));
      await log.truncatePrefix(21);
      for (const read of await Promise.all(reads))
        expect([0, 30]).toContain(read.at(-1)?.index ?? 0);
    });

    it("close: later use fails", async () => {
      log.close();
      expect(() => log.append(run(1, 1))).toThrow("closed");
      await expect(log.sync()).rejects.toThrow("closed");
    });
  });
}
