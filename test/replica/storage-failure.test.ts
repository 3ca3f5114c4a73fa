import { describe, expect, it } from "vitest";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { markStorageFailed, requireSoundStorage } from "../../src/replica/storage-failure.ts";

describe("storage failure", () => {
  it("storage failure: a sound directory is accepted", () => {
    expect(() => requireSoundStorage(new MemoryDisk())).not.toThrow();
  });

  it("storage failure: a marked directory is refused with the way out, marking twice is harmless", () => {
    const disk = new MemoryDisk();
    markStorageFailed(disk);
    markStorageFailed(disk);
    expect(() => requireSoundStorage(disk)).toThrow(/cluster init --join/);
  });
});
