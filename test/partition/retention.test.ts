import { describe, expect, test } from "vitest";
import type { SegmentInfo } from "../../src/log/ports.ts";
import { PartitionState } from "../../src/partition/partition-state.ts";
import { planLogStart } from "../../src/partition/retention-plan.ts";
import { RetentionRunner } from "../../src/partition/retention-runner.ts";
import type { StatePart } from "../../src/partition/state-part.ts";
import { makePartition, Outcome, producerBatch, request, VirtualClock } from "./fixture.ts";

/** Segments of 10 entries and 10 records, 100 bytes, the n-th written at n × 1000 ms; the last is active. */
function segments(count: number): SegmentInfo[] {
  return Array.from({ length: count }, (_, number) => ({
    firstIndex: number * 10 + 1,
    lastIndex: number * 10 + 10,
    endOffset: number * 10 + 10,
    bytes: 100,
    newestAppendTimeMs: number * 1000,
    sealed: number < count - 1,
  }));
}

describe("retention plan", () => {
  const base = {
    segments: segments(5),
    retentionMs: -1,
    retentionBytes: -1,
    nowMs: 10_000,
    durableIndex: 50,
    logStartIndex: 1,
    ackedOffset: undefined as number | undefined,
  };
  const cases: readonly (readonly [string, Partial<typeof base>, number | undefined])[] = [
    ["unlimited", {}, undefined],
    ["by age", { retentionMs: 8500 }, 21],
    ["by age, exactly", { retentionMs: 8000 }, 31],
    ["by age, nothing old", { retentionMs: 60_000 }, undefined],
    ["by age, everything old: the active segment stays", { retentionMs: 0 }, 41],
    ["by size", { retentionBytes: 250 }, 21],
    ["by size, exactly", { retentionBytes: 300 }, 21],
    ["by size, smaller than any segment", { retentionBytes: 0 }, 41],
    ["by size, larger than the log", { retentionBytes: 5000 }, undefined],
    ["both: whichever allows more", { retentionMs: 9500, retentionBytes: 200 }, 31],
    ["not beyond what is durable", { retentionMs: 0, durableIndex: 29 }, 21],
    ["what went before does not count", { retentionBytes: 250, logStartIndex: 11 }, 21],
    ["already there", { retentionBytes: 300, logStartIndex: 21 }, undefined],
    ["settled by all", { ackedOffset: 25 }, 21],
    ["settled by all, exactly", { ackedOffset: 30 }, 31],
    ["settled by all, everything: the active segment stays", { ackedOffset: 50 }, 41],
    ["settled by all, nothing", { ackedOffset: 0 }, undefined],
    ["settled by all, not beyond what is durable", { ackedOffset: 50, durableIndex: 29 }, 21],
    ["settled less than what is old: age decides", { ackedOffset: 10, retentionMs: 8500 }, 21],
    ["settled and surplus: whichever allows more", { ackedOffset: 30, retentionBytes: 400 }, 31],
    ["log start inside a segment", { retentionMs: 9500, logStartIndex: 5 }, 11],
    ["an empty log", { retentionMs: 0, segments: [] }, undefined],
  ];
  for (const [title, more, index] of cases) {
    test(title, () => {
      const expected = index === undefined ? undefined : { index, offset: index - 1 };
      const plan = planLogStart({ ...base, ...more });
      expect(plan && { index: plan.index, offset: plan.offset }).toEqual(expected);
    });
  }

  for (const [title, more, acked] of [
    ["by age alone", { retentionMs: 8500 }, false],
    ["by settlement alone", { ackedOffset: 30 }, true],
    ["one segment more by settlement", { ackedOffset: 30, retentionMs: 8500 }, true],
    ["settled, but old anyway", { ackedOffset: 20, retentionMs: 8500 }, false],
  ] as const) {
    test(`says when it rests on settlements (${title})`, () => {
      expect(planLogStart({ ...base, ...more })?.acked).toBe(acked);
    });
  }
});

function partWith(cursor: number | undefined): StatePart & { cursor: number | undefined } {
  return {
    cursor,
    commandTypes: new Set(),
    keyPrefix: "x/",
    check: () => undefined,
    apply: () => ({ outcome: "done" }),
    logStartMoved: () => undefined,
    restore: () => undefined,
    pairs: () => [],
    lowestCursor() {
      return this.cursor;
    },
  };
}

describe("retention runner", () => {
  function setUp(isClockTrusted = true): {
    clock: VirtualClock;
    fixture: ReturnType<typeof makePartition>;
    runner: RetentionRunner;
  } {
    const clock = new VirtualClock();
    const fixture = makePartition({ settings: { retentionMs: 1000 } });
    for (let sequence = 0; sequence < 30; sequence += 1) {
      fixture.partition.submit(request(producerBatch(2, sequence)), new Outcome());
    }
    fixture.replica.advance();
    fixture.replica.sealed = segments(3);
    const runner = new RetentionRunner(
      { clock, partitions: () => [fixture.partition], isClockTrusted: () => isClockTrusted },
      { intervalMs: 100 },
    );
    return { clock, fixture, runner };
  }

  test("the leader proposes, the log start moves when that is applied", async () => {
    const { clock, fixture, runner } = setUp();
    runner.start();
    await clock.advance(99);
    expect(fixture.replica.lastIndex).toBe(31);
    await clock.advance(1);
    expect(fixture.state.logStartIndex).toBe(1);
    // The command is not applied yet: the next round does not ask again.
    await clock.advance(100);
    expect(fixture.replica.lastIndex).toBe(32);
    fixture.replica.advance();
    await clock.advance(0);
    expect(fixture.state.logStartIndex).toBe(21);
    expect(fixture.state.logStartOffset).toBe(20);
    await runner.close();
  });

  test("idle producers are forgotten by a replicated command", async () => {
    const { clock, fixture, runner } = setUp();
    fixture.replica.sealed = [];
    runner.runOnce();
    await clock.turn();
    expect(fixture.state.producers.size).toBe(1);
    fixture.replica.advance();
    expect(fixture.state.producers.size).toBe(0);
    await clock.turn();
    await runner.close();
  });

  test("followers, and nodes whose clock is off, propose nothing", async () => {
    const wrong = setUp(false);
    wrong.runner.runOnce();
    const follower = setUp();
    follower.fixture.replica.stepDown();
    follower.runner.runOnce();
    for (const { clock, fixture } of [wrong, follower]) {
      await clock.turn();
      expect(fixture.replica.lastIndex).toBe(31);
    }
  });

  for (const [title, isAsked, isFullyAttached, cursor, logStart] of [
    ["settled by all", true, true, 25, 21],
    ["nobody is there", true, true, undefined, 1],
    ["somebody may be about to come", true, false, 25, 1],
    ["not asked for", false, true, 25, 1],
  ] as const) {
    test(`retention.acked: ${title}`, async () => {
      const clock = new VirtualClock();
      const settings = { retentionAcked: isAsked };
      const state = new PartitionState({ parts: [partWith(cursor)] });
      const fixture = makePartition({ settings, state });
      for (let sequence = 0; sequence < 30; sequence += 1) {
        fixture.partition.submit(request(producerBatch(2, sequence)), new Outcome());
      }
      fixture.replica.advance();
      fixture.replica.sealed = segments(4);
      const runner = new RetentionRunner({
        clock,
        partitions: () => [fixture.partition],
        isClockTrusted: () => false,
        isFullyAttached: () => isFullyAttached,
      });
      runner.runOnce();
      await clock.turn();
      fixture.replica.advance();
      expect(fixture.state.logStartIndex).toBe(logStart);
      await clock.turn();
      await runner.close();
    });
  }

  for (const [title, settings, cursor, logStart] of [
    ["a seek back that stands before it in the log: nothing is dropped", {}, 15, 1],
    ["nobody is there any more when it is applied: nothing is dropped", {}, undefined, 1],
    ["a seek within what is kept: goes on", {}, 21, 21],
    ["a seek back behind what is old: age decides", { retentionMs: 1000 }, 5, 31],
  ] as const) {
    test(`retention.acked: ${title}`, async () => {
      const clock = new VirtualClock();
      const part = partWith(25);
      const state = new PartitionState({ parts: [part] });
      const fixture = makePartition({ settings: { retentionAcked: true, ...settings }, state });
      for (let sequence = 0; sequence < 40; sequence += 1) {
        fixture.partition.submit(request(producerBatch(2, sequence)), new Outcome());
      }
      fixture.replica.advance();
      fixture.replica.sealed = segments(4);
      const partitions = (): [typeof fixture.partition] => [fixture.partition];
      const runner = new RetentionRunner({ clock, partitions, isFullyAttached: () => true });
      runner.runOnce();
      await clock.turn();
      part.cursor = cursor;
      fixture.replica.advance();
      await clock.turn();
      expect(fixture.state.logStartIndex).toBe(logStart);
      await runner.close();
    });
  }

  test("leadership lost in the middle of a round: the next round tries again", async () => {
    const { clock, fixture, runner } = setUp();
    runner.runOnce();
    await clock.turn();
    fixture.replica.stepDown(32);
    await clock.turn();
    fixture.replica.takeOver();
    runner.runOnce();
    await clock.turn();
    fixture.replica.advance();
    expect(fixture.state.logStartIndex).toBe(21);
    await clock.turn();
    await runner.close();
  });
});
