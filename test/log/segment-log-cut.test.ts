import { describe, expect, it } from "vitest";
import { crc32c } from "../../src/base/crc32c.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { GroupLog } from "../../src/log/ports.ts";
import { type GroupLogOptions, openGroupLog } from "../../src/log/segment-log.ts";
import { encodeFrame, type Frame, SECTION } from "../../src/model/entry-frame.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { batchBytes, frame, run } from "./frames.ts";

const ENTRIES = 12;
const FRAME = 173;
const HEADER = 64;
/** Bytes of a frame's header: length, index, term, offset, section count, checksum. */
const HEADER_BYTES = [0, 4, 7, 15, 23, 31, 51, 60];

function open(disk: MemoryDisk, more: Partial<GroupLogOptions> = {}): Promise<GroupLog> {
  return openGroupLog({ disk, directory: "log", groupId: 1 as GroupId, ...more });
}

const nameOf = (first: number): string => `log/${String(first).padStart(20, "0")}.seg`;

async function filled(
  more: Partial<GroupLogOptions>,
): Promise<{ disk: MemoryDisk; log: GroupLog }> {
  const disk = new MemoryDisk();
  const log = await open(disk, more);
  log.append(run(1, ENTRIES));
  await log.sync();
  return { disk, log };
}

/** @param byte of the entry's frame; the segment begins with entry `first` */
function damage(disk: MemoryDisk, entry: number, byte: number, first = 1): void {
  disk.damage(nameOf(first), (bytes) => {
    const at = HEADER + (entry - first) * FRAME + byte;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
  });
}

/** Entries that can be read one by one. */
async function readable(log: GroupLog, last: number): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  for (let index = log.firstIndex; index <= last; index += 1) {
    const [one] = await log.read(index, index, 1).catch((): Frame[] => []);
    if (one !== undefined) found.set(index, Buffer.from(one.bytes));
  }
  return found;
}

/** Cuts, goes on with other entries, and sees to it that nothing below is lost and all above is there. */
async function cutAndGoOn(log: GroupLog, cut: number): Promise<void> {
  const before = await readable(log, cut - 1);
  log.truncateSuffix(cut);
  expect([log.lastIndex, log.lastTerm, log.nextOffset]).toEqual([
    cut - 1,
    cut > 1 ? 1 : 0,
    cut - 1,
  ]);
  const last = log.damage.at(-1)?.last ?? 0;
  expect(last).toBeLessThan(cut);
  const more = run(cut, cut + 6, { term: 2, fill: 99, appendTimeMs: 2000 });
  log.append(more);
  await log.sync();
  const after = await readable(log, log.lastIndex);
  for (const [index, bytes] of before) expect(after.get(index)?.equals(bytes)).toBe(true);
  for (const { bytes, index } of more) expect(after.get(index)?.equals(bytes)).toBe(true);
  expect(after.size).toBe(before.size + more.length);
}

describe("segment log: cuts above damage", () => {
  it.each([
    ["one sparse entry", 64 * 1024],
    ["one for every entry", 1],
    ["one for every third", 3 * FRAME],
  ])(
    "a damaged header, %s, and a cut at any later entry: nothing below is lost, and the log goes on",
    async (_, indexBytes) => {
      for (let damaged = 1; damaged < ENTRIES; damaged += 1) {
        for (const byte of HEADER_BYTES) {
          for (let cut = damaged + 1; cut <= ENTRIES; cut += 1) {
            for (const isKnown of [false, true]) {
              const { disk, log } = await filled({ indexBytes });
              damage(disk, damaged, byte);
              if (isKnown) await log.examine(1);
              await cutAndGoOn(log, cut);
            }
          }
        }
      }
    },
  );

  it("what is damaged below a cut is noted, and can be repaired afterwards", async () => {
    for (let cut = 5; cut <= ENTRIES; cut += 1) {
      const { disk, log } = await filled({});
      damage(disk, 4, 7);
      log.truncateSuffix(cut);
      expect(log.damage).toMatchObject([{ first: 4, last: cut - 1 }]);
      log.append(run(cut, ENTRIES, { term: 2 }));
      await log.sync();
      await log.repair(4, async function* (first, last) {
        await Promise.resolve();
        yield run(first, last);
      });
      expect(log.damage).toEqual([]);
      const found = await log.read(1, ENTRIES, 1 << 20);
      expect(found.map(({ term }) => term)).toEqual(
        [...Array(ENTRIES).keys()].map((at) => (at + 1 < cut ? 1 : 2)),
      );
      log.close();
      const again = await open(disk, { pageCacheKept: true });
      expect([again.lastIndex, again.nextOffset, again.damage]).toEqual([ENTRIES, ENTRIES, []]);
    }
  });

  it("a message that contains frames is not taken for the entries it names", async () => {
    for (const index of [4, 5, 6]) {
      const disk = new MemoryDisk();
      const log = await open(disk);
      log.append(run(1, 2));
      const fake = frame({ index, fill: 7 });
      const fakes = Buffer.concat([fake.bytes, frame({ index: index + 1, fill: 7 }).bytes]);
      log.append([carrying(3, fakes), ...run(4, 8)]);
      await log.sync();
      disk.damage(nameOf(1), (bytes) => {
        bytes.writeUInt8(bytes.readUInt8(HEADER + 2 * FRAME + 7) ^ 4, HEADER + 2 * FRAME + 7);
      });
      const before = await readable(log, 3);
      log.truncateSuffix(5);
      log.append(run(5, 6, { term: 2, fill: 9 }));
      const after = await readable(log, 6);
      expect([...after.keys()]).toEqual([...before.keys(), 5, 6]);
      await log.repair(3, async function* (first, last) {
        await Promise.resolve();
        yield first === 3 ? [carrying(3, fakes), ...run(4, last)] : run(first, last);
      });
      expect(log.damage).toEqual([]);
    }
  });

  it("damage that hides where the cut entry begins: the cut is refused, and the log is as it was", async () => {
    const { disk, log } = await filled({ segmentBytes: HEADER + 8 * FRAME });
    damage(disk, 4, 7);
    damage(disk, 6, 7);
    const before = await readable(log, ENTRIES);
    expect(() => log.truncateSuffix(6)).toThrow(/where entry 6 begins/);
    expect(() => log.truncateSuffix(5)).toThrow(/where entry 5 begins/);
    expect([log.lastIndex, log.segments().length]).toEqual([ENTRIES, 2]);
    log.append(run(ENTRIES + 1, ENTRIES + 2));
    await log.sync();
    const after = await readable(log, ENTRIES);
    expect([...after.keys()]).toEqual([...before.keys()]);
    // Where the entry's own place is known, the same damage is no hindrance.
    log.truncateSuffix(7);
    expect(log.lastIndex).toBe(6);
  });

  it("a cut at the end of a sealed segment: its damage does not matter", async () => {
    const { disk, log } = await filled({ segmentBytes: HEADER + 8 * FRAME });
    damage(disk, 8, 7);
    log.truncateSuffix(9);
    log.append(run(9, 10, { term: 2 }));
    await log.sync();
    expect((await log.read(9, 10, 1 << 20)).map(({ term }) => term)).toEqual([2, 2]);
  });
});

/** An entry whose records are these bytes. */
function carrying(index: number, bytes: Buffer): Frame {
  const batch = batchBytes(1, bytes.length, 0);
  bytes.copy(batch, 61);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  const sections = [{ type: SECTION.BATCH, ignorable: false, bytes: batch }];
  const fields = { index, term: 1, baseOffset: index - 1, recordCount: 1, layoutEpoch: 1 };
  return encodeFrame({ ...fields, kind: "data", appendTimeMs: 1000 + index }, sections);
}
