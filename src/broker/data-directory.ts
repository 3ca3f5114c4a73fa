// What a data directory needs from the real world, for the broker and for tools that work on a stopped one's directory.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemRandom } from "../base/random.ts";
import { openLevelStore } from "../log/level-store.ts";
import { type Disk, type KeyedStore, StorageError } from "../log/ports.ts";
import { MarkingStore } from "../replica/marking-store.ts";
import { clearKeyedFailed, isKeyedFailed, markKeyedFailed } from "../replica/storage-failure.ts";

const KEYED = "keyed";

/**
 * Takes the directory's lock. A store that failed in an earlier run, or that LevelDB can not read any more, is emptied:
 * everything in it can be rebuilt.
 */
export async function openKeyedStore(disk: Disk, dataDir: string): Promise<KeyedStore> {
  const location = join(dataDir, KEYED);
  try {
    if (!isKeyedFailed(disk)) return new MarkingStore(await openLevelStore(location), disk);
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== "corrupt") throw error;
    // What is left when the emptying is cut short must not be taken for a whole store.
    markKeyedFailed(disk);
    await disk.syncDirectory(".");
  }
  const store = new MarkingStore(await openLevelStore(location, { discard: true }), disk);
  try {
    await disk.syncDirectory(KEYED);
    await disk.syncDirectory(".");
    clearKeyedFailed(disk);
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

/**
 * A text that is another one after each boot of the machine: Linux and macOS have one. Elsewhere it is new at each start, so
 * that a run which did not end cleanly counts as one whose page cache is lost.
 */
export function bootId(): string {
  return linuxBootId() ?? macBootId() ?? `unknown-${systemRandom.uuid()}`;
}

function linuxBootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

function macBootId(): string | undefined {
  if (process.platform !== "darwin") return undefined;
  try {
    const text = execFileSync("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 2000,
    }).trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
