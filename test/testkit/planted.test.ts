// For each anomaly a tiny history in which it is planted: it must be found, nothing else may be, and the events that are
// named as its proof must be those that were planted.
import { describe, expect, it } from "vitest";
import { type AnomalyKind, CATALOGUE, checkHistory } from "../../src/testkit/index.ts";
import { PLANTED_DELIVERIES } from "./planted-deliveries.ts";
import { Story } from "./story.ts";

const WEAK = { durability: "leader/async" } as const;
const ASYNC = { durability: "all/async" } as const;
const OTHER = { producer: "q" };

/** Kind, how it shows, the history, and the types of the events that prove it. */
const PLANTED: readonly (readonly [AnomalyKind, string, Story, readonly string[]])[] = [
  [
    "lost-acknowledged-write",
    "in the middle of the log another record stands",
    Story.of().send("a").ack("a", 0).send("b", OTHER).fail("b", "unknown").final(["b"]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "the log ends before it",
    Story.of().acked("a", "b").final(["a"]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "power cut of a minority",
    Story.of({}, "async")
      .send("a", ASYNC)
      .ack("a", 0)
      .fault("power cut", "start", 1)
      .fault("power cut", "stop", 1)
      .final([]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "power cut of a majority, long after the window of an async topic",
    Story.of({ asyncWindowMs: 500 }, "async")
      .send("a", ASYNC)
      .ack("a", 0)
      .wait(600)
      .fault("power cut", "start", 1, 2)
      .final([]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "kill of everything",
    Story.of({}, "async").send("a", ASYNC).ack("a", 0).fault("kill", "start", 1, 2, 3).final([]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "acknowledged by a leader that nothing happened to",
    Story.of().send("a", WEAK).ack("a", 0).final([]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "flushed by a leader that came back before anybody else was elected",
    Story.of()
      .send("a", { durability: "leader/sync" })
      .ack("a", 0, 1, 2)
      .fault("kill", "start", 2)
      .leader(2, 2)
      .final([]),
    ["send", "ack", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "visible to a reader, never acknowledged, gone",
    Story.of().send("a").fail("a", "unknown").read("r", 0, "a").final([]),
    ["send", "fail", "read", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "weakly acknowledged, then visible, then gone with its leader",
    Story.of()
      .send("a", WEAK)
      .ack("a", 0)
      .read("r", 0, "a")
      .fault("kill", "start", 1)
      .leader(2, 2)
      .final([]),
    ["send", "ack", "read", "scan"],
  ],
  [
    "lost-acknowledged-write",
    "passed over by whoever read (no complete read)",
    Story.of({ denseOffsets: false }).acked("a", "b", "c").read("r", 0, "a").read("r", 2, "c"),
    ["send", "ack"],
  ],
  [
    "unseen-tail",
    "nobody read that far",
    Story.of().acked("a", "b").read("r", 0, "a"),
    ["send", "ack"],
  ],
  ["duplicate-in-log", "in one pass", Story.of().acked("a").final(["a", "a"]), ["read", "read"]],
  [
    "offset-divergence",
    "two readers",
    Story.of().send("x", OTHER).fail("x", "unknown").acked("a").read("early", 0, "x").final(["a"]),
    ["read", "read"],
  ],
  [
    "offset-divergence",
    "two receipts, which nobody has read yet",
    Story.of({ recoveryMsMax: 10_000 })
      .send("a")
      .ack("a", 0)
      .send("b", OTHER)
      .ack("b", 0)
      .fault("pause", "start", 1),
    ["send", "ack", "send", "ack"],
  ],
  [
    "receipt-mismatch",
    "it is elsewhere",
    Story.of().send("x", OTHER).fail("x", "unknown").send("a").ack("a", 5).final(["x", "a"]),
    ["send", "ack", "read"],
  ],
  [
    "aborted-read",
    "a refused send is visible",
    Story.of().send("a").fail("a", "not-applied", "NOT_LEADER").final(["a"]),
    ["send", "fail", "read"],
  ],
  ["phantom", "nobody sent it", Story.of().final(["ghost"]), ["read"]],
  [
    "phantom",
    "it has another key",
    Story.of().send("a", { key: "k" }).ack("a", 0).final(["a"]),
    ["send", "ack", "read"],
  ],
  [
    "phantom",
    "it was sent to another partition",
    Story.of().send("a", { partition: 3 }).ack("a", 0).final(["a"]),
    ["send", "ack", "read"],
  ],
  [
    "non-monotonic-read",
    "one reader reads a record again",
    Story.of()
      .acked("a", "b")
      .read("r", 0, "a")
      .read("r", 1, "b")
      .read("r", 0, "a")
      .final(["a", "b"]),
    ["read", "read"],
  ],
  [
    "skipped-offset",
    "between two answers",
    Story.of()
      .acked("a", "b", "c")
      .poll("r", 0, [[0, "a"]])
      .poll("r", 1, [[2, "c"]])
      .final(["a", "b", "c"]),
    ["poll", "poll"],
  ],
  [
    "skipped-offset",
    "an empty answer moves the reader on",
    Story.of()
      .acked("a", "b")
      .tell({
        type: "poll",
        atMs: 2000,
        beganMs: 2000,
        reader: "r",
        topic: "t",
        partition: 0,
        from: 0,
        next: 2,
        highWatermark: 2,
        records: [],
      })
      .final(["a", "b"]),
    ["poll"],
  ],
  [
    "disordered-response",
    "inside one answer",
    Story.of()
      .acked("a", "b", "c")
      .poll("r", 0, [
        [0, "a"],
        [2, "c"],
      ])
      .final(["a", "b", "c"]),
    ["poll"],
  ],
  [
    "disordered-response",
    "one answer goes back",
    Story.of()
      .acked("a", "b")
      .poll("r", 0, [
        [0, "a"],
        [1, "b"],
        [1, "b"],
      ])
      .final(["a", "b"]),
    ["poll"],
  ],
  [
    "send-reorder",
    "by receipts and in the log",
    Story.of().send("a").send("b").ack("b", 0).ack("a", 1).final(["b", "a"]),
    ["send", "send", "ack", "ack"],
  ],
  [
    "send-reorder",
    "weak receipts of one epoch",
    Story.of().send("a", WEAK).send("b", WEAK).ack("b", 0).ack("a", 1).final(["b", "a"]),
    ["send", "send", "ack", "ack"],
  ],
  [
    "stale-read",
    "an empty answer, long after the acknowledgement",
    Story.of({ staleReadMsMax: 4000 }).acked("a").wait(4100).poll("r", 0, []).final(["a"]),
    ["send", "ack", "poll"],
  ],
  [
    "stale-read",
    "bounds have no lease: an older epoch tells its end at once",
    Story.of({ staleReadMsMax: 4000 }).send("a").ack("a", 0, 2).wait(1).bounds(0, 1).final(["a"]),
    ["send", "ack", "bounds"],
  ],
  [
    "stale-read",
    "a leader of an older epoch still tells its end",
    Story.of().send("a").ack("a", 0, 2).wait(4100).bounds(0, 1).final(["a"]),
    ["send", "ack", "bounds"],
  ],
  [
    "two-leaders",
    "an older epoch acknowledges what was sent after a later one had",
    Story.of().send("a", OTHER).ack("a", 0, 2).send("b").ack("b", 1, 1).final(["a", "b"]),
    ["ack", "send", "ack"],
  ],
  [
    "two-leaders",
    "two nodes in one epoch",
    Story.of().leader(1, 4).leader(2, 4).final([]),
    ["leader", "leader"],
  ],
  [
    "two-leaders",
    "two nodes acknowledge in one epoch",
    Story.of().send("a").ack("a", 0, 4, 1).send("b").ack("b", 1, 4, 2).final(["a", "b"]),
    ["ack", "ack"],
  ],
  [
    "stuck-partition",
    "sends wait, and only a minority was disturbed",
    Story.of()
      .acked("a")
      .fault("kill", "start", 1)
      .send("b", { partition: 0 })
      .wait(31_000)
      .fail("b", "unknown")
      .final(["a"]),
    ["send", "fail"],
  ],
  [
    "stuck-partition",
    "after everything has healed",
    Story.of()
      .acked("a")
      .fault("partition", "start", 1, 2)
      .send("b", { partition: 0 })
      .wait(5000)
      .fault("partition", "stop", 1, 2)
      .wait(31_000)
      .ack("b", 1, 2)
      .final(["a", "b"]),
    ["send", "ack"],
  ],
  [
    "stuck-partition",
    "many short sends in vain, by their key",
    Array.from({ length: 20 }, (_, at) => `v${at}`)
      .reduce(
        (story, value) =>
          story.send(value, { key: "k" }).wait(2000).fail(value, "not-applied", "LEADER_UNKNOWN"),
        Story.of().send("a", { key: "k" }).ack("a", 0),
      )
      .fault("transfer", "start", 1),
    ["send", "fail"],
  ],
  [
    "stuck-partition",
    "nobody leads",
    Story.of().leader(0, 3).wait(31_000).leader(1, 4),
    ["leader"],
  ],
  [
    "truncated-after-recovery",
    "a later leader does not show what was acknowledged",
    Story.of().acked("a", "b").fault("kill", "start", 1).bounds(1, 2).final(["a", "b"]),
    ["send", "ack", "bounds"],
  ],
  [
    "replica-divergence",
    "bytes differ",
    Story.of().digest(1, "x").digest(2, "y"),
    ["digest", "digest"],
  ],
  [
    "metadata-split",
    "one index, two states",
    Story.of().metadata(1, 7, "topic t", "3 partitions").metadata(2, 7, "topic t", "4 partitions"),
    ["metadata", "metadata"],
  ],
  ["dirty-log", "an error line", Story.of().log(1, "error", "assertion failed"), ["log"]],
  ["dirty-log", "a process ends by itself", Story.of().exit(2, 1), ["exit"]],
  [
    "resource-leak",
    "file handles",
    Story.of()
      .sample("baseline", { fds: 40 })
      .sample("load", { fds: 400 })
      .sample("idle", { fds: 90 }),
    ["sample", "sample"],
  ],
  [
    "resource-leak",
    "memory",
    Story.of()
      .sample("baseline", { rssBytes: 100e6 })
      .sample("idle", { rssBytes: 200e6 })
      .sample("idle", { rssBytes: 180e6 }),
    ["sample", "sample"],
  ],
  [
    "wrong-outcome",
    "lost, and read later",
    Story.of()
      .send("a", WEAK)
      .ack("a", 0)
      .fault("kill", "start", 1)
      .outcome("a", "lost", 0)
      .final(["a"]),
    ["send", "ack", "outcome", "read"],
  ],
  [
    "wrong-outcome",
    "lost, though a majority had it on disk (the log is not read)",
    Story.of().send("a").ack("a", 0).outcome("a", "lost", 0).fault("pause", "start", 1),
    ["send", "ack", "outcome"],
  ],
  [
    "wrong-outcome",
    "committed, and absent",
    Story.of().send("a").fail("a", "unknown").outcome("a", "committed", 0).final([]),
    ["send", "fail", "outcome", "scan"],
  ],
  [
    "wrong-outcome",
    "committed, then lost",
    Story.of().send("a").fail("a", "unknown").outcome("a", "committed", 0).outcome("a", "lost", 0),
    ["send", "fail", "outcome", "outcome"],
  ],
  [
    "duplicate-value-sent",
    "twice",
    Story.of().send("a").send("a").ack("a", 0).final(["a"]),
    ["send", "send", "ack"],
  ],
  ["unmatched-end", "never sent", Story.of().ack("a", 0), ["ack"]],
  [
    "unmatched-end",
    "ended twice",
    Story.of().send("a").ack("a", 0).fail("a", "unknown").final(["a"]),
    ["send", "ack", "fail"],
  ],
];

describe("checker: planted anomalies", () => {
  it.each(PLANTED)("finds %s: %s", (kind, _, { events }, proof) => {
    const { anomalies, counts } = checkHistory(events);
    expect(counts).toEqual({ [kind]: 1 });
    const [anomaly] = anomalies;
    expect(anomaly?.id).toBe(CATALOGUE[kind].id);
    expect(anomaly?.detail).not.toBe("");
    expect(anomaly?.events.map((event) => events[event]?.type)).toEqual(proof);
  });

  it("catalogue: every kind is planted at least once", () => {
    const planted = new Set(PLANTED.map(([kind]) => kind));
    for (const { kind } of PLANTED_DELIVERIES) planted.add(kind);
    expect(Object.keys(CATALOGUE).filter((kind) => !planted.has(kind as AnomalyKind))).toEqual([]);
  });
});
