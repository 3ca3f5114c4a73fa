import { describe, expect, it } from "vitest";
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import {
  FlushScheduler,
  type FlushTarget,
  LAZY_FLUSH_BYTES,
  LAZY_FLUSH_MS,
} from "../../src/replica/flush-scheduler.ts";
import { noReplicaMetrics } from "../../src/replica/replica-metrics.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";

/** A log whose syncs end when the test says so. */
class ManualTarget implements FlushTarget {
  readonly syncs: Deferred<void>[] = [];

  flush(): Promise<void> {
    const sync = deferred<void>();
    this.syncs.push(sync);
    return sync.promise;
  }
}

function setUp(): { clock: VirtualClock; scheduler: FlushScheduler; errors: unknown[] } {
  const clock = new VirtualClock();
  const errors: unknown[] = [];
  const scheduler = new FlushScheduler(clock.root, noReplicaMetrics, (error) => errors.push(error));
  return { clock, scheduler, errors };
}

describe("flush scheduler", () => {
  it("rounds: what arrives while one is in flight is the next one", async () => {
    const { scheduler } = setUp();
    const [first, second] = [new ManualTarget(), new ManualTarget()];
    scheduler.markUrgent(first);
    scheduler.start();
    scheduler.markUrgent(first);
    scheduler.markUrgent(second);
    scheduler.start();
    expect([first.syncs.length, second.syncs.length]).toEqual([1, 0]);
    first.syncs[0]?.resolve();
    await settle();
    expect([first.syncs.length, second.syncs.length]).toEqual([2, 1]);
  });

  it("rounds: take all dirty targets, eight at a time, and the slowest holds up no other's sync", async () => {
    const { scheduler } = setUp();
    const targets = Array.from({ length: 20 }, () => new ManualTarget());
    for (const target of targets) scheduler.markUrgent(target);
    scheduler.start();
    const begun = (): number => targets.filter((target) => target.syncs.length > 0).length;
    expect(begun()).toBe(8);
    for (const target of targets.slice(1)) {
      target.syncs[0]?.resolve();
      await settle();
    }
    expect(begun()).toBe(20);
    expect(targets[0]?.syncs.length).toBe(1);
  });

  it("lazy targets: their window is the promised one, 100 ms or 256 KiB", () => {
    expect([LAZY_FLUSH_MS, LAZY_FLUSH_BYTES]).toEqual([100, 256 * 1024]);
  });

  it("lazy targets: join a round after their time", async () => {
    const { clock, scheduler } = setUp();
    const target = new ManualTarget();
    scheduler.markLazy(target, 10);
    await clock.run(LAZY_FLUSH_MS - 1);
    expect(target.syncs.length).toBe(0);
    await clock.run(2);
    expect(target.syncs.length).toBe(1);
  });

  it("lazy targets: each has its own time, and a later one is not forgotten", async () => {
    const { clock, scheduler } = setUp();
    const [early, late] = [new ManualTarget(), new ManualTarget()];
    scheduler.markLazy(early, 10);
    await clock.run(60);
    scheduler.markLazy(late, 10);
    await clock.run(50);
    early.syncs[0]?.resolve();
    expect([early.syncs.length, late.syncs.length]).toEqual([1, 0]);
    await clock.run(60);
    expect(late.syncs.length).toBe(1);
  });

  it("lazy targets: become urgent with their bytes", () => {
    const { scheduler } = setUp();
    const target = new ManualTarget();
    scheduler.markLazy(target, LAZY_FLUSH_BYTES - 1);
    scheduler.start();
    expect(target.syncs.length).toBe(0);
    scheduler.markLazy(target, 1);
    scheduler.start();
    expect(target.syncs.length).toBe(1);
  });

  it("an error: is reported once and nothing is synced afterwards", async () => {
    const { scheduler, errors } = setUp();
    const [broken, other] = [new ManualTarget(), new ManualTarget()];
    scheduler.markUrgent(broken);
    scheduler.start();
    scheduler.markUrgent(other);
    broken.syncs[0]?.reject(new Error("EIO"));
    await settle();
    scheduler.markUrgent(broken);
    scheduler.start();
    expect(errors).toEqual([new Error("EIO")]);
    expect([broken.syncs.length, other.syncs.length]).toEqual([1, 0]);
  });
});
