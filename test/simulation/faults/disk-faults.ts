// Faults of disks: slow, hanging, full, failing, wrong. Those after which the product gives a directory up end with an
// empty disk that joins the cluster anew, as docs/OPERATIONS.md tells operators; there is only one such node at a time.
import { isBrokerError } from "../../../src/model/errors.ts";
import type { GroupId } from "../../../src/model/ids.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { isWhole } from "../health.ts";
import type { SimBroker } from "../sim-broker.ts";
import { type Fault, type FaultContext, isRunning, pickVictim } from "./fault.ts";

/** From a read to what follows from it, virtual ms. */
const JUDGED_MS = 1000;
const SLOW = { syncMsMin: 20, syncMsMax: 400 } as const;
const HUNG = { syncMsMin: 1500, syncMsMax: 6000 } as const;
const PAGE_BYTES = 4096;
const FREE_BYTES_MAX = 128 * 1024;
const REPAIR_LIMIT_MS = 6000;
const DETECT_MS_MAX = 400;
const REPAIR_CHECK_MS = 500;
const READ_BYTES = 1024 * 1024;
const SEGMENT = /^groups\/(\d+)-\d+\/(\d+)\.seg$/;

export const slowDisk: Fault = (context) => slow(context, SLOW);
/** Syncs take seconds. */
export const hungDisk: Fault = (context) => slow(context, HUNG);

/** Little or nothing is left: records are refused, or a write fails and the broker ends. */
export const fullDisk: Fault = (context) => {
  const { cluster, random } = context;
  const broker = pickVictim(context, (candidate) => isRunning(candidate) && isWell(candidate));
  if (broker === undefined) return false;
  const before = broker.storage.lowSpaceSeen;
  context.begin([broker]);
  broker.excuse = { reason: "disk full", remedy: "restart" };
  broker.storage.setFreeBytes(random.integer(0, FREE_BYTES_MAX));
  context.lasting(() => {
    broker.storage.setFreeBytes(undefined);
    if (broker.isAiling || broker.storage.lowSpaceSeen > before) context.bit();
    cluster.remedy(broker);
  });
  return true;
};

/** What was not flushed may be gone although it can be read: the broker ends, its directory is not used again. */
export const fsyncError: Fault = (context) => {
  const { cluster } = context;
  whenWhole(context, isRunning, (broker) => {
    broker.excuse = { reason: "fsync error", remedy: "replace" };
    const fault = broker.storage.inject({
      operations: ["sync"],
      effect: { kind: "fail", as: "io" },
    });
    context.lasting(() => {
      if (fault.hits > 0) context.bit();
      fault.lift();
      cluster.remedy(broker);
    });
  });
  return true;
};

/** A read brings a wrong bit once: what the checksum shows is never served. */
export const bitFlip: Fault = (context) => {
  const { cluster, random } = context;
  const broker = pickVictim(context, (candidate) => isRunning(candidate) && isWell(candidate));
  if (broker === undefined) return false;
  context.begin([broker]);
  broker.excuse = { reason: "bit flip", remedy: "restart" };
  const fault = broker.storage.inject({
    operations: ["read"],
    path: "groups/",
    effect: { kind: "flip", random },
  });
  context.lasting(() => {
    if (fault.hits > 0) context.bit();
    fault.lift();
    // What was read meanwhile may be judged a little later.
    cluster.world.schedule(JUDGED_MS, () => {
      if (broker.excuse?.reason === "bit flip") cluster.remedy(broker);
    });
  });
  return true;
};

/** A sealed segment is wrong at one bit. */
export const rottenSegment: Fault = (context) =>
  damage(context, (bytes, at) => {
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << context.random.integer(0, 8)), at);
  });

/** A page of a sealed segment holds what belonged somewhere else. */
export const misdirectedWrite: Fault = (context) =>
  damage(context, (bytes, at) => {
    const to = at - (at % PAGE_BYTES);
    const pages = Math.floor(bytes.length / PAGE_BYTES);
    const from = context.random.integer(0, Math.max(1, pages)) * PAGE_BYTES;
    if (from === to) bytes.fill(0, to, Math.min(bytes.length, to + PAGE_BYTES));
    else bytes.copy(bytes, to, from, from + PAGE_BYTES);
  });

/** The disk is gone with all that is on it. */
export const lostDisk: Fault = (context) => {
  const { cluster } = context;
  whenWhole(
    context,
    ({ host }) => host.isUp,
    (broker) => {
      if (broker.isServing) context.bit();
      broker.kill({ kind: "process" });
      broker.excuse = { reason: "lost disk", remedy: "replace" };
      broker.isAiling = true;
      context.lasting(() => cluster.remedy(broker));
    },
  );
  return true;
};

function slow(context: FaultContext, timing: SimBroker["storage"]["timing"]): boolean {
  const { cluster } = context;
  const broker = pickVictim(context, ({ storage }) => storage.timing === cluster.diskTiming);
  if (broker === undefined) return false;
  const { storage } = broker;
  const before = storage.syncs;
  context.begin([broker]);
  storage.timing = timing;
  context.lasting(() => {
    storage.timing = cluster.diskTiming;
    if (storage.syncs > before) context.bit();
  });
  return true;
}

/**
 * Changes one sealed segment of a node. It is found when somebody reads there, at a start that has to look at the segment, or
 * by the scrub; then the replica repairs itself. Only where a log can not be opened the operator replaces the disk.
 */
function damage(context: FaultContext, change: (bytes: Buffer, at: number) => void): boolean {
  const { cluster, random } = context;
  whenWhole(context, isRunning, (broker) => {
    const path = sealedSegmentOf(broker, random.integer(0, 2 ** 31));
    if (path === undefined) return;
    cluster.line(`damages ${path} on n${broker.nodeId}`);
    broker.excuse = { reason: "damage", remedy: "replace" };
    broker.storage.raw.damage(path, (bytes) => {
      change(bytes, random.integer(0, bytes.length));
    });
    const foundBefore = damageFound(context);
    const isAtStart = random.next() < 0.5;
    const afterMs = random.next() * DETECT_MS_MAX;
    cluster.world.schedule(afterMs, () => {
      if (broker.excuse?.reason !== "damage" || !broker.host.isUp) return;
      if (isAtStart) startWithoutIndex(broker, path);
      else read(context, broker, path);
    });
    context.lasting(() => {
      if (broker.isAiling || damageFound(context) > foundBefore) context.bit();
      untilRepaired(context, broker, path);
    });
  });
  return true;
}

function damageFound({ cluster }: FaultContext): number {
  return cluster.counters.get("damaged_ranges_found") ?? 0;
}

/** What nobody met so far is looked for; the broker is excused until nothing of it is left. */
function untilRepaired(context: FaultContext, broker: SimBroker, path: string): void {
  const { cluster } = context;
  if (broker.excuse?.reason !== "damage" || broker.isAiling) {
    cluster.remedy(broker);
    return;
  }
  const replica = replicaOf(broker, path);
  const isThere = replica !== undefined && broker.isServing;
  if (isThere) {
    cluster.run(broker.host, "scrub", async () => {
      await replica.scrub(Number(SEGMENT.exec(path)?.[2]), () => Promise.resolve());
      if (replica.damagedEntries > 0) context.bit();
      else cluster.remedy(broker);
    });
  }
  cluster.world.schedule(REPAIR_CHECK_MS, () => {
    if (broker.excuse?.reason === "damage") untilRepaired(context, broker, path);
  });
}

function replicaOf(broker: SimBroker, path: string): Replica | undefined {
  return broker.node?.replicas.get(Number(SEGMENT.exec(path)?.[1]) as GroupId);
}

/** Index files are a cache: without one the whole segment is looked at. */
function startWithoutIndex(broker: SimBroker, path: string): void {
  broker.kill({ kind: "process" });
  const index = path.replace(/seg$/, "idx");
  if (broker.storage.raw.exists(index)) broker.storage.raw.remove(index);
  broker.boot();
}

/** As a reader or a follower that is behind would; what is served must be what was written. */
function read({ cluster }: FaultContext, broker: SimBroker, path: string): void {
  const replica = replicaOf(broker, path);
  if (replica === undefined) return;
  cluster.run(broker.host, "read", async () => {
    try {
      const frames = await replica.read(Number(SEGMENT.exec(path)?.[2]), READ_BYTES);
      for (const frame of frames) cluster.invariants.served(replica, frame);
    } catch (error) {
      if (!isBrokerError(error)) throw error;
    }
  });
}

function sealedSegmentOf({ storage }: SimBroker, dice: number): string | undefined {
  const disk = storage.raw;
  const sealed = disk.list("groups").flatMap((directory) => {
    const names = disk.list(`groups/${directory}`).filter((name) => name.endsWith(".seg"));
    return names.slice(0, -1).map((name) => `groups/${directory}/${name}`);
  });
  return sealed[dice % Math.max(1, sealed.length)];
}

/** Waits until no other disk is being replaced and everybody has everything. */
function whenWhole(
  context: FaultContext,
  suits: (broker: SimBroker) => boolean,
  then: (broker: SimBroker) => void,
): void {
  const { cluster } = context;
  context.when(
    () => isWhole(cluster),
    REPAIR_LIMIT_MS,
    () => {
      const broker = pickVictim(context, (candidate) => suits(candidate) && isWell(candidate));
      if (broker === undefined) return;
      context.begin([broker]);
      then(broker);
    },
  );
}

function isWell({ excuse, isAiling }: SimBroker): boolean {
  return excuse === undefined && !isAiling;
}
