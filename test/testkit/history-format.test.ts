import { describe, expect, it } from "vitest";
import {
  checkHistory,
  decodeEvent,
  encodeEvent,
  encodeHistory,
  HISTORY_VERSION,
  History,
  type HistoryEvent,
  HistoryFormatError,
  headerOf,
  readHistory,
} from "../../src/testkit/index.ts";
import { LittleLog } from "./little-log.ts";
import { Story } from "./story.ts";

const PLACE = { topic: "t", partition: 0 };
const SUBSCRIBED = { subscription: "s", ...PLACE };
const CONSUMER = { subscription: "s", consumer: "c" };
const TOKEN = { ...CONSUMER, ...PLACE, leaderEpoch: 2, delivery: 7 };

/** One of each kind, with everything that is optional. */
const EVENTS: readonly HistoryEvent[] = [
  headerOf("run", { replicas: 5, allowedLogLines: [{ contains: "x", reason: "y" }] }),
  {
    type: "topic",
    atMs: 0.5,
    topic: "t",
    partitions: 1,
    replicas: 3,
    flush: "async",
    keepsAll: false,
  },
  {
    type: "send",
    atMs: 1,
    producer: "p",
    topic: "t",
    key: "k",
    value: "v\n\u2028ü",
    durability: "leader/async",
    partition: 0,
    idempotent: false,
    marker: "red",
  },
  {
    type: "ack",
    atMs: 2,
    value: "v",
    partition: 0,
    offset: 2 ** 53 - 1,
    leaderEpoch: 1,
    duplicate: true,
    node: 2,
  },
  { type: "fail", atMs: 3, value: "v", outcome: "unknown", reason: "DEADLINE" },
  { type: "read", atMs: 4, reader: "r", ...PLACE, offset: 1, leaderEpoch: 1, key: "k", value: "v" },
  {
    type: "poll",
    atMs: 5,
    beganMs: 4,
    reader: "r",
    ...PLACE,
    from: 0,
    next: 1,
    highWatermark: 1,
    records: [{ offset: 0, leaderEpoch: 1, value: "v" }],
  },
  { type: "seek", atMs: 6, reader: "r", ...PLACE, offset: 0 },
  { type: "scan", atMs: 7, beganMs: 6, reader: "r", ...PLACE, from: 0, to: 1 },
  {
    type: "bounds",
    atMs: 8,
    beganMs: 7,
    ...PLACE,
    leaderEpoch: 1,
    logStartOffset: 0,
    highWatermark: 1,
  },
  {
    type: "outcome",
    atMs: 9,
    value: "v",
    partition: 0,
    by: "position",
    outcome: "lost",
    offset: 1,
    leaderEpoch: 1,
  },
  { type: "fault", atMs: 10, name: "kill", phase: "bit", nodes: [1, 2], effect: "crash" },
  { type: "leader", atMs: 11, ...PLACE, node: 1, leaderEpoch: 2 },
  { type: "digest", atMs: 12, ...PLACE, node: 1, firstIndex: 1, lastIndex: 2, digest: "ab" },
  { type: "metadata", atMs: 13, node: 1, index: 4, subject: "topic t", state: "{}" },
  { type: "log", atMs: 14, node: 1, level: "error", message: "m" },
  { type: "exit", atMs: 15, node: 1, code: 1, signal: "SIGKILL" },
  { type: "sample", atMs: 16, node: 1, phase: "idle", values: { rssBytes: 1, fds: 2 } },
  {
    type: "settle",
    atMs: 17,
    subscription: "s",
    consumer: "c",
    ...PLACE,
    offset: 0,
    verdict: "nack",
  },
  { type: "cursor", atMs: 18, subscription: "s", ...PLACE, offset: 0 },
  {
    ...{ type: "cursor", atMs: 18, beganMs: 17, subscription: "s", ...PLACE, offset: 3 },
    ...{ leaderEpoch: 2, unsettled: [3, 1, 7, 2], isFinal: true },
  },
  {
    ...{ type: "subscription", atMs: 19, subscription: "s", mode: "keyed", topics: ["t"] },
    ...{ start: "declared", attemptsMax: 16, onFailure: "park", deadLetterTopic: "dlq/s" },
    ...{ ackDeadlineMs: 30_000, filter: { markers: ["red"] } },
  },
  { type: "consumer", atMs: 20, ...CONSUMER, phase: "started", reportsBegun: true },
  {
    ...{ type: "deliver", atMs: 21, ...TOKEN, isResumed: true },
    records: [{ offset: 3, value: "v", key: "k", handedOut: 2, failed: 1 }],
  },
  { type: "handler", atMs: 22, phase: "begin", ...TOKEN, ranges: [3, 1] },
  { type: "handler", atMs: 23, phase: "end", ...TOKEN, ranges: [3, 1], isOk: true },
  { type: "settlement", atMs: 24, number: 1, ...TOKEN, verdict: "reject", ranges: [3, 1] },
  {
    ...{ type: "settled", atMs: 25, consumer: "c", number: 1, outcome: "refused" },
    reason: "STALE_DELIVERY",
  },
  { type: "lost", atMs: 26, ...TOKEN, ranges: [3, 1], cause: "deadline" },
  { type: "reset", beganMs: 27, atMs: 28, subscription: "s", ...PLACE, offset: 0, outcome: "done" },
  { type: "pause", beganMs: 29, atMs: 30, subscription: "s", isPaused: true },
  { type: "unpark", beganMs: 31, atMs: 32, ...SUBSCRIBED, offset: 3, skipsMessage: true },
  {
    ...{ type: "dead", atMs: 33, ...SUBSCRIBED, offset: 3, value: "v" },
    ...{ deadTopic: "dlq/s", deadPartition: 0, deadOffset: 0, failed: 16 },
  },
];

describe("history format", () => {
  it("round trip: every kind of event comes back as it was", () => {
    const lines = [...encodeHistory(EVENTS)];
    expect(lines.every((line) => line.indexOf("\n") === line.length - 1)).toBe(true);
    expect([...readHistory(lines.map((line) => line.slice(0, -1)))]).toEqual(EVENTS);
  });

  it("round trip: a whole history is judged the same, and keeps its header", () => {
    const history = new History(headerOf("little", { replicas: 3 }));
    for (const event of new LittleLog(1).run(100).events.slice(1)) history.add(event);
    const loaded = History.fromJsonLines(history.toJsonLines());
    expect(loaded.header).toEqual(history.header);
    expect(loaded.events).toEqual(history.events);
  });

  it("header: put before events that bring none, not demanded when reading", () => {
    const [event] = EVENTS.slice(-1);
    const lines = [...encodeHistory(event === undefined ? [] : [event], "name")];
    expect(lines[0]).toBe(encodeEvent({ type: "history", version: HISTORY_VERSION, name: "name" }));
    expect([...encodeHistory([])]).toHaveLength(1);
    expect([...readHistory(lines.slice(1))]).toEqual([event]);
  });

  it("proof: event n of an anomaly stands in line n + 1", () => {
    const history = new History();
    for (const event of Story.of().acked("a", "b").final(["a"]).events.slice(1)) history.add(event);
    const lines = history.toJsonLines().split("\n");
    const [anomaly] = checkHistory(history.lines()).anomalies;
    const types = anomaly?.events.map((event) => decodeEvent(lines[event] ?? "").type);
    expect(types).toEqual(["send", "ack", "scan"]);
  });

  it("version 1: still read, and nothing is said about what it does not know", () => {
    const [header = "", ...lines] = [...encodeHistory(Story.of().acked("a").final(["a"]).events)];
    const old = [header.replace(`"version":${HISTORY_VERSION}`, '"version":1'), ...lines];
    const { anomalies, examined } = checkHistory(readHistory(old.map((line) => line.trim())));
    expect(anomalies).toEqual([]);
    expect(examined["lost-message"]).toBe(0);
    expect(examined["order-broken"]).toBe(0);
  });

  const REFUSED: readonly (readonly [string, string, RegExp])[] = [
    ["a line that was cut off", '{"type":"seek","atMs":', /not JSON/],
    ["no object", "[1]", /not an object/],
    ["no type", "{}", /unknown type/],
    [
      "a type of a later version",
      '{"type":"teleport","atMs":1}',
      /unknown type of event: teleport/,
    ],
    ["a later version", '{"type":"history","version":3,"name":""}', /version is 3/],
    ["unknown rules", '{"type":"history","version":1,"name":"","rules":{"magic":1}}', /rules/],
    [
      "rules of another kind",
      '{"type":"history","version":1,"name":"","rules":{"replicas":"3"}}',
      /rules/,
    ],
    [
      "a field that is missing",
      '{"type":"fail","atMs":1,"value":"v","outcome":"unknown"}',
      /reason/,
    ],
    [
      "an offset that is no whole number",
      '{"type":"seek","atMs":1,"reader":"r","topic":"t","partition":0,"offset":0.5}',
      /offset is 0.5/,
    ],
    [
      "an unknown class",
      '{"type":"send","atMs":1,"producer":"p","topic":"t","value":"v","durability":"most"}',
      /durability/,
    ],
    [
      "ranges that are no pairs",
      '{"type":"cursor","atMs":1,"subscription":"s","topic":"t","partition":0,"offset":0,"unsettled":[1]}',
      /unsettled/,
    ],
    ["a time that is none", '{"type":"exit","atMs":null,"node":1}', /atMs/],
  ];
  it.each(REFUSED)("refuses %s, and says where", (_, line, pattern) => {
    const good = encodeEvent(headerOf("")).trim();
    const read = (): HistoryEvent[] => [...readHistory([good, "", line])];
    expect(read).toThrow(HistoryFormatError);
    expect(read).toThrow(/^line 3: /);
    expect(read).toThrow(pattern);
  });
});
