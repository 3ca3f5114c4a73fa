// What a data directory needs from the real world, for the broker and for tools that work on a stopped one's directory.
import { readFileSync } from "node:fs";
import { systemRandom } from "../base/random.ts";
import { openLevelStore } from "../log/level-store.ts";
import { type KeyedStore, StorageError } from "../log/ports.ts";

/** A store that LevelDB can not read any more is emptied: everything in it can be rebuilt. */
export async function openKeyedStore(location: string): Promise<KeyedStore> {
  try {
    return await openLevelStore(location);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "corrupt") throw error;
    return openLevelStore(location, { discard: true });
  }
}

/** Linux tells when the machine was booted last; elsewhere the page cache must be assumed to be lost at each start. */
export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return `unknown-${systemRandom.uuid()}`;
  }
}
