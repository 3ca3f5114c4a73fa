// What every implementation of the disk port must do. Run by test/log/{memory,real,fault}-disk.test.ts.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Disk, type DiskFile, StorageError } from "../../src/log/ports.ts";

export interface DiskUnderTest {
  readonly disk: Disk;
  readonly cleanUp: () => void;
}

const text = (value: string): Buffer => Buffer.from(value);

function kindOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof StorageError ? error.kind : `not a StorageError: ${String(error)}`;
  }
  return "nothing thrown";
}

async function rejectedKindOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof StorageError ? error.kind : `not a StorageError: ${String(error)}`;
  }
  return "nothing thrown";
}

export function diskConformance(name: string, make: () => DiskUnderTest): void {
  describe(`${name}: disk`, () => {
    let disk: Disk;
    let cleanUp: () => void;
    const opened: DiskFile[] = [];

    const open = (path: string, create = true): DiskFile => {
      const file = disk.open(path, { create });
      opened.push(file);
      return file;
    };

    beforeEach(() => {
      ({ disk, cleanUp } = make());
    });
    afterEach(() => {
      for (const file of opened.splice(0)) file.close();
      cleanUp();
    });

    it("append: chunks land in order at the end", async () => {
      const file = open("a");
      file.append([text("one"), text(""), text("two")]);
      file.append([text("three")]);
      expect(file.size).toBe(11);
      expect((await file.read(0, 100)).toString()).toBe("onetwothree");
      expect(file.readSync(3, 3).toString()).toBe("two");
    });

    it("append: more chunks than one system call takes", () => {
      const file = open("a");
      const chunks = Array.from({ length: 3000 }, (_, number) => text(String(number % 10)));
      file.append(chunks);
      expect(file.readSync(0, 4000).equals(Buffer.concat(chunks))).toBe(true);
    });

    it("append: of nothing is harmless", () => {
      const file = open("a");
      file.append([]);
      file.append([Buffer.alloc(0)]);
      expect(file.size).toBe(0);
    });

    it("append: the caller may reuse its buffer", () => {
      const file = open("a");
      const bytes = text("before");
      file.append([bytes]);
      bytes.fill(0);
      expect(file.readSync(0, 6).toString()).toBe("before");
    });

    it("read: stops at the end of the file", async () => {
      const file = open("a");
      file.append([text("abc")]);
      expect((await file.read(1, 10)).toString()).toBe("bc");
      expect((await file.read(3, 10)).length).toBe(0);
      expect((await file.read(9, 10)).length).toBe(0);
      expect(file.readSync(9, 1).length).toBe(0);
    });

    it("read: what was read stays as it was", async () => {
      const file = open("a");
      file.append([text("abc")]);
      const bytes = await file.read(0, 3);
      file.truncate(0);
      file.append([text("xyz")]);
      expect(bytes.toString()).toBe("abc");
    });

    it("truncate: shortens, and appends go on from there", () => {
      const file = open("a");
      file.append([text("abcdef")]);
      file.truncate(2);
      file.append([text("X")]);
      expect(file.size).toBe(3);
      expect(file.readSync(0, 9).toString()).toBe("abX");
    });

    it("open: an existing file keeps its content and its end", async () => {
      const first = open("a");
      first.append([text("abc")]);
      await first.sync();
      first.close();
      const again = open("a", false);
      expect(again.size).toBe(3);
      again.append([text("d")]);
      expect(again.readSync(0, 4).toString()).toBe("abcd");
    });

    it("open: says what is wrong", () => {
      open("a");
      expect(kindOf(() => disk.open("a", { create: true }))).toBe("io");
      expect(kindOf(() => disk.open("b", { create: false }))).toBe("missing");
      expect(kindOf(() => disk.open("none/b", { create: true }))).toBe("missing");
    });

    it("close: later use fails, closing again is harmless", async () => {
      const file = open("a");
      file.append([text("abc")]);
      file.close();
      file.close();
      expect(kindOf(() => file.append([text("d")]))).toBe("io");
      expect(kindOf(() => file.truncate(0))).toBe("io");
      expect(await rejectedKindOf(async () => file.read(0, 1))).toBe("io");
      expect(await rejectedKindOf(async () => file.sync())).toBe("io");
    });

    it("close: a read and a sync that are under way end well", async () => {
      const file = open("a");
      file.append([text("abc")]);
      const read = file.read(0, 3);
      const synced = file.sync();
      file.close();
      expect((await read).toString()).toBe("abc");
      await synced;
    });

    it("remove: an open file can still be read", async () => {
      const file = open("a");
      file.append([text("abc")]);
      disk.remove("a");
      expect(disk.exists("a")).toBe(false);
      expect((await file.read(0, 3)).toString()).toBe("abc");
      expect(kindOf(() => disk.remove("a"))).toBe("missing");
    });

    it("rename: replaces the target", () => {
      open("a").append([text("new")]);
      open("b").append([text("old")]);
      disk.rename("a", "b");
      expect(disk.list("")).toEqual(["b"]);
      expect(open("b", false).readSync(0, 9).toString()).toBe("new");
      expect(kindOf(() => disk.rename("none", "b"))).toBe("missing");
    });

    it("rename: moves a directory elsewhere", () => {
      disk.makeDirectory("groups");
      disk.makeDirectory("groups/1");
      disk.makeDirectory("trash");
      open("groups/1/x");
      disk.rename("groups/1", "trash/1");
      expect(disk.list("groups")).toEqual([]);
      expect(disk.list("trash/1")).toEqual(["x"]);
    });

    it("directories: list is sorted, making one twice is harmless", async () => {
      expect(disk.list("none")).toEqual([]);
      disk.makeDirectory("d");
      disk.makeDirectory("d");
      for (const name of ["c", "a", "b"]) open(`d/${name}`);
      expect(disk.list("d")).toEqual(["a", "b", "c"]);
      expect(disk.exists("d")).toBe(true);
      await disk.syncDirectory("d");
      await disk.syncDirectory("");
      expect(await rejectedKindOf(async () => disk.syncDirectory("none"))).toBe("missing");
    });

    it("removeTree: removes everything below, harmless when there is nothing", () => {
      disk.makeDirectory("d");
      disk.makeDirectory("d/e");
      open("d/e/f");
      disk.removeTree("d");
      disk.removeTree("d");
      expect(disk.exists("d")).toBe(false);
    });

    it("freeBytes: is a positive number", () => {
      expect(disk.freeBytes()).toBeGreaterThan(0);
    });
  });
}
