import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { StorageError } from "../../src/log/ports.ts";
import { diskConformance } from "../conformance/disk.ts";

diskConformance("memory disk", () => ({ disk: new MemoryDisk(), cleanUp: () => undefined }));

/** Every outcome that `look` sees after a power cut, over many seeds. */
function outcomesOf(make: () => MemoryDisk, look: (disk: MemoryDisk) => string): Set<string> {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 200; seed += 1) outcomes.add(look(make().crash(seededRandom(seed))));
  return outcomes;
}

async function diskWith(content: string): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const file = disk.open("a", { create: true });
  file.append([Buffer.from(content)]);
  await file.sync();
  await disk.syncDirectory("");
  file.close();
  return disk;
}

function contentOf(disk: MemoryDisk, path = "a"): string {
  if (!disk.exists(path)) return "none";
  return disk.open(path, { create: false }).readSync(0, 1000).toString().replaceAll("\0", "0");
}

describe("memory disk: power cut", () => {
  it("synced bytes stay, of unsynced ones a prefix, perhaps with a hole", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 300; seed += 1) {
      const disk = await diskWith("ab");
      const file = disk.open("a", { create: false });
      file.append([Buffer.from("cd")]);
      file.append([Buffer.from("ef")]);
      outcomes.add(contentOf(disk.crash(seededRandom(seed))));
    }
    for (const outcome of outcomes)
      expect(outcome).toMatch(/^ab(c|0|cd|c0|00|[c0][d0]e|[c0][d0]([e0][f0]|0))?$/);
    expect(outcomes).toContain("ab");
    expect(outcomes).toContain("abc");
    expect(outcomes).toContain("abcdef");
    expect([...outcomes].some((outcome) => outcome.includes("0"))).toBe(true);
  });

  it("an unsynced truncation may or may not have happened, what followed it not without it", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 300; seed += 1) {
      const disk = await diskWith("abcd");
      const file = disk.open("a", { create: false });
      file.truncate(1);
      file.append([Buffer.from("XY")]);
      outcomes.add(contentOf(disk.crash(seededRandom(seed))));
    }
    expect(outcomes).toContain("abcd");
    expect(outcomes).toContain("a");
    expect(outcomes).toContain("aXY");
    for (const outcome of outcomes) expect(outcome).toMatch(/^(abcd|a([X0][Y0]?)?)$/);
  });

  it("directory entries need a sync of the directory", async () => {
    const make = (): MemoryDisk => {
      const disk = new MemoryDisk();
      disk.open("a", { create: true });
      disk.open("b", { create: true });
      return disk;
    };
    expect(outcomesOf(make, (disk) => disk.list("").join())).toEqual(
      new Set(["", "a", "b", "a,b"]),
    );
    const disk = make();
    await disk.syncDirectory("");
    expect(disk.crash(seededRandom(1)).list("")).toEqual(["a", "b"]);
  });

  it("a rename is atomic, within a directory and between two", async () => {
    const base = await diskWith("new");
    base.makeDirectory("d");
    await base.syncDirectory("");
    const inside = new Set<string>();
    const between = new Set<string>();
    for (let seed = 1; seed <= 100; seed += 1) {
      const one = base.crash(seededRandom(seed));
      one.rename("a", "b");
      inside.add(one.crash(seededRandom(seed)).list("").join());
      const two = (await diskWith("new")).crash(seededRandom(seed));
      two.makeDirectory("d");
      await two.syncDirectory("");
      two.rename("a", "d/a");
      const after = two.crash(seededRandom(seed));
      between.add(`${contentOf(after)} ${contentOf(after, "d/a")}`);
    }
    expect(inside).toEqual(new Set(["a,d", "b,d"]));
    expect(between).toEqual(new Set(["new none", "none new"]));
  });

  it("a removed file comes back unless the directory was synced", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 50; seed += 1) {
      const disk = await diskWith("x");
      disk.remove("a");
      outcomes.add(contentOf(disk.crash(seededRandom(seed))));
    }
    expect(outcomes).toEqual(new Set(["x", "none"]));
  });

  it("a sync that is under way promises nothing", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 50; seed += 1) {
      const disk = await diskWith("a");
      const file = disk.open("a", { create: false });
      file.append([Buffer.from("b")]);
      const synced = file.sync();
      outcomes.add(contentOf(disk.crash(seededRandom(seed))));
      await expect(synced).rejects.toThrow(StorageError);
    }
    expect(outcomes.has("a")).toBe(true);
  });

  it("what a finished sync did not begin with is not covered", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 100; seed += 1) {
      const disk = await diskWith("a");
      const file = disk.open("a", { create: false });
      file.append([Buffer.from("b")]);
      const synced = file.sync();
      file.append([Buffer.from("c")]);
      await synced;
      outcomes.add(contentOf(disk.crash(seededRandom(seed))));
    }
    expect(outcomes).toEqual(new Set(["ab", "abc", "ab0"]));
  });

  it("equal seeds give equal disks", async () => {
    const make = async (): Promise<string> => {
      const disk = await diskWith("a");
      disk.open("a", { create: false }).append([Buffer.alloc(500, "x")]);
      disk.open("b", { create: true });
      const after = disk.crash(seededRandom(7));
      return `${after.list("").join()} ${contentOf(after)}`;
    };
    expect(await make()).toBe(await make());
  });

  it("the dead process can do no harm afterwards", async () => {
    const disk = await diskWith("a");
    const file = disk.open("a", { create: false });
    const after = disk.crash(seededRandom(1));
    expect(() => file.append([Buffer.from("b")])).toThrow(StorageError);
    expect(() => disk.open("b", { create: true })).toThrow(StorageError);
    expect(contentOf(after)).toBe("a");
  });
});

describe("memory disk: death of the process, full disk", () => {
  it("detach: keeps what was written, which is still not durable", async () => {
    const disk = await diskWith("a");
    disk.open("a", { create: false }).append([Buffer.from("b")]);
    const after = disk.detach();
    expect(contentOf(after)).toBe("ab");
    expect(() => disk.exists("a")).toThrow(StorageError);
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 30; seed += 1) {
      const again = await diskWith("a");
      again.open("a", { create: false }).append([Buffer.from("b")]);
      outcomes.add(contentOf(again.detach().crash(seededRandom(seed))));
    }
    expect(outcomes).toContain("a");
  });

  it("append: on a full disk fails without effect", async () => {
    const disk = await diskWith("abc");
    disk.setCapacity(5);
    const file = disk.open("a", { create: false });
    expect(disk.freeBytes()).toBe(2);
    expect(() => file.append([Buffer.from("def")])).toThrow(StorageError);
    file.append([Buffer.from("de")]);
    expect(contentOf(disk)).toBe("abcde");
  });
});
