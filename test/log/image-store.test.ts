import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { openImageStore } from "../../src/log/image-store.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { type Disk, type StateImage, StorageError } from "../../src/log/ports.ts";
import { openRealDisk } from "../../src/log/real-disk.ts";
import type { GroupId } from "../../src/model/ids.ts";
import { temporaryDirectory } from "./temporary.ts";

function image(groupId: number, index: number, pairs = 3): StateImage {
  return {
    groupId: groupId as GroupId,
    index,
    term: index + 1,
    meta: Buffer.from(`{"index":${index}}`),
    pairs: Array.from({ length: pairs }, (_, number) => {
      return [`key-é-${number}`, Buffer.alloc(number * 10, index)] as const;
    }),
  };
}

function plain({ pairs, meta, ...rest }: StateImage): unknown {
  const texts = pairs.map(([key, value]) => [key, Buffer.from(value).toString("hex")]);
  return { ...rest, meta: Buffer.from(meta).toString(), pairs: texts };
}

const group = (id: number): GroupId => id as GroupId;

async function loadedIndex(disk: Disk, id = 1): Promise<number | undefined> {
  return (await openImageStore(disk).load(group(id)))?.index;
}

describe("image store", () => {
  it("save and load: everything comes back, older images are gone (real disk)", async () => {
    const { path, remove } = temporaryDirectory();
    const disk = openRealDisk(path);
    const store = openImageStore(disk, "state/images");
    expect(await store.load(group(1))).toBeUndefined();
    await Promise.all([store.save(image(1, 5)), store.save(image(1, 9)), store.save(image(11, 2))]);
    const again = openImageStore(disk, "state/images");
    const [one, eleven] = [await again.load(group(1)), await again.load(group(11))];
    expect(one && plain(one)).toEqual(plain(image(1, 9)));
    expect(eleven && plain(eleven)).toEqual(plain(image(11, 2)));
    expect(disk.list("state/images").length).toBe(2);
    await again.remove(group(1));
    expect(await again.load(group(1))).toBeUndefined();
    expect((await again.load(group(11)))?.index).toBe(2);
    remove();
  });

  it("save: an image of another history may have a lower index", async () => {
    const disk = new MemoryDisk();
    const store = openImageStore(disk);
    await store.save(image(1, 9));
    await store.save(image(1, 4));
    expect((await store.load(group(1)))?.index).toBe(4);
    expect(await loadedIndex(disk.crash(seededRandom(3)))).toBe(4);
  });

  it("encode and decode: round trip; empty and large", () => {
    const store = openImageStore(new MemoryDisk());
    for (const one of [image(1, 1, 0), image(2, 7, 500)]) {
      expect(plain(store.decode(store.encode(one)))).toEqual(plain(one));
    }
  });

  it("decode: every flipped bit and every shorter prefix is corrupt", () => {
    const store = openImageStore(new MemoryDisk());
    const bytes = store.encode(image(1, 3, 2));
    const kindOf = (content: Buffer): string => {
      try {
        store.decode(content);
      } catch (error) {
        return error instanceof StorageError ? error.kind : String(error);
      }
      return "nothing thrown";
    };
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const copy = Buffer.from(bytes);
      copy.writeUInt8(copy.readUInt8(bit >>> 3) ^ (1 << (bit & 7)), bit >>> 3);
      expect(kindOf(copy)).toBe("corrupt");
    }
    for (let length = 0; length < bytes.length; length += 1) {
      expect(kindOf(bytes.subarray(0, length))).toBe("corrupt");
    }
  });

  it("load: a damaged image counts as none, leftovers are removed", async () => {
    const disk = new MemoryDisk();
    await openImageStore(disk).save(image(1, 5));
    const name = `images/${disk.list("images")[0] ?? ""}`;
    const file = disk.open(name, { create: false });
    file.truncate(file.size - 1);
    disk.open("images/1-00000000000000000009.image.tmp", { create: true });
    expect(await loadedIndex(disk)).toBeUndefined();
    expect(disk.list("images").length).toBe(1);
  });

  it("load: an image that can not be read counts as damaged; one that can not be opened is an error", async () => {
    const disk = new FaultDisk(new MemoryDisk());
    await openImageStore(disk).save(image(1, 5));
    disk.inject({ operations: ["read"], effect: { kind: "fail", as: "io" } });
    expect(await loadedIndex(disk)).toBeUndefined();
    expect(await loadedIndex(disk)).toBe(5);
    disk.inject({ operations: ["open"], effect: { kind: "fail", as: "io" } });
    await expect(openImageStore(disk).load(group(1))).rejects.toThrow(StorageError);
  });

  it("save: power cut at every I/O boundary leaves the old or the new image, whole", async () => {
    for (let boundary = 0; boundary < 40; boundary += 1) {
      for (let seed = 1; seed <= 8; seed += 1) {
        const random = seededRandom(boundary * 100 + seed);
        const memory = new MemoryDisk();
        const disk = new FaultDisk(memory);
        const effect = { kind: "short", bytes: random.integer(0, 90) } as const;
        disk.inject({ after: boundary, times: Number.POSITIVE_INFINITY, effect });
        const order = [3, 7, 5, 12];
        let saved = -1;
        try {
          const store = openImageStore(disk);
          for (const [number, index] of order.entries()) {
            await store.save(image(1, index));
            saved = number;
          }
        } catch {
          // The power was cut here.
        }
        const found = await loadedIndex(memory.crash(random));
        const possible = [order[saved], order[saved + 1]].filter((index) => index !== undefined);
        if (saved >= 0 || found !== undefined) {
          expect(possible, `boundary ${boundary} seed ${seed}`).toContain(found);
        }
      }
    }
  });
});
