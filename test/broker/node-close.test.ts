// What a broker's disks hold while it closes: the journal's word that the run ended cleanly makes the next start trust the
// keyed store, so it must not be there before the store is whole.
import { describe, expect, test } from "vitest";
import { openHardStateJournal } from "../../src/log/hard-state-journal.ts";
import type { MemoryDisk } from "../../src/log/memory-disk.ts";
import { StorageError } from "../../src/log/ports.ts";
import { random } from "../cluster/support.ts";
import { openOneBroker } from "../support/one-broker.ts";

const ALL_SURVIVES = { ...random(), integer: (_: number, to: number) => to - 1 };
const NOTHING_UNSYNCED = { ...random(), integer: (from: number) => from };

/** What the next start would be told. */
async function saysClean(disk: MemoryDisk): Promise<boolean> {
  const journal = await openHardStateJournal(disk, { bootId: "another boot", mustExist: true });
  return journal.wasClean;
}

describe("broker that closes", () => {
  test("loses power before the keyed store is closed: nothing on its disk calls the run clean", async () => {
    const found: MemoryDisk[] = [];
    const { broker, clock, disk } = await openOneBroker({
      beforeKeyedCloses: () => found.push(disk.crash(ALL_SURVIVES)),
    });
    await clock.until(broker.close().catch(() => undefined));
    expect(await Promise.all(found.map(saysClean))).toEqual([false]);
  });

  test("ends cleanly: all of the keyed store survives a loss of power", async () => {
    const { broker, clock, disk, memory } = await openOneBroker();
    const value = Buffer.from("derived");
    await memory.batch([{ type: "put", key: "g/1", value }], { sync: false });
    await clock.until(broker.close());
    const survivor = memory.crash(NOTHING_UNSYNCED);
    expect(await survivor.get("g/1")).toEqual(value);
    expect(await saysClean(disk.crash(NOTHING_UNSYNCED))).toBe(true);
  });

  test("can not close its keyed store: says so, and the run does not count as clean", async () => {
    const { broker, clock, disk } = await openOneBroker({
      beforeKeyedCloses: () => {
        throw new StorageError("io", "keyed", "sync failed");
      },
    });
    await expect(clock.until(broker.close())).rejects.toMatchObject({ path: "keyed" });
    expect(await saysClean(disk.crash(ALL_SURVIVES))).toBe(false);
  });
});
