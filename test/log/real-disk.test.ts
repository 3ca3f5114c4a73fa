import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { StorageError } from "../../src/log/ports.ts";
import { openRealDisk } from "../../src/log/real-disk.ts";
import { diskConformance } from "../conformance/disk.ts";
import { temporaryDirectory } from "./temporary.ts";

diskConformance("real disk", () => {
  const { path, remove } = temporaryDirectory();
  return { disk: openRealDisk(join(path, "data")), cleanUp: remove };
});

describe("real disk: errors", () => {
  it("open: a file in place of a directory is an io error, not an empty list", () => {
    const { path, remove } = temporaryDirectory();
    const disk = openRealDisk(path);
    writeFileSync(join(path, "file"), "x");
    expect(() => disk.list("file")).toThrow(StorageError);
    expect(() => disk.exists("file/below")).toThrow(StorageError);
    mkdirSync(join(path, "directory"));
    expect(() => disk.open("directory", { create: false })).toThrow(StorageError);
    remove();
  });
});
