import { beforeEach, describe, expect, it } from "vitest";
import { trustKeyedStore } from "../../src/broker/keyed-trust.ts";
import { FaultStore } from "../../src/log/fault-store.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";

let keyed: FaultStore;

/** Whether what was in the store is still there. */
async function isKept(bootId: string, wasClean: boolean): Promise<boolean> {
  await trustKeyedStore(keyed, bootId, wasClean);
  return (await keyed.get("g/1-1/applied")) !== undefined;
}

beforeEach(async () => {
  keyed = new FaultStore(new MemoryStore());
  await trustKeyedStore(keyed, "boot-1", false);
  const value = Buffer.from("{}");
  await keyed.batch([{ type: "put", key: "g/1-1/applied", value }], { sync: true });
});

describe("trust in the keyed store", () => {
  it.each([
    ["boot-1", true, true],
    ["boot-1", false, true],
    ["boot-2", true, true],
    ["boot-2", false, false],
  ])("%s, closed cleanly %s: kept %s", async (bootId, wasClean, expected) => {
    expect(await isKept(bootId, wasClean)).toBe(expected);
    expect((await keyed.get("boot-id"))?.toString()).toBe(bootId);
  });

  it.each([true, false])(
    "a damaged boot id, closed cleanly %s: counts as missing",
    async (wasClean) => {
      keyed.inject({ operation: "get", effect: { kind: "fail", as: "corrupt" } });
      expect(await isKept("boot-1", wasClean)).toBe(wasClean);
    },
  );
});
