import { expect, it } from "vitest";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { openImageStore } from "../../src/log/image-store.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { StateImage } from "../../src/log/ports.ts";
import type { GroupId } from "../../src/model/ids.ts";

const GROUP = 4 as GroupId;
/** A power cut that keeps nothing that was not synced. */
const WORST_CASE = { next: () => 0, integer: (from: number) => from, uuid: () => "" };

function image(index: number): StateImage {
  return {
    groupId: GROUP,
    index,
    term: 1,
    meta: Buffer.from("m"),
    pairs: [["k", Buffer.from("v")]],
  };
}

it("an image whose process died before its name was synced: survives a power cut once it was loaded", async () => {
  const memory = new MemoryDisk();
  const disk = new FaultDisk(memory);
  const first = openImageStore(disk);
  await first.save(image(42));
  disk.inject({
    operations: ["syncDirectory"],
    path: "images",
    effect: { kind: "fail", as: "io" },
  });
  await expect(first.save(image(45))).rejects.toThrow();

  const restarted = memory.detach();
  expect((await openImageStore(restarted).load(GROUP))?.index).toBe(45);
  const afterPowerCut = restarted.crash(WORST_CASE);
  expect((await openImageStore(afterPowerCut).load(GROUP))?.index).toBe(45);
});
