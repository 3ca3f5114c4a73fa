import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openKeyedStore } from "../../src/broker/data-directory.ts";
import type { Disk, KeyedStore } from "../../src/log/ports.ts";
import { openRealDisk } from "../../src/log/real-disk.ts";
import { isKeyedFailed, markKeyedFailed } from "../../src/replica/storage-failure.ts";
import { temporaryDirectory } from "../log/temporary.ts";

let path: string;
let remove: () => void;
let disk: Disk;

function open(): Promise<KeyedStore> {
  return openKeyedStore(disk, path);
}

async function textOf(store: KeyedStore): Promise<string | undefined> {
  return (await store.get("k"))?.toString();
}

beforeEach(async () => {
  ({ path, remove } = temporaryDirectory());
  disk = openRealDisk(path);
  const store = await open();
  await store.batch([{ type: "put", key: "k", value: Buffer.from("v") }], { sync: true });
  await store.close();
});

afterEach(() => remove());

describe("keyed store of a data directory", () => {
  it("is there again", async () => {
    const store = await open();
    expect(await textOf(store)).toBe("v");
    await store.close();
  });

  it("that failed in an earlier run: is empty, once", async () => {
    markKeyedFailed(disk);
    const store = await open();
    expect([await textOf(store), isKeyedFailed(disk)]).toEqual([undefined, false]);
    await store.batch([{ type: "put", key: "k", value: Buffer.from("w") }], { sync: true });
    await store.close();
    const again = await open();
    expect(await textOf(again)).toBe("w");
    await again.close();
  });

  it("that failed, in use by another process: is left alone, and the mark stays", async () => {
    const store = await open();
    markKeyedFailed(disk);
    await expect(open()).rejects.toMatchObject({ kind: "locked" });
    expect([await textOf(store), isKeyedFailed(disk)]).toEqual(["v", true]);
    await store.close();
  });

  it("that can not be read: is emptied under the mark, so that half of it is never taken for a whole", async () => {
    const manifest = readdirSync(join(path, "keyed")).find((name) => name.startsWith("MANIFEST"));
    const file = join(path, "keyed", manifest ?? "");
    writeFileSync(file, readFileSync(file).fill(0xff, 8));
    const marked: boolean[] = [];
    const syncDirectory = disk.syncDirectory.bind(disk);
    const removeFile = disk.remove.bind(disk);
    disk.syncDirectory = async (directory) => {
      await syncDirectory(directory);
      marked.push(isKeyedFailed(disk));
    };
    disk.remove = (name) => {
      marked.push(isKeyedFailed(disk));
      removeFile(name);
    };
    const store = await open();
    expect(marked[0]).toBe(true);
    expect(marked.at(-1)).toBe(true);
    expect([await textOf(store), isKeyedFailed(disk)]).toEqual([undefined, false]);
    await store.close();
  });
});
