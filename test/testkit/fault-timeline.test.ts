import { describe, expect, it } from "vitest";
import { effectOf } from "../../src/testkit/fault-effects.ts";
import { FaultTimeline } from "../../src/testkit/fault-timeline.ts";
import type { FaultEvent } from "../../src/testkit/index.ts";

const WINDOW_MS = 100;

function fault(
  atMs: number,
  name: string,
  phase: FaultEvent["phase"],
  ...nodes: readonly number[]
): FaultEvent {
  return { type: "fault", atMs, name, phase, nodes };
}

function timeline(...events: readonly FaultEvent[]): FaultTimeline {
  return new FaultTimeline(
    events.map((event, number) => ({ event, number })),
    WINDOW_MS,
  );
}

describe("fault effects", () => {
  it.each([
    ["power cut", "power"],
    ["blackout", "power"],
    ["double cut", "power"],
    ["one-way cut", "cut"],
    ["partition", "cut"],
    ["kill", "crash"],
    ["bounce", "crash"],
    ["pause", "pause"],
    ["transfer", "blip"],
    ["clock skew", "blip"],
    ["slow disk", "slow"],
    ["full disk", "disk"],
    ["rolling restart", "restart"],
    ["unsafe-recover", "unsafe"],
    ["gremlins", "other"],
  ])("%s: %s", (name, effect) => {
    expect(effectOf(fault(0, name, "start"))).toBe(effect);
  });

  it("what the history says counts more than the name", () => {
    expect(effectOf({ ...fault(0, "kill", "start"), effect: "power" })).toBe("power");
  });
});

describe("fault timeline: power", () => {
  it("a node may lose what it was given within the window before", () => {
    const faults = timeline(fault(1000, "power cut", "start", 1));
    expect(faults.nodesThatForgot(950, 960)).toBe(1);
    expect(faults.nodesThatForgot(800, 890)).toBe(0);
    expect(faults.nodesThatForgot(1001, 1002)).toBe(0);
    expect(faults.nodesThatForgot(950, 960, 999)).toBe(0);
  });

  it("nodes count once, wherever in the window each was cut", () => {
    const faults = timeline(
      fault(1000, "power cut", "start", 1),
      fault(1020, "power cut", "bit", 1),
      fault(1050, "power cut", "start", 2),
    );
    expect(faults.nodesThatForgot(980, 990)).toBe(2);
    expect(faults.nodesThatForgot(900, 910)).toBe(1);
  });

  it("time in which the node was paused, slow or down does not count for it", () => {
    const faults = timeline(
      fault(500, "pause", "start", 1),
      fault(980, "pause", "stop", 1),
      fault(1000, "power cut", "start", 1, 2),
    );
    expect(faults.nodesThatForgot(480, 490)).toBe(1);
    expect(faults.nodesThatForgot(400, 410)).toBe(0);
  });

  it("a kill leaves the page cache as it is", () => {
    expect(timeline(fault(1000, "kill", "start", 1, 2, 3)).nodesThatForgot(990, 995)).toBe(0);
  });
});

describe("fault timeline: healthy times", () => {
  it("the longest time with fewer disturbed nodes than it takes", () => {
    const faults = timeline(
      fault(100, "kill", "start", 1),
      fault(200, "partition", "start", 2),
      fault(300, "kill", "stop", 1),
      fault(700, "partition", "stop", 2),
    );
    expect(faults.longestCalm(0, 1000, 2)).toBe(700);
    expect(faults.longestCalm(0, 1000, 1)).toBe(300);
    expect(faults.longestCalm(150, 250, 2)).toBe(50);
  });

  it("two faults of one node are one disturbed node", () => {
    const faults = timeline(
      fault(100, "kill", "start", 1),
      fault(200, "slow disk", "start", 1),
      fault(300, "kill", "stop", 1),
    );
    expect(faults.longestCalm(0, 1000, 2)).toBe(1000);
    expect(faults.longestCalm(0, 1000, 1)).toBe(100);
  });

  it("a fault without nodes concerns all, one without a stop lasts, a blip is over at once", () => {
    expect(timeline(fault(100, "latency", "start")).longestCalm(0, 1000, 2)).toBe(100);
    expect(timeline(fault(100, "transfer", "start", 1)).longestCalm(0, 1000, 1)).toBe(1000);
    expect(timeline(fault(100, "latency", "start")).lastMs).toBe(Number.POSITIVE_INFINITY);
    expect(timeline(fault(100, "transfer", "start", 1)).lastMs).toBe(100);
    expect(timeline().lastMs).toBe(Number.NEGATIVE_INFINITY);
  });

  it("a stop may name some of the nodes", () => {
    const faults = timeline(
      fault(100, "blackout", "start", 1, 2, 3),
      fault(200, "blackout", "stop", 1),
      fault(300, "blackout", "stop", 2),
    );
    expect(faults.longestCalm(0, 1000, 2)).toBe(700);
  });
});

describe("fault timeline: what voids everything", () => {
  it("disks count when so many are gone at once", () => {
    const faults = timeline(
      fault(100, "wipe", "start", 1),
      fault(200, "wipe", "stop", 1),
      fault(300, "wipe", "start", 2),
    );
    expect(faults.isVoidAfter(50, 1)).toBe(true);
    expect(faults.isVoidAfter(50, 2)).toBe(false);
    expect(faults.isVoidAfter(400, 1)).toBe(false);
    expect(faults.isVoidWithin(150, 250, 1)).toBe(false);
    expect(faults.isVoidWithin(150, 300, 1)).toBe(true);
    expect(faults.isVoidWithin(50, 400, 2)).toBe(false);
  });

  it("somebody gave the promises up", () => {
    const faults = timeline(fault(100, "unsafe-recover", "start", 1));
    expect(faults.isVoidAfter(50, 2)).toBe(true);
    expect(faults.isVoidAfter(101, 2)).toBe(false);
  });

  it("exits are ours from the start of a fault to a moment after its end", () => {
    const faults = timeline(fault(1000, "kill", "start", 1), fault(1100, "kill", "stop", 1));
    expect(faults.mayEnd(1, 1050)).toBe(true);
    expect(faults.mayEnd(1, 1500)).toBe(true);
    expect(faults.mayEnd(2, 1050)).toBe(false);
    expect(faults.mayEnd(1, 9000)).toBe(false);
  });
});

describe("pauses", () => {
  it("time in which some node stood still: overlaps count once, other faults do not", () => {
    const faults = timeline(
      fault(1000, "pause", "start", 1),
      fault(1500, "pause", "start", 2),
      fault(2000, "pause", "stop", 1),
      fault(3000, "pause", "stop", 2),
      fault(3500, "kill", "start", 3),
      fault(4000, "kill", "stop", 3),
      fault(5000, "pause", "start", 1),
    );
    expect(faults.pausedMs(0, 4500)).toBe(2000);
    expect(faults.pausedMs(1800, 2500)).toBe(700);
    expect(faults.pausedMs(3000, 5000)).toBe(0);
    expect(faults.pausedMs(0, 6000)).toBe(3000);
  });
});
