import { describe, expect, it } from "vitest";
import { conflictIn, type MixedShard, type PowerShard, readShards } from "./shard.ts";
import {
  againstIt,
  lackingIn,
  quantile,
  shortcomingsOf,
  slowKinds,
  sumKinds,
  sumMixed,
  sumPower,
} from "./totals.ts";

const KILLS = {
  made: 2,
  bit: 2,
  leaderLosses: 2,
  partitions: 3,
  failOverMs: [900, 1000, 1100],
  resumedMs: [10, 20],
  acknowledgedMin: 300,
};

const MIXED: MixedShard = {
  version: 1,
  type: "mixed",
  src: "aaa",
  chaos: "ccc",
  seed: 1,
  seconds: 600,
  sent: 110,
  acknowledged: 100,
  failed: 10,
  unknown: 4,
  read: 100,
  anomalies: {},
  problems: [],
  skipped: [],
  transport: "namespaces",
  minutes: 10,
  liveReads: 100,
  replicasCompared: 18,
  faults: { "kill leader": KILLS },
};

const POWER: PowerShard = {
  version: 1,
  type: "power-cuts",
  src: "aaa",
  chaos: "ccc",
  seed: 1,
  seconds: 60,
  sent: 100,
  acknowledged: 100,
  failed: 0,
  unknown: 0,
  read: 90,
  anomalies: {},
  problems: [],
  skipped: [],
  flush: "async",
  cuts: 5,
  lost: 10,
  cutsWithLoss: 2,
  oldestLostMs: 80,
  lostBytesMax: 1240,
};

describe("chaos evidence", () => {
  it("lines: shards are read back as they were written (both types)", () => {
    const lines = `${JSON.stringify(MIXED)}\n\n${JSON.stringify(POWER)}\n`;
    expect(readShards(lines, "file")).toEqual([MIXED, POWER]);
    expect(() => readShards("{}\n", "file")).toThrow("file:1 is no shard");
  });

  it("conflicts: shards of different sources, and the same run twice, are not added up", () => {
    const later = { ...MIXED, seed: 2 };
    expect(conflictIn([MIXED, later, POWER])).toBeUndefined();
    expect(conflictIn([MIXED, { ...later, src: "bbb" }])).toContain("different sources");
    expect(conflictIn([MIXED, MIXED])).toContain("twice");
  });

  it("sums: faults are added up by kind, times are kept one by one", () => {
    const totals = sumMixed([MIXED, { ...MIXED, faults: { "kill leader": KILLS, ring: KILLS } }]);
    expect(sumKinds(totals)).toEqual({ made: 6, bit: 6, kindsBit: 2, leaderLosses: 6 });
    expect(totals.faults["kill leader"]?.failOverMs).toHaveLength(6);
    expect(totals).toMatchObject({ minutes: 20, acknowledged: 200, failed: 20, unknown: 8 });
    const cuts = sumPower("async", [POWER, { ...POWER, oldestLostMs: 90 }]);
    expect(cuts).toMatchObject({ cuts: 10, lost: 20, oldestLostMs: 90, lostBytesMax: 1240 });
  });

  it("demands: what is missing is said, and is gone when there is enough", () => {
    const totals = sumMixed([MIXED]);
    expect(shortcomingsOf(totals)).toHaveLength(5);
    const kinds = Array.from({ length: 20 }, (_, at): [string, typeof KILLS] => [
      `kind ${at}`,
      { ...KILLS, bit: 10, leaderLosses: 5 },
    ]);
    const faults = Object.fromEntries(kinds);
    const enough = { ...totals, minutes: 60, acknowledged: 2_000_000, faults };
    expect(shortcomingsOf(enough)).toEqual([]);
  });

  it("completeness: shards of every type, and enough of each", () => {
    const kinds = Array.from({ length: 20 }, (_, at): [string, typeof KILLS] => [
      `kind ${at}`,
      { ...KILLS, bit: 10, leaderLosses: 5 },
    ]);
    const faults = Object.fromEntries(kinds);
    const mixed = { ...MIXED, minutes: 60, acknowledged: 2_000_000, faults };
    const async: PowerShard = { ...POWER, cuts: 200 };
    const sync: PowerShard = { ...async, flush: "sync", lost: 0, cutsWithLoss: 0 };
    expect(lackingIn([mixed, sync, async])).toEqual([]);
    expect(lackingIn([mixed, async])).toEqual(["0 power cuts of 200 in all/sync"]);
    expect(lackingIn([mixed, sync])).toEqual(["0 power cuts of 200 in all/async"]);
    expect(lackingIn([mixed, sync, { ...async, cutsWithLoss: 0 }])).toHaveLength(1);
    expect(lackingIn([sync, async])).toHaveLength(5);
    expect(lackingIn([{ ...mixed, minutes: 59 }, sync, async])).toHaveLength(1);
  });

  it("against the source: problems of runs, and anomalies also without them", () => {
    expect(againstIt(sumMixed([MIXED]))).toEqual([]);
    const bad = { ...MIXED, anomalies: { phantom: 2 }, problems: ["broke off"] };
    expect(againstIt(sumMixed([bad]))).toEqual(["seed 1: broke off", "2 phantom"]);
  });

  it("bounds: a kind whose p99 is above its bound is named; others have none", () => {
    const slow = { ...KILLS, failOverMs: [100, 3500] };
    const totals = sumMixed([
      { ...MIXED, faults: { "kill leader": slow, "rolling restart": slow } },
    ]);
    expect(slowKinds(totals)).toEqual([
      "kill leader: next acknowledged write after 3500 ms (p99), at most 3000 ms allowed",
    ]);
    expect(slowKinds(sumMixed([MIXED]))).toEqual([]);
  });

  it("quantiles: nearest rank (empty: 0)", () => {
    const values = Array.from({ length: 100 }, (_, at) => at + 1);
    expect([0.5, 0.99, 1].map((share) => quantile(values, share))).toEqual([50, 99, 100]);
    expect(quantile([], 0.5)).toBe(0);
  });
});
