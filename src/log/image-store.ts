// State images (contract: ImageStore in ports.ts): one file per image, complete and checked, or not there at all.
// Layout, big-endian: u32 magic "FLIM", u16 version (1), u16 reserved, u64 group id, u64 index, u64 term,
// u32 meta bytes, u32 pairs, u64 total bytes, then meta, pairs { u32 key bytes, u32 value bytes, key, value },
// at the end u32 CRC-32C over all before it. Called by the replica room (snapshotter, installation, recovery).
import { crc32c } from "../base/crc32c.ts";
import type { GroupId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { readU64, writeU64 } from "./binary.ts";
import {
  type Disk,
  type ImageStore,
  isUnreadable,
  type StateImage,
  StorageError,
} from "./ports.ts";

const IMAGE_MAGIC = 0x464c494d;
const IMAGE_VERSION = 1;
const FIXED_BYTES = 48;
const CRC_BYTES = 4;

/** @param directory of images alone; made, durably, with the first image */
export function openImageStore(disk: Disk, directory = "images"): ImageStore {
  return new FileImageStore(disk, directory);
}

class FileImageStore implements ImageStore {
  readonly #disk: Disk;
  readonly #directory: string;
  /** Saves and removals run one after another. */
  #queue: Promise<unknown> = Promise.resolve();
  #areNamesSettled = false;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  save(image: StateImage): Promise<void> {
    const bytes = this.encode(image);
    return this.#enqueue(() => this.#save(image.groupId, image.index, bytes));
  }

  load(groupId: GroupId): Promise<StateImage | undefined> {
    return this.#enqueue(async () => {
      await this.#settleNames();
      this.#removeTemporaries(groupId);
      for (const name of this.#namesOf(groupId).toReversed()) {
        const path = `${this.#directory}/${name}`;
        const file = this.#disk.open(path, { create: false });
        try {
          const image = decodeImage(await file.read(0, file.size), path);
          if (image.groupId === groupId) return image;
        } catch (error) {
          // A damaged image counts as none; whoever needs it finds that state and log do not connect, and says so.
          const isCorrupt = error instanceof StorageError && error.kind === "corrupt";
          if (!isCorrupt && !isUnreadable(error)) throw error;
        } finally {
          file.close();
        }
      }
      return undefined;
    });
  }

  encode(image: StateImage): Buffer {
    return encodeImage(image);
  }

  decode(bytes: Uint8Array): StateImage {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return decodeImage(view, this.#directory);
  }

  remove(groupId: GroupId): Promise<void> {
    return this.#enqueue(async () => {
      this.#removeTemporaries(groupId);
      const names = this.#namesOf(groupId);
      for (const name of names) this.#disk.remove(`${this.#directory}/${name}`);
      if (names.length > 0) await this.#disk.syncDirectory(this.#directory);
    });
  }

  async #save(groupId: GroupId, index: LogIndex, bytes: Buffer): Promise<void> {
    await this.#makeDirectory();
    this.#removeTemporaries(groupId);
    const name = imageName(groupId, index);
    const temporary = `${this.#directory}/${name}.tmp`;
    const file = this.#disk.open(temporary, { create: true });
    try {
      file.append([bytes]);
      await file.sync();
    } finally {
      file.close();
    }
    this.#disk.rename(temporary, `${this.#directory}/${name}`);
    await this.#disk.syncDirectory(this.#directory);
    // An image of another history may have a higher index, so everything else goes, not only lower ones. The newest file
    // must be the one saved last even after a power cut, hence a sync.
    const others = this.#namesOf(groupId).filter((other) => other !== name);
    for (const other of others) this.#disk.remove(`${this.#directory}/${other}`);
    if (others.some((other) => other > name)) await this.#disk.syncDirectory(this.#directory);
  }

  /**
   * A process before this one may have died between the rename of an image and the sync of the directory. Logs are dropped
   * below what is loaded here, so the name must be as durable as the content. Once: saves of this store sync for themselves.
   */
  async #settleNames(): Promise<void> {
    if (this.#areNamesSettled || !this.#disk.exists(this.#directory)) return;
    await this.#disk.syncDirectory(this.#directory);
    this.#areNamesSettled = true;
  }

  async #makeDirectory(): Promise<void> {
    if (this.#disk.exists(this.#directory)) return;
    const names = this.#directory.split("/");
    for (let depth = 1; depth <= names.length; depth += 1) {
      this.#disk.makeDirectory(names.slice(0, depth).join("/"));
      await this.#disk.syncDirectory(names.slice(0, depth - 1).join("/"));
    }
  }

  /** Names of the group's images, lowest index first. */
  #namesOf(groupId: GroupId): string[] {
    const prefix = `${groupId}-`;
    const names = this.#disk.list(this.#directory);
    return names.filter((name) => name.startsWith(prefix) && name.endsWith(".image"));
  }

  #removeTemporaries(groupId: GroupId): void {
    for (const name of this.#disk.list(this.#directory)) {
      const isOurs = name.startsWith(`${groupId}-`) && name.endsWith(".tmp");
      if (isOurs) this.#disk.remove(`${this.#directory}/${name}`);
    }
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work);
    this.#queue = run.catch(() => undefined);
    return run;
  }
}

function imageName(groupId: GroupId, index: LogIndex): string {
  return `${groupId}-${String(index).padStart(20, "0")}.image`;
}

function encodeImage(image: StateImage): Buffer {
  const { meta, pairs } = image;
  const keys = pairs.map(([key]) => Buffer.from(key, "utf8"));
  let length = FIXED_BYTES + meta.length + CRC_BYTES;
  for (const [number, [, value]] of pairs.entries()) {
    length += 8 + (keys[number]?.length ?? 0) + value.length;
  }
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32BE(IMAGE_MAGIC, 0);
  bytes.writeUInt16BE(IMAGE_VERSION, 4);
  writeU64(bytes, image.groupId, 8);
  writeU64(bytes, image.index, 16);
  writeU64(bytes, image.term, 24);
  bytes.writeUInt32BE(meta.length, 32);
  bytes.writeUInt32BE(pairs.length, 36);
  writeU64(bytes, length, 40);
  bytes.set(meta, FIXED_BYTES);
  let at = FIXED_BYTES + meta.length;
  for (const [number, [, value]] of pairs.entries()) {
    const key = keys[number] ?? Buffer.alloc(0);
    bytes.writeUInt32BE(key.length, at);
    bytes.writeUInt32BE(value.length, at + 4);
    bytes.set(key, at + 8);
    bytes.set(value, at + 8 + key.length);
    at += 8 + key.length + value.length;
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, at)), at);
  return bytes;
}

/** Exactly `count` pairs between `from` and `end`; undefined when the bytes hold something else. Images come from peers too. */
function pairsOf(
  bytes: Buffer,
  { from, end, count }: { readonly from: number; readonly end: number; readonly count: number },
): (readonly [string, Uint8Array])[] | undefined {
  const pairs: (readonly [string, Uint8Array])[] = [];
  let at = from;
  for (let left = count; left > 0; left -= 1) {
    const keyFrom = at + 8;
    if (keyFrom > end) return undefined;
    const valueFrom = keyFrom + bytes.readUInt32BE(at);
    at = valueFrom + bytes.readUInt32BE(at + 4);
    if (at > end) return undefined;
    pairs.push([bytes.toString("utf8", keyFrom, valueFrom), bytes.subarray(valueFrom, at)]);
  }
  return at === end ? pairs : undefined;
}

/** Values are views of `bytes`. */
function decodeImage(bytes: Buffer, path: string): StateImage {
  const end = bytes.length - CRC_BYTES;
  const isOurs = end >= FIXED_BYTES && bytes.readUInt32BE(0) === IMAGE_MAGIC;
  if (!isOurs || readU64(bytes, 40) !== bytes.length) {
    throw new StorageError("corrupt", path, "no complete state image");
  }
  if (crc32c(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) {
    throw new StorageError("corrupt", path, "state image with a wrong checksum");
  }
  if (bytes.readUInt16BE(4) !== IMAGE_VERSION) {
    throw new StorageError("version", path, "a newer program wrote this state image");
  }
  const metaEnd = FIXED_BYTES + bytes.readUInt32BE(32);
  const pairs = pairsOf(bytes, { from: metaEnd, end, count: bytes.readUInt32BE(36) });
  if (pairs === undefined) {
    throw new StorageError("corrupt", path, "lengths in the state image do not add up");
  }
  return {
    groupId: readU64(bytes, 8) as GroupId,
    index: readU64(bytes, 16),
    term: readU64(bytes, 24),
    meta: bytes.subarray(FIXED_BYTES, metaEnd),
    pairs,
  };
}
