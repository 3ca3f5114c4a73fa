import { beforeEach, describe, expect, it } from "vitest";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { openHardStateJournal } from "../../src/log/hard-state-journal.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { HardStateRecord } from "../../src/log/ports.ts";
import type { GroupId, ReplicaId } from "../../src/model/ids.ts";
import { FlushScheduler } from "../../src/replica/flush-scheduler.ts";
import { JournalFlusher } from "../../src/replica/journal-flusher.ts";
import { noReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const RECORD: HardStateRecord = {
  groupId: 1 as GroupId,
  replicaId: 1 as ReplicaId,
  term: 1,
  vote: 0,
  recovering: false,
  lazy: false,
  durableCommitIndex: 0,
  unrecovered: false,
  removed: false,
};
const FAILURE = new Error("the node failed");

let clock: VirtualClock;
let disk: FaultDisk;
let scheduler: FlushScheduler;
let flusher: JournalFlusher;

/** How a save ends: what it rejects with, or "durable". */
function outcome(): Promise<unknown> {
  return flusher.saveDurably(RECORD).then(
    () => "durable",
    (error: unknown) => error,
  );
}

beforeEach(async () => {
  clock = new VirtualClock();
  disk = new FaultDisk(new MemoryDisk());
  scheduler = new FlushScheduler(clock.root, noReplicaMetrics, () => undefined);
  const journal = await openHardStateJournal(disk, { bootId: "boot" });
  flusher = new JournalFlusher(journal, scheduler, clock.root, noReplicaMetrics);
});

describe("journal flusher", () => {
  it("saveDurably: ends when the record is on disk", async () => {
    expect(await clock.until(outcome())).toBe("durable");
  });

  it("saveDurably after the node failed: is rejected, with why it failed", async () => {
    scheduler.stop();
    flusher.fail(FAILURE);
    flusher.fail(new Error("a later one"));
    expect(await clock.until(outcome())).toBe(FAILURE);
  });

  it("saves that wait when the node fails: are rejected", async () => {
    disk.inject({ operations: ["sync"], effect: { kind: "slow", ms: 10, clock: clock.root } });
    const first = outcome();
    await clock.run(1);
    const second = outcome();
    scheduler.stop();
    flusher.fail(FAILURE);
    expect(await clock.until(second)).toBe(FAILURE);
    // Its sync was under way, and ends well.
    expect(await clock.until(first)).toBe("durable");
  });

  it("a save whose sync fails after the node has: is rejected", async () => {
    disk.inject({ operations: ["sync"], effect: { kind: "slow", ms: 10, clock: clock.root } });
    const waiting = outcome();
    await clock.run(1);
    scheduler.stop();
    flusher.fail(FAILURE);
    disk.inject({ operations: ["append"], effect: { kind: "fail", as: "io" } });
    expect(await clock.until(waiting)).toBe(FAILURE);
  });
});
