// Whether what the keyed store holds may be used at this start. Called by wiring.ts, before anything reads from it.
import { type KeyedStore, StorageError } from "../log/ports.ts";

/** Sorts before every group's keys, so an interrupted removal has lost it. */
const BOOT_ID_KEY = "boot-id";

/**
 * What LevelDB kept of a store that lost its page cache can not be told; everything in it can be rebuilt from images and
 * logs, so it is emptied. The store itself remembers for which boot it is good: a removal that was interrupted begins again.
 */
export async function trustKeyedStore(
  keyed: KeyedStore,
  bootId: string,
  wasClean: boolean,
): Promise<void> {
  if ((await bootOf(keyed)) === bootId) return;
  if (!wasClean) await keyed.removeRange("");
  const value = Buffer.from(bootId, "utf8");
  await keyed.batch([{ type: "put", key: BOOT_ID_KEY, value }], { sync: true });
}

async function bootOf(keyed: KeyedStore): Promise<string | undefined> {
  try {
    return (await keyed.get(BOOT_ID_KEY))?.toString("utf8");
  } catch (error) {
    // A damaged row: as good as none.
    if (error instanceof StorageError && error.kind === "corrupt") return undefined;
    throw error;
  }
}
