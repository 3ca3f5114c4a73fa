// Files of a data directory: segments, the hard-state journal, state images. Opening one may cut a torn end off; it must
// never take damage for data, and refuse in the storage's own words.
import { crc32c } from "../../../src/base/crc32c.ts";
import { encodeHeader, encodeOpened, encodeRecord } from "../../../src/log/hard-state-format.ts";
import { openHardStateJournal } from "../../../src/log/hard-state-journal.ts";
import { openImageStore } from "../../../src/log/image-store.ts";
import { MemoryDisk } from "../../../src/log/memory-disk.ts";
import { StorageError } from "../../../src/log/ports.ts";
import { openGroupLog } from "../../../src/log/segment-log.ts";
import type { GroupId } from "../../../src/model/ids.ts";
import { run as framesOf } from "../../log/frames.ts";
import { refusingLater, type Subject } from "../subject.ts";

const isStorageError = (error: unknown): boolean => error instanceof StorageError;
const GROUP = 1 as GroupId;

function put(disk: MemoryDisk, path: string, bytes: Buffer): void {
  const file = disk.open(path, { create: true });
  file.append([bytes]);
  file.close();
}

function take(disk: MemoryDisk, path: string): Buffer {
  const file = disk.open(path, { create: false });
  const bytes = Buffer.from(file.readSync(0, file.size));
  file.close();
  return bytes;
}

const SEGMENT = "log/00000000000000000001.seg";

async function segmentSeed(): Promise<Buffer> {
  const disk = new MemoryDisk();
  const log = await openGroupLog({ disk, directory: "log", groupId: GROUP });
  log.append(framesOf(1, 6));
  await log.sync();
  log.close();
  return take(disk, SEGMENT);
}

const segments: Subject = {
  name: "segment",
  seeds: [await segmentSeed()],
  cost: 5,
  run: (bytes) =>
    refusingLater(isStorageError, async () => {
      const disk = new MemoryDisk();
      disk.makeDirectory("log");
      put(disk, SEGMENT, bytes);
      const log = await openGroupLog({ disk, directory: "log", groupId: GROUP });
      const frames = await log.read(log.firstIndex, log.lastIndex, 1 << 20);
      for (const frame of frames) log.termAt(frame.index);
      await log.indexOfOffset(3);
      await log.offsetOfTime(1);
      log.close();
    }),
};

const JOURNAL = "hard-state.journal";

async function journalSeed(): Promise<Buffer> {
  const disk = new MemoryDisk();
  const journal = await openHardStateJournal(disk, { bootId: "boot" });
  journal.save({
    groupId: GROUP,
    replicaId: 4097 as never,
    term: 3,
    vote: 4097 as never,
    recovering: false,
    lazy: false,
    durableCommitIndex: 2,
    unrecovered: false,
    removed: false,
  });
  await journal.sync();
  await journal.close({ clean: false });
  return take(disk, JOURNAL);
}

/** Every record's checksum, as far as lengths lead on. */
function repairJournal(input: Buffer): Buffer {
  const bytes = Buffer.from(input);
  if (bytes.length >= 16) bytes.writeUInt32BE(crc32c(bytes.subarray(0, 12)), 12);
  let at = 16;
  while (at + 8 <= bytes.length) {
    const length = bytes.readUInt32BE(at);
    if (at + 8 + length > bytes.length) break;
    const head = crc32c(bytes.subarray(at, at + 4));
    bytes.writeUInt32BE(crc32c(bytes.subarray(at + 8, at + 8 + length), head), at + 4);
    at += 8 + length;
  }
  return bytes;
}

const journal: Subject = {
  name: "journal",
  seeds: [
    await journalSeed(),
    Buffer.concat([encodeHeader(), encodeRecord(encodeOpened(1, "boot"))]),
  ],
  repair: repairJournal,
  cost: 5,
  run: (bytes) =>
    refusingLater(isStorageError, async () => {
      const disk = new MemoryDisk();
      put(disk, JOURNAL, bytes);
      const opened = await openHardStateJournal(disk, { bootId: "boot" });
      opened.all();
      await opened.close({ clean: true });
    }),
};

const IMAGES = "images";

async function imageSeed(): Promise<{ readonly name: string; readonly bytes: Buffer }> {
  const disk = new MemoryDisk();
  await openImageStore(disk, IMAGES).save({
    groupId: GROUP,
    index: 5,
    term: 2,
    meta: Buffer.from("{}"),
    pairs: [
      ["p/1", Buffer.from("one")],
      ["p/2", Buffer.from("two")],
    ],
  });
  const [name = ""] = disk.list(IMAGES);
  return { name, bytes: take(disk, `${IMAGES}/${name}`) };
}

function repairImage(input: Buffer): Buffer {
  const bytes = Buffer.from(input);
  if (bytes.length < 52) return bytes;
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, bytes.length - 4)), bytes.length - 4);
  return bytes;
}

const seed = await imageSeed();
const images: Subject = {
  name: "image",
  seeds: [seed.bytes],
  repair: repairImage,
  cost: 5,
  run: (bytes) =>
    refusingLater(isStorageError, async () => {
      const disk = new MemoryDisk();
      disk.makeDirectory(IMAGES);
      put(disk, `${IMAGES}/${seed.name}`, bytes);
      const image = await openImageStore(disk, IMAGES).load(GROUP);
      if (image !== undefined) for (const _pair of image.pairs);
    }),
};

export const fileSubjects: readonly Subject[] = [segments, journal, images];
