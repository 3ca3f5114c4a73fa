import { describe, expect, it } from "vitest";
import { conflictIn, type DeliveryShard, readShards, shardOf } from "./shard.ts";
import { confirmedShare, problemsOf, ROWS, shortcomingsOf, sumMode } from "./totals.ts";

const SHARD: DeliveryShard = {
  version: 1,
  type: "delivery",
  src: "aaa",
  tests: "ttt",
  mode: "keyed",
  seed: 1,
  beganMs: 1000,
  seconds: 60,
  leaderKills: 10,
  leaderBites: 10,
  tookOverMs: [900, 1100],
  consumerKills: 10,
  consumerBites: 8,
  sent: 50_000,
  acknowledged: 50_000,
  delivered: 51_000,
  confirmed: 50_000,
  confirmedDuring: 48_000,
  refused: 12,
  deadLetters: 25,
  examined: { "order-broken": 51_000 },
  anomalies: {},
  problems: [],
};
const LATER = { ...SHARD, beganMs: 2000 };

describe("delivery evidence", () => {
  it("lines: shards are read back as they were written", () => {
    const lines = `${JSON.stringify(SHARD)}\n\n${JSON.stringify(LATER)}\n`;
    expect(readShards(lines, "file")).toEqual([SHARD, LATER]);
    expect(() => readShards(`${JSON.stringify(SHARD)}\n{}\n`, "file")).toThrow(
      "file:2 is no shard",
    );
  });

  it("conflicts: shards of different sources, and the same run twice, are not added up", () => {
    expect(conflictIn([SHARD, LATER, { ...SHARD, mode: "fifo" }])).toBeUndefined();
    expect(conflictIn([SHARD, { ...LATER, src: "bbb" }])).toContain("different sources");
    expect(conflictIn([SHARD, { ...LATER, tests: "uuu" }])).toBeUndefined();
    expect(conflictIn([SHARD, SHARD])).toContain("twice");
  });

  it("sums: by mode, with times one by one", () => {
    const totals = sumMode("keyed", [SHARD, LATER, { ...SHARD, mode: "fifo" }]);
    expect(totals).toMatchObject({ shards: 2, leaderBites: 20, acknowledged: 100_000 });
    expect(totals.tookOverMs).toEqual([900, 1100, 900, 1100]);
    expect(confirmedShare(totals)).toBe(0.96);
    expect(ROWS.map(([, cell]) => cell(totals))).toHaveLength(ROWS.length);
  });

  it("demands: what is missing is said, and is gone when there is enough", () => {
    expect(shortcomingsOf(sumMode("keyed", [SHARD]))).toHaveLength(3);
    expect(shortcomingsOf(sumMode("keyed", [SHARD, LATER]))).toEqual([]);
    expect(shortcomingsOf(sumMode("fifo", [SHARD]))).toHaveLength(4);
  });

  it("against the source: anomalies, problems, and too little that was confirmed during the faults", () => {
    expect(problemsOf(sumMode("keyed", [SHARD]))).toEqual([]);
    expect(problemsOf(sumMode("fifo", []))).toEqual([]);
    const bad = { ...SHARD, anomalies: { "lost-message": 2 }, problems: ["odd"] };
    expect(problemsOf(sumMode("keyed", [bad, { ...LATER, confirmedDuring: 1 }]))).toEqual([
      "keyed: seed 1: odd",
      "keyed: 2 lost-message",
      "keyed: 48 % were confirmed during the faults",
    ]);
  });

  it("a run that broke off: says so, and proves nothing", () => {
    const run = {
      mode: "fifo",
      seed: 3,
      beganMs: 5.4,
      seconds: 6.6,
      problems: ["broke off"],
    } as const;
    const shard = shardOf({ src: "aaa", tests: "ttt" }, run, undefined);
    expect(readShards(JSON.stringify(shard), "file")).toEqual([shard]);
    expect(shard).toMatchObject({ seconds: 7, leaderKills: 0, problems: ["broke off"] });
  });
});
