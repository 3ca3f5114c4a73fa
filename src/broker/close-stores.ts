// How a data directory is given back, by the broker and by tools that worked on it: the keyed store is whole before the
// journal says that the run ended cleanly. The next start trusts the store for that word alone (wiring.ts), also when power
// is lost in between. The lock of the directory goes with the keyed store: a broker that starts in between writes a journal of
// its own, and what is appended to this one is not seen any more.
import type { HardStateJournal, KeyedStore } from "../log/ports.ts";

export interface ClosingStores {
  readonly keyed: KeyedStore;
  readonly journal: HardStateJournal;
}

/** @throws what the stores throw; the run does not count as clean then */
export async function closeStores(
  { journal, keyed }: ClosingStores,
  options: { readonly clean: boolean },
): Promise<void> {
  // What is under way may be a new file, and must not be renamed over the next broker's.
  const [synced] = await Promise.allSettled([journal.sync()]);
  const [closed] = await Promise.allSettled([keyed.close()]);
  const failed = [synced, closed].find((result) => result.status === "rejected");
  await journal.close(failed === undefined ? options : { clean: false });
  if (failed !== undefined) throw failed.reason;
}
