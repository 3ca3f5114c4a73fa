// A redrive's pace and end, and the watch over its first messages, on fake answers.
import { describe, expect, it } from "vitest";
import { DeadLetterCanary } from "../../src/client/dead-letter-canary.ts";
import { DeadLetterRedrive, type RedriveCalls } from "../../src/client/dead-letter-redrive.ts";
import {
  DeadLetter,
  ListDeadLettersResponse,
  RedriveDeadLettersResponse,
  RedrivenMessage,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** Two partitions, full of open letters. */
class FakeLetters implements RedriveCalls {
  readonly topic = "dlq/mail";
  readonly partitions = [0, 1];
  readonly ends = [250, 10];
  readonly dead: DeadLetter[] = [];
  /** By offset in the redrive topic; absent: settled. */
  readonly fates = new Map<number, string>();
  readonly calls: { readonly partition: number; readonly from: number; readonly limit: number }[] =
    [];

  list: RedriveCalls["list"] = (partition, { fromOffset }) => {
    const highWatermark = (this.ends[partition] ?? 0) + (partition === 0 ? this.dead.length : 0);
    const letters = partition === 0 && fromOffset <= highWatermark ? this.dead : [];
    const nextOffset = highWatermark;
    return Promise.resolve(ListDeadLettersResponse.create({ letters, nextOffset, highWatermark }));
  };

  redrive: RedriveCalls["redrive"] = (partition, { dryRun, fromOffset, limit, toOffset }) => {
    this.calls.push({ partition, from: fromOffset, limit });
    const count = Math.min(limit, toOffset - fromOffset);
    const messages = Array.from({ length: dryRun ? 0 : count }, (_, at) =>
      RedrivenMessage.create({
        redriveOffset: fromOffset + at,
        originTopic: "orders",
        originPartition: partition,
        originOffset: fromOffset + at,
      }),
    );
    return Promise.resolve(
      RedriveDeadLettersResponse.create({
        lookedAt: count,
        matching: count,
        redriven: messages.length,
        nextOffset: fromOffset + count,
        toOffset,
        messages,
      }),
    );
  };

  fateOf: RedriveCalls["fateOf"] = (_partition, offset) =>
    Promise.resolve(this.fates.get(offset) ?? "settled");
}

describe("redrive", () => {
  it("all partitions, a hundred at a time, up to what was there when it began", async () => {
    const letters = new FakeLetters();
    const run = new DeadLetterRedrive(letters, new VirtualClock().root, {});
    await run.begin();
    letters.ends[0] = 900;
    const sent = await run.take(Number.POSITIVE_INFINITY);
    expect(sent).toHaveLength(260);
    expect(letters.calls.map(({ partition, from }) => [partition, from])).toEqual([
      [0, 0],
      [0, 100],
      [0, 200],
      [1, 0],
    ]);
    expect(run.report("done")).toMatchObject({ outcome: "done", redriven: 260, matching: 260 });
  });

  it("canaries first, then the rest: none is left out, none comes twice", async () => {
    const letters = new FakeLetters();
    const run = new DeadLetterRedrive(letters, new VirtualClock().root, {});
    await run.begin();
    expect(await run.take(3)).toHaveLength(3);
    expect(await run.take(Number.POSITIVE_INFINITY)).toHaveLength(257);
  });

  it("rate: so many per second, in steps; only counting is not slowed down", async () => {
    const clock = new VirtualClock();
    const letters = new FakeLetters();
    const run = new DeadLetterRedrive(letters, clock.root, { ratePerSecond: 20 });
    await run.begin();
    let sent: number | undefined;
    void run.take(100).then((messages) => {
      sent = messages.length;
    });
    await clock.run(2000);
    const soFar = run.report("running").redriven;
    expect(soFar).toBeGreaterThanOrEqual(40);
    expect(soFar).toBeLessThanOrEqual(50);
    expect(letters.calls[0]?.limit).toBe(5);
    await clock.run(3500);
    expect(sent).toBe(100);
    const dry = new DeadLetterRedrive(letters, clock.root, { ratePerSecond: 1, dryRun: true });
    await dry.begin();
    expect(await dry.take(Number.POSITIVE_INFINITY)).toEqual([]);
    expect(dry.report("dry-run")).toMatchObject({ matching: 260, redriven: 0 });
  });
});

describe("redrive: canaries", () => {
  const message = (redriveOffset: number) =>
    RedrivenMessage.create({ redriveOffset, originTopic: "orders", originOffset: redriveOffset });
  const SENT = [message(1), message(2), message(3)];
  const ENDS = new Map([[0, 250]]);

  it("all settled", async () => {
    const watch = new DeadLetterCanary(new FakeLetters(), new VirtualClock().root, ENDS);
    const verdict = await watch.wait(SENT, 1000, undefined);
    expect(verdict).toEqual({ sent: 3, settled: 3, died: 0, parked: 0, waiting: 0 });
    expect(await watch.wait([], 1000, undefined)).toMatchObject({ sent: 0, waiting: 0 });
  });

  it("one died again: settled, and found among the dead by its origin", async () => {
    const letters = new FakeLetters();
    letters.fates.set(3, "leased");
    letters.dead.push(DeadLetter.create({ offset: 250, originTopic: "orders", originOffset: 2 }));
    const watch = new DeadLetterCanary(letters, new VirtualClock().root, ENDS);
    const verdict = await watch.wait(SENT, 1000, undefined);
    expect(verdict).toEqual({ sent: 3, settled: 1, died: 1, parked: 0, waiting: 1 });
  });

  it("parked, and not settled in time", async () => {
    const clock = new VirtualClock();
    const letters = new FakeLetters();
    letters.fates.set(1, "parked");
    const watch = new DeadLetterCanary(letters, clock.root, ENDS);
    expect(await watch.wait(SENT, 1000, undefined)).toMatchObject({ parked: 1, waiting: 0 });
    letters.fates.set(1, "delayed");
    let verdict: object | undefined;
    void watch.wait(SENT, 1000, undefined).then((told) => {
      verdict = told;
    });
    await clock.run(900);
    expect(verdict).toBeUndefined();
    await clock.run(500);
    expect(verdict).toEqual({ sent: 3, settled: 2, died: 0, parked: 0, waiting: 1 });
  });
});
