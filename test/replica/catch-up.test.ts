// What it costs a node when many of its groups' followers, or its own state machines, catch up from disk at once.
import { afterEach, expect, it } from "vitest";
import type { Cancel, Clock } from "../../src/base/clock.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { READS_BEHIND_MAX } from "../../src/model/limits.ts";
import type { Replica } from "../../src/replica/replica.ts";
import { setDraft } from "../support/ledger-machine.ts";
import { ReplicaCluster } from "../support/replica-cluster.ts";

const GROUPS = 60;
const BEHIND = 3 as NodeId;
let cluster: ReplicaCluster;

afterEach(() => {
  cluster.checkFailures();
});

/** Makes reads slow and counts those that are under way. */
class SlowReads implements Clock {
  readonly #clock: Clock;
  running = 0;
  most = 0;
  total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }
  wallMs(): number {
    return this.#clock.wallMs();
  }
  defer(run: () => void): void {
    this.#clock.defer(run);
  }
  schedule(delayMs: number, run: () => void): Cancel {
    this.running += 1;
    this.total += 1;
    this.most = Math.max(this.most, this.running);
    return this.#clock.schedule(delayMs, () => {
      this.running -= 1;
      run();
    });
  }
}

function slowReads(nodeId: NodeId): SlowReads {
  const { clock, disk } = cluster.node(nodeId);
  const slow = new SlowReads(clock);
  const effect = { kind: "slow", ms: 100, clock: slow } as const;
  disk.inject({ operations: ["read"], times: Number.POSITIVE_INFINITY, effect });
  return slow;
}

function leaders(): Replica[] {
  return cluster.live().flatMap(({ set }) => set.all().filter((one) => one.isLeaderReady));
}

/** All groups have entries that left memory and that one node does not have. That node is down. */
async function leaveBehind(): Promise<void> {
  cluster = new ReplicaCluster({ groups: GROUPS, tailBytesMax: 1000 });
  await cluster.start();
  await cluster.crash(BEHIND, "process");
  await cluster.clock.runUntil(() => leaders().length === GROUPS, 30_000);
  const replies = leaders().flatMap((replica) =>
    [1, 2, 3].map((n) => replica.proposeAndApply(setDraft(`k${n}`, "v", 2000))),
  );
  await cluster.clock.until(Promise.all(replies));
}

function hasCaughtUp(): boolean {
  const behind = cluster.node(BEHIND).set.all();
  return leaders().every((leader) => {
    const follower = behind.find(({ groupId }) => groupId === leader.groupId);
    return follower?.watermarks.appliedIndex === leader.watermarks.commitIndex;
  });
}

/** It hears of all groups' leaders at the same time. */
async function comeBack(): Promise<void> {
  cluster.network.isolate(BEHIND, cluster.nodeIds);
  await cluster.restart(BEHIND);
  cluster.network.heal();
}

it("followers of many groups catch up: a node reads for some at a time, all are served", async () => {
  await leaveBehind();
  const reads = cluster.liveIds().map(slowReads);
  await comeBack();
  expect(await cluster.clock.runUntil(hasCaughtUp, 30_000)).toBe(true);
  for (const { most } of reads) {
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(READS_BEHIND_MAX);
  }
  for (const { set } of cluster.live()) expect(set.catchUpBytes).toBe(0);
});

it("many groups apply from disk after a start: some at a time", async () => {
  await leaveBehind();
  await comeBack();
  await cluster.clock.runUntil(hasCaughtUp, 30_000);
  await cluster.crash(BEHIND, "power");
  cluster.network.isolate(BEHIND, cluster.nodeIds);
  await cluster.restart(BEHIND);
  const reads = slowReads(BEHIND);
  cluster.network.heal();
  expect(hasCaughtUp()).toBe(false);
  expect(await cluster.clock.runUntil(hasCaughtUp, 30_000)).toBe(true);
  expect(reads.most).toBeGreaterThan(1);
  expect(reads.most).toBeLessThanOrEqual(READS_BEHIND_MAX);
});

it("while what is queued towards a node does not leave: nothing is read for it", async () => {
  await leaveBehind();
  const reads = cluster.liveIds().map(slowReads);
  cluster.network.hasRoom = (_from, to) => to !== BEHIND;
  await comeBack();
  await cluster.clock.run(5000);
  expect(reads.map(({ total }) => total)).toEqual([0, 0]);
  expect(hasCaughtUp()).toBe(false);
  cluster.network.hasRoom = () => true;
  expect(await cluster.clock.runUntil(hasCaughtUp, 30_000)).toBe(true);
});
