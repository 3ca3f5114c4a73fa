import { describe, expect, it } from "vitest";
import { checkHistory } from "../../src/testkit/checker.ts";
import { History, type HistoryEvent, type SendInvoked } from "../../src/testkit/history.ts";
import { headerOf } from "../../src/testkit/history-format.ts";

const options = {
  finalReader: "final",
  mustSurvive: new Set(["all/sync"] as const),
};

function send(value: string, key?: string): HistoryEvent {
  return sendOf(value, key);
}
function sendOf(value: string, key?: string): SendInvoked {
  return {
    type: "send",
    atMs: 0,
    producer: "p",
    topic: "t",
    key,
    value,
    durability: "all/sync",
  };
}
function ack(value: string, offset: number): HistoryEvent {
  return { type: "ack", atMs: 0, value, partition: 0, offset, leaderEpoch: 1, duplicate: false };
}
function fail(value: string, outcome: "not-applied" | "unknown"): HistoryEvent {
  return { type: "fail", atMs: 0, value, outcome, reason: "OVERLOADED" };
}
function read(value: string, offset: number, reader = "final", key?: string): HistoryEvent {
  return {
    type: "read",
    atMs: 0,
    reader,
    topic: "t",
    partition: 0,
    offset,
    leaderEpoch: 1,
    key,
    value,
  };
}

const good = [send("a"), ack("a", 0), send("b"), ack("b", 1), read("a", 0), read("b", 1)];

describe("checker: planted histories", () => {
  const planted: readonly [string, readonly HistoryEvent[]][] = [
    ["lost-acknowledged-write", [send("a"), ack("a", 0)]],
    ["duplicate-in-log", [send("a"), ack("a", 0), read("a", 0), read("a", 1)]],
    ["offset-divergence", [send("a"), send("b"), read("a", 0, "early"), read("b", 0)]],
    ["aborted-read", [send("a"), fail("a", "not-applied"), read("a", 0)]],
    ["phantom", [read("ghost", 0)]],
    ["phantom", [send("a", "key"), read("a", 0, "final", "other key")]],
    ["non-monotonic-read", [...good, read("b", 1)]],
    ["skipped-offset", [send("a"), send("b"), read("a", 0), read("b", 2)]],
    [
      "send-reorder",
      [
        send("a", "k"),
        ack("a", 1),
        send("b", "k"),
        ack("b", 0),
        read("b", 0, "final", "k"),
        read("a", 1, "final", "k"),
      ],
    ],
    ["receipt-mismatch", [send("a"), ack("a", 5), read("a", 0)]],
    ["duplicate-value-sent", [send("a"), send("a")]],
  ];
  it.each(planted)("checker: finds %s", (kind, events) => {
    const found = checkHistory(events, options).anomalies.map((anomaly) => anomaly.kind);
    expect(found).toContain(kind);
  });
});

describe("checker: legal histories", () => {
  it("checker: accepts a clean run", () => {
    const report = checkHistory(good, options);
    expect(report.anomalies).toEqual([]);
    expect(report).toMatchObject({ sent: 2, acknowledged: 2, failed: 0, unknown: 0, read: 2 });
  });
  it("checker: a send of unknown outcome may or may not be there", () => {
    expect(checkHistory([send("a"), fail("a", "unknown")], options).anomalies).toEqual([]);
    const events = [send("a"), fail("a", "unknown"), read("a", 0)];
    expect(checkHistory(events, options).anomalies).toEqual([]);
  });
  it("checker: a weaker class may be lost when it is not listed", () => {
    const weak: HistoryEvent = { ...sendOf("a"), durability: "leader/async" };
    expect(checkHistory([weak, ack("a", 0)], options).anomalies).toEqual([]);
  });
  it("history: survives being saved and loaded", () => {
    const history = new History();
    for (const event of good) history.add(event);
    expect(History.fromJsonLines(history.toJsonLines()).events).toEqual(good);
  });
});

describe("checker: report", () => {
  it("describes the first of a kind and counts all", () => {
    const events = ["a", "b", "c"].flatMap((value, offset) => [send(value), ack(value, offset)]);
    const rules = { describedMax: 2 };
    const { anomalies, counts } = checkHistory(events, { ...options, rules });
    expect(anomalies.map(({ value }) => value)).toEqual(["a", "b"]);
    expect(counts).toEqual({ "lost-acknowledged-write": 3 });
  });
  it("rules: those of the call count more than those of the header", () => {
    const line: HistoryEvent = { type: "log", atMs: 1, node: 1, level: "error", message: "boom" };
    const allowedLogLines = [{ contains: "boom", reason: "planted" }];
    const events = [headerOf("run", { allowedLogLines }), line];
    expect(checkHistory(events).counts).toEqual({});
    const strict = { rules: { allowedLogLines: [] } };
    expect(checkHistory(events, strict).counts).toEqual({ "dirty-log": 1 });
  });
  it("classes that must survive replace what the faults say", () => {
    const cut: HistoryEvent = {
      type: "fault",
      atMs: 1,
      name: "blackout",
      phase: "start",
      nodes: [],
    };
    const weak: HistoryEvent[] = [{ ...sendOf("a"), durability: "all/async" }, ack("a", 0), cut];
    expect(checkHistory(weak, { finalReader: "final" }).counts).toEqual({});
    const mustSurvive = new Set(["all/async"] as const);
    const report = checkHistory(weak, { finalReader: "final", mustSurvive });
    expect(report.counts).toEqual({ "lost-acknowledged-write": 1 });
  });
});
