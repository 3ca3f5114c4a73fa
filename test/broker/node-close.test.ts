// What a broker's disks hold while it closes: the journal's word that the run ended cleanly makes the next start trust the
// keyed store, so it must not be there before the store is whole.
import { describe, expect, test } from "vitest";
import { BrokerNode } from "../../src/broker/node.ts";
import { formatDirectory } from "../../src/cluster/cluster-format.ts";
import { TOPIC_CREATION_DEFAULTS } from "../../src/cluster/topic-frontend.ts";
import { openHardStateJournal } from "../../src/log/hard-state-journal.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import { type KeyedStore, StorageError } from "../../src/log/ports.ts";
import { noPartitionMetrics } from "../../src/partition/partition-metrics.ts";
import { noReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { node, random } from "../cluster/support.ts";
import { silentLogger } from "../support/silent-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const ALL_SURVIVES = { ...random(), integer: (_: number, to: number) => to - 1 };
const NOTHING_UNSYNCED = { ...random(), integer: (from: number) => from };

/** A broker of a cluster of one that has recovered its directory; its keyed store asks before it closes. */
async function opened(beforeClose: () => void) {
  const clock = new VirtualClock();
  const disk = new MemoryDisk();
  const memory = new MemoryStore();
  const nodeId = node(1);
  const nodeFile = await formatDirectory(disk, {
    clusterId: "cluster",
    nodeId,
    nodeIds: [nodeId],
    joins: false,
    clock: clock.root,
    random: random(),
  });
  const keyed: KeyedStore = {
    batch: (writes, options) => memory.batch(writes, options),
    get: (key) => memory.get(key),
    range: (prefix) => memory.range(prefix),
    removeRange: (prefix) => memory.removeRange(prefix),
    close: async () => {
      beforeClose();
      await memory.close();
    },
  };
  const broker = await BrokerNode.open(
    {
      clock: clock.root,
      random: random(),
      disk,
      keyed,
      connector: {
        connect: () => {
          throw new Error("nobody is dialled");
        },
      },
      logger: silentLogger,
      metrics: noReplicaMetrics,
      partitionMetrics: noPartitionMetrics,
      onPeerDrop: () => undefined,
      bootId: "boot",
      onFatal: () => undefined,
    },
    {
      nodeFile,
      endpoints: { client: "", peer: "", admin: "" },
      peers: [],
      tickMs: 50,
      electionTicks: 20,
      heartbeatTicks: 3,
      diskReserveBytes: 0,
      produceInflightBytesMax: 1024 * 1024,
      parkedFetchesMax: 10,
      topicDefaults: TOPIC_CREATION_DEFAULTS,
      retentionIntervalMs: 10_000,
      trashRetentionMs: 60_000,
    },
  );
  return { broker, clock, disk, memory };
}

/** What the next start would be told. */
async function saysClean(disk: MemoryDisk): Promise<boolean> {
  const journal = await openHardStateJournal(disk, { bootId: "another boot", mustExist: true });
  return journal.wasClean;
}

describe("broker that closes", () => {
  test("loses power before the keyed store is closed: nothing on its disk calls the run clean", async () => {
    const found: MemoryDisk[] = [];
    const { broker, clock, disk } = await opened(() => found.push(disk.crash(ALL_SURVIVES)));
    await clock.until(broker.close().catch(() => undefined));
    expect(await Promise.all(found.map(saysClean))).toEqual([false]);
  });

  test("ends cleanly: all of the keyed store survives a loss of power", async () => {
    const { broker, clock, disk, memory } = await opened(() => undefined);
    const value = Buffer.from("derived");
    await memory.batch([{ type: "put", key: "g/1", value }], { sync: false });
    await clock.until(broker.close());
    const survivor = memory.crash(NOTHING_UNSYNCED);
    expect(await survivor.get("g/1")).toEqual(value);
    expect(await saysClean(disk.crash(NOTHING_UNSYNCED))).toBe(true);
  });

  test("can not close its keyed store: says so, and the run does not count as clean", async () => {
    const { broker, clock, disk } = await opened(() => {
      throw new StorageError("io", "keyed", "sync failed");
    });
    await expect(clock.until(broker.close())).rejects.toMatchObject({ path: "keyed" });
    expect(await saysClean(disk.crash(ALL_SURVIVES))).toBe(false);
  });
});
