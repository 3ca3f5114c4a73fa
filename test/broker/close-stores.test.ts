import { expect, test } from "vitest";
import { closeStores } from "../../src/broker/close-stores.ts";
import type { HardStateJournal, KeyedStore } from "../../src/log/ports.ts";

/** Stores that note what is done to them. */
function stores(syncFails: boolean) {
  const calls: string[] = [];
  const journal = {
    sync: async () => {
      await Promise.resolve();
      calls.push("journal synced");
      if (syncFails) throw new Error("disk");
    },
    close: async ({ clean }: { clean: boolean }) => {
      calls.push(clean ? "closed cleanly" : "closed");
    },
  };
  const keyed = {
    close: async () => {
      calls.push("keyed closed");
    },
  };
  return {
    calls,
    journal: journal as Partial<HardStateJournal> as HardStateJournal,
    keyed: keyed as Partial<KeyedStore> as KeyedStore,
  };
}

test("nothing of the journal is under way when the lock of the directory goes with the keyed store", async () => {
  const { calls, journal, keyed } = stores(false);
  await closeStores({ journal, keyed }, { clean: true });
  expect(calls).toEqual(["journal synced", "keyed closed", "closed cleanly"]);
});

test("a journal that fails: the lock is given back nevertheless, and the run does not count as clean", async () => {
  const { calls, journal, keyed } = stores(true);
  await expect(closeStores({ journal, keyed }, { clean: true })).rejects.toThrow("disk");
  expect(calls).toEqual(["journal synced", "keyed closed", "closed"]);
});
