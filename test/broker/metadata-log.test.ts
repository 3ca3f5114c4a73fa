import { describe, expect, it } from "vitest";
import { openCopyOfLog, openMetadataLog } from "../../src/broker/metadata-log.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { Disk } from "../../src/log/ports.ts";
import { openGroupLog } from "../../src/log/segment-log.ts";
import { METADATA_GROUP } from "../../src/model/ids.ts";
import { run } from "../log/frames.ts";

const DIRECTORY = "groups/0-1";
/** What the journal says after a loss of power. */
const AFTER_POWER_LOSS = { durableCommitIndex: 12, unrecovered: true };

async function scene(): Promise<Disk> {
  const disk = new MemoryDisk();
  const options = { disk, directory: DIRECTORY, groupId: METADATA_GROUP, segmentBytes: 900 };
  const log = await openGroupLog(options);
  log.append(run(1, 12));
  await log.sync();
  log.close();
  return disk;
}

function filesOf(disk: Disk): Map<string, string> {
  const files = disk
    .list(DIRECTORY)
    .map((name) => disk.open(`${DIRECTORY}/${name}`, { create: false }));
  return new Map(files.map((file) => [file.path, file.readSync(0, file.size).toString("hex")]));
}

function flipFirstEntry(disk: Disk): void {
  const name = disk.list(DIRECTORY).find((one) => one.endsWith(".seg")) ?? "";
  const file = disk.open(`${DIRECTORY}/${name}`, { create: false });
  const bytes = file.readSync(0, file.size);
  bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
  file.truncate(0);
  file.append([bytes]);
}

describe("metadata log of a stopped broker", () => {
  it("looked at: tells what is in it", async () => {
    const log = await openCopyOfLog(await scene(), DIRECTORY, AFTER_POWER_LOSS);
    expect([log.firstIndex, log.lastIndex]).toEqual([1, 12]);
  });

  it("repaired once: looked at as any other, the originals that were kept are no part of it", async () => {
    const disk = await scene();
    disk.makeDirectory(`${DIRECTORY}/damaged`);
    disk.open(`${DIRECTORY}/damaged/1-${"0".repeat(19)}1.seg`, { create: true }).close();
    disk.open(`${DIRECTORY}/first.tmp`, { create: true }).close();
    const log = await openCopyOfLog(disk, DIRECTORY, AFTER_POWER_LOSS);
    expect([log.firstIndex, log.lastIndex]).toEqual([1, 12]);
  });

  it("damage that was noticed before: is refused without looking for it", async () => {
    const disk = await scene();
    flipFirstEntry(disk);
    await expect(openMetadataLog(disk, DIRECTORY, AFTER_POWER_LOSS)).rejects.toThrow();
    expect(disk.list(DIRECTORY).filter((name) => name.endsWith(".damaged"))).toHaveLength(1);
    await expect(openCopyOfLog(disk, DIRECTORY, AFTER_POWER_LOSS)).rejects.toMatchObject({
      kind: "corrupt",
    });
  });

  it("damaged: is refused, and not a byte of the directory changes", async () => {
    const disk = await scene();
    flipFirstEntry(disk);
    const before = filesOf(disk);
    await expect(openCopyOfLog(disk, DIRECTORY, AFTER_POWER_LOSS)).rejects.toMatchObject({
      kind: "corrupt",
    });
    expect(filesOf(disk)).toEqual(before);
    await expect(openMetadataLog(disk, DIRECTORY, AFTER_POWER_LOSS)).rejects.toMatchObject({
      kind: "corrupt",
    });
    expect([...filesOf(disk).keys()]).toEqual(expect.arrayContaining([...before.keys()]));
  });

  it("torn at the end: the copy is cut, the directory is not", async () => {
    const disk = await scene();
    const last =
      disk
        .list(DIRECTORY)
        .filter((name) => name.endsWith(".seg"))
        .at(-1) ?? "";
    const file = disk.open(`${DIRECTORY}/${last}`, { create: false });
    file.truncate(file.size - 3);
    const before = filesOf(disk);
    const log = await openCopyOfLog(disk, DIRECTORY, { durableCommitIndex: 11, unrecovered: true });
    expect(log.lastIndex).toBe(11);
    expect(filesOf(disk)).toEqual(before);
  });
});
