import { beforeEach, describe, expect, it } from "vitest";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { FaultStore } from "../../src/log/fault-store.ts";
import { openImageStore } from "../../src/log/image-store.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import type { GroupLog, ImageStore } from "../../src/log/ports.ts";
import { openGroupLog } from "../../src/log/segment-log.ts";
import { isBrokerError } from "../../src/model/errors.ts";
import type { GroupId, ReplicaId } from "../../src/model/ids.ts";
import {
  type AppliedRecord,
  appliedKey,
  encodeImageRecord,
  groupPrefix,
} from "../../src/replica/group-records.ts";
import {
  type RecoveredState,
  recoverState,
  replaceKeyedState,
} from "../../src/replica/state-recovery.ts";
import { LedgerMachine, setFrame } from "../support/ledger-machine.ts";

const GROUP = 1 as GroupId;
const ONE = 1 as ReplicaId;
const PREFIX = groupPrefix(GROUP, ONE);
const MEMBERSHIP = { voters: [ONE], learners: [] };

let log: GroupLog;
let keyed: FaultStore;
let disk: FaultDisk;
let images: ImageStore;
let machine: LedgerMachine;
/** Times that what is noted of the log's durable end was made void. */
let voided = 0;

function applied(index: number, term: number): AppliedRecord {
  const logStart = { index: 1, offset: 0 };
  const positions = { index, term, nextOffset: index, appendTimeMs: index, logStart };
  return { ...positions, membership: MEMBERSHIP };
}

/** Entries 1 … count with one record each; the term changes from 1 to 2 behind entry 5. */
function fill(count: number): void {
  for (let index = 1; index <= count; index += 1) {
    log.append([setFrame(index, index > 5 ? 2 : 1, index - 1, `k${index}`)]);
  }
}

async function storeKeyed(record: AppliedRecord, value: string): Promise<void> {
  await replaceKeyedState(keyed, PREFIX, record, [["v/who", Buffer.from(value)]]);
}

async function storeImage(
  record: AppliedRecord,
  restartIndex: number,
  isInstalled: boolean,
): Promise<void> {
  const restart = { index: restartIndex, offset: restartIndex - 1, prevTerm: 1 };
  const meta = encodeImageRecord({ applied: record, restart, isInstalled });
  const { index, term } = record;
  const pairs = [["v/who", Buffer.from("image")]] as const;
  await images.save({ groupId: GROUP, index, term, meta, pairs });
}

function recover(): Promise<RecoveredState> {
  const beforeReset = (): Promise<void> => {
    voided += 1;
    return Promise.resolve();
  };
  const stores = { groupId: GROUP, log, keyed, prefix: PREFIX, images, beforeReset };
  return recoverState(stores, machine, MEMBERSHIP);
}

beforeEach(async () => {
  voided = 0;
  disk = new FaultDisk(new MemoryDisk());
  log = await openGroupLog({ disk, directory: "log", groupId: GROUP });
  keyed = new FaultStore(new MemoryStore());
  images = openImageStore(disk);
  machine = new LedgerMachine();
});

describe("state recovery", () => {
  it("a new group: begins at 0 with the initial membership", async () => {
    const { applied: found, imageIndex, isRebuilt } = await recover();
    expect(found).toEqual({ ...applied(0, 0), appendTimeMs: 0 });
    expect([imageIndex, isRebuilt]).toEqual([0, false]);
  });

  it("keyed state that fits the log: is used as it is", async () => {
    fill(8);
    await storeKeyed(applied(7, 2), "keyed");
    const { applied: found, isRebuilt } = await recover();
    expect([found.index, isRebuilt, machine.get("who")]).toEqual([7, false, "keyed"]);
  });

  it.each([
    ["ahead of the log", applied(9, 2)],
    ["of another term than the log", applied(6, 1)],
  ])("keyed state %s: is made again from the beginning without image", async (_, record) => {
    fill(8);
    await storeKeyed(record, "keyed");
    const { applied: found, isRebuilt } = await recover();
    expect([found.index, isRebuilt, machine.size]).toEqual([0, true, 0]);
    expect(log.lastIndex).toBe(8);
  });

  it("keyed state that contradicts the log: is made again from the image", async () => {
    fill(8);
    await storeImage(applied(4, 1), 1, false);
    await storeKeyed(applied(9, 2), "keyed");
    const { applied: found, imageIndex, isRebuilt } = await recover();
    expect([found.index, imageIndex, isRebuilt]).toEqual([4, 4, true]);
    expect([machine.get("who"), log.lastIndex]).toEqual(["image", 8]);
  });

  it("an unreadable applied record: counts as missing", async () => {
    fill(8);
    await storeImage(applied(4, 1), 1, false);
    await storeKeyed(applied(7, 2), "keyed");
    const value = Buffer.from("{}");
    await keyed.batch([{ type: "put", key: appliedKey(PREFIX), value }], { sync: true });
    expect((await recover()).applied.index).toBe(4);
  });

  it.each(["get", "range"] as const)(
    "damaged rows (%s): count as missing, and are made again from the image",
    async (operation) => {
      fill(8);
      await storeImage(applied(4, 1), 1, false);
      await storeKeyed(applied(7, 2), "keyed");
      keyed.inject({ operation, effect: { kind: "fail", as: "corrupt" } });
      const { applied: found, isRebuilt } = await recover();
      expect([found.index, isRebuilt, machine.get("who")]).toEqual([4, true, "image"]);
      expect([log.firstIndex, log.lastIndex, voided]).toEqual([1, 8, 0]);
      expect((await recover()).isRebuilt).toBe(false);
    },
  );

  it.each(["get", "range"] as const)(
    "damaged rows (%s) without image: are made again from the whole log",
    async (operation) => {
      fill(8);
      await storeKeyed(applied(7, 2), "keyed");
      keyed.inject({ operation, effect: { kind: "fail", as: "corrupt" } });
      const { applied: found, isRebuilt } = await recover();
      expect([found.index, isRebuilt, machine.size, log.lastIndex]).toEqual([0, true, 0, 8]);
    },
  );

  it("damaged rows while a received image was half installed: the log is emptied for it", async () => {
    fill(4);
    await storeKeyed(applied(4, 1), "keyed");
    await storeImage(applied(20, 3), 15, true);
    keyed.inject({ operation: "range", effect: { kind: "fail", as: "corrupt" } });
    const { applied: found } = await recover();
    expect([found.index, machine.get("who"), log.firstIndex, voided]).toEqual([20, "image", 15, 1]);
  });

  it("an unreadable image: counts as none, the state is used", async () => {
    fill(8);
    await storeImage(applied(4, 1), 1, false);
    await storeKeyed(applied(7, 2), "keyed");
    disk.inject({ operations: ["read"], path: ".image", effect: { kind: "fail", as: "io" } });
    const { applied: found, imageIndex, isRebuilt } = await recover();
    expect([found.index, imageIndex, isRebuilt, machine.get("who")]).toEqual([
      7,
      0,
      false,
      "keyed",
    ]);
  });

  it.each([
    ["own", false],
    ["received", true],
  ])(
    "an %s image that ends below the log: is no state to begin from, and the log is not emptied for it",
    async (_, isInstalled) => {
      await log.reset(15, 1, 14);
      log.append([setFrame(15, 1, 14, "k15")]);
      await storeImage(applied(10, 1), 1, isInstalled);
      await storeKeyed(applied(15, 1), "keyed");
      keyed.inject({ operation: "range", effect: { kind: "fail", as: "corrupt" } });
      const error = await recover().catch((caught: unknown) => caught);
      expect(isBrokerError(error, "LOG_CORRUPT")).toBe(true);
      expect([log.firstIndex, log.lastIndex, voided]).toEqual([15, 15, 0]);
    },
  );

  it("a store that fails: is an error, and nothing is made again", async () => {
    fill(8);
    await storeKeyed(applied(7, 2), "keyed");
    keyed.inject({ operation: "range", effect: { kind: "fail", as: "io" } });
    await expect(recover()).rejects.toMatchObject({ kind: "io" });
    expect((await recover()).applied.index).toBe(7);
  });

  it("a received image that was made durable before the crash: the log is emptied for it", async () => {
    fill(4);
    await storeKeyed(applied(4, 1), "keyed");
    await storeImage(applied(20, 3), 15, true);
    const { applied: found } = await recover();
    expect([found.index, machine.get("who")]).toEqual([20, "image"]);
    expect([log.firstIndex, log.lastIndex, log.firstPrevTerm]).toEqual([15, 14, 1]);
    expect(voided).toBe(1);
  });

  it("a received image below a log that holds its last entry: nothing is lost", async () => {
    fill(8);
    await storeKeyed(applied(4, 1), "keyed");
    await storeImage(applied(7, 2), 3, true);
    const { applied: found, isRebuilt } = await recover();
    expect([found.index, isRebuilt, log.lastIndex]).toEqual([4, false, 8]);
    expect(voided).toBe(0);
  });

  it("an installed image whose log still fills up: stays as it is", async () => {
    await log.reset(15, 1, 14);
    log.append([setFrame(15, 1, 14, "k15")]);
    await storeImage(applied(20, 3), 15, true);
    await storeKeyed(applied(20, 3), "keyed");
    const { applied: found, isRebuilt } = await recover();
    expect([found.index, isRebuilt, log.lastIndex]).toEqual([20, false, 15]);
  });

  it("a flip that ended between log and keyed state: is finished", async () => {
    await log.reset(15, 1, 14);
    await storeImage(applied(20, 3), 15, true);
    await storeKeyed(applied(14, 1), "keyed");
    const { applied: found } = await recover();
    expect([found.index, machine.get("who"), log.firstIndex]).toEqual([20, "image", 15]);
  });

  it("a log without beginning, without state and image: is damaged", async () => {
    await log.reset(15, 1, 14);
    const error = await recover().catch((caught: unknown) => caught);
    expect(isBrokerError(error, "LOG_CORRUPT")).toBe(true);
  });
});
