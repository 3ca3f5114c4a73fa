// The other side of planted.test.ts: for each "legal when" a history that looks wrong and is not, because of the class of
// the send, the faults that happened, or the rules of the run. Nothing may be found.
import { describe, expect, it } from "vitest";
import { checkHistory, type HistoryEvent } from "../../src/testkit/index.ts";
import { Story } from "./story.ts";

const WEAK = { durability: "leader/async" } as const;
const FLUSHED = { durability: "leader/sync" } as const;
const ASYNC = { durability: "all/async" } as const;
const OTHER = { producer: "q" };

function pollOf(from: number, next: number, records: readonly [number, string][]): HistoryEvent {
  const place = { reader: "r", topic: "t", partition: 0 };
  const found = records.map(([offset, value]) => ({ offset, leaderEpoch: 1, value }));
  return { type: "poll", atMs: 9000, beganMs: 9000, ...place, from, next, records: found };
}

const LEGAL: readonly (readonly [string, Story])[] = [
  ["nothing happened", Story.of()],
  ["a clean run", Story.of().acked("a", "b").read("r", 0, "a").read("r", 1, "b").final(["a", "b"])],
  // A1
  [
    "A1: leader class, lost with its leader (a later epoch is known)",
    Story.of().send("a", WEAK).ack("a", 0).send("b", OTHER).ack("b", 0, 2).final(["b"]),
  ],
  [
    "A1: leader class, lost with its leader (a fault is known)",
    Story.of()
      .send("a", WEAK)
      .ack("a", 0)
      .fault("pause", "start", 1)
      .fault("pause", "stop", 1)
      .final([]),
  ],
  [
    "A1: leader/async does not survive a restart of its leader",
    Story.of().send("a", WEAK).ack("a", 0, 1, 2).fault("kill", "start", 2).leader(2, 2).final([]),
  ],
  [
    "A1: leader/sync, another one was elected in between",
    Story.of()
      .send("a", FLUSHED)
      .ack("a", 0, 1, 2)
      .fault("kill", "start", 2)
      .leader(1, 2)
      .leader(2, 3)
      .final([]),
  ],
  [
    "A1: leader/sync, the disk of its leader was lost",
    Story.of()
      .send("a", FLUSHED)
      .ack("a", 0, 1, 2)
      .fault("wipe", "start", 2)
      .leader(2, 2)
      .final([]),
  ],
  [
    "A1: all/async, power cut of a majority within the window",
    Story.of({}, "async")
      .send("a", ASYNC)
      .ack("a", 0)
      .wait(90)
      .fault("power cut", "start", 1)
      .fault("power cut", "start", 3)
      .final([]),
  ],
  [
    "A1: all/async that a reader saw, the same",
    Story.of({}, "async")
      .send("a", ASYNC)
      .ack("a", 0)
      .read("r", 0, "a")
      .fault("blackout", "start", 1, 2, 3)
      .final([]),
  ],
  [
    "A1: all/async, one power cut, where replicas that forgot vote like others",
    Story.of({ lazyVoters: true }, "async")
      .send("a", ASYNC)
      .ack("a", 0)
      .fault("power cut", "start", 1)
      .final([]),
  ],
  [
    "A1: all/sync, the disks of a majority were lost at once",
    Story.of().acked("a").fault("wipe", "start", 1).fault("wipe", "start", 2).final([]),
  ],
  [
    "A1: all/sync, somebody recovered a lost majority by force",
    Story.of().acked("a").fault("unsafe-recover", "start", 3).final([]),
  ],
  [
    "A1: acknowledged after the last read began",
    Story.of({ recoveryMsMax: 10_000 })
      .fault("kill", "start", 1)
      .fault("kill", "stop", 1)
      .final([])
      .acked("a"),
  ],
  ["A1: none was acknowledged", Story.of().send("a", { durability: "none" }).final([])],
  [
    "A1: the outcome is unknown, and it is not there",
    Story.of().send("a").fail("a", "unknown").final([]),
  ],
  [
    "A1: the outcome is unknown, and it is there",
    Story.of().send("a").fail("a", "unknown").final(["a"]),
  ],
  ["A1: it never ended", Story.of().send("a").final(["a"])],
  [
    "A1: retention took it",
    (() => {
      const story = Story.of().acked("a", "b").final(["b"], 1);
      const [declared] = story.events.splice(1, 1);
      if (declared?.type === "topic") story.events.splice(1, 0, { ...declared, keepsAll: false });
      return story;
    })(),
  ],
  // A2
  [
    "A2: the time to recover is not over",
    Story.of({ recoveryMsMax: 30_000 })
      .fault("kill", "start", 1)
      .fault("kill", "stop", 1)
      .acked("a", "b")
      .read("r", 0, "a"),
  ],
  // A3
  [
    "A3: neither sequence nor message id",
    Story.of().send("a", { idempotent: false }).ack("a", 1).final(["a", "a"]),
  ],
  [
    "A3: lost by a blackout and stored again, elsewhere",
    Story.of({}, "async")
      .send("x", { ...OTHER, ...ASYNC })
      .ack("x", 0)
      .send("a", ASYNC)
      .read("r", 0, "x")
      .read("r", 1, "a")
      .fault("blackout", "start", 1, 2, 3)
      .wait(2000)
      .ack("a", 0, 2)
      .final(["a"]),
  ],
  // A5
  [
    "A5: the tail was lost by a blackout and written anew",
    Story.of({}, "async")
      .send("a", ASYNC)
      .ack("a", 0)
      .read("r", 0, "a")
      .fault("blackout", "start", 1, 2, 3)
      .fault("blackout", "stop", 1, 2, 3)
      .wait(2000)
      .send("b", ASYNC)
      .ack("b", 0, 2)
      .read("r", 0, "b", 2)
      .final(["b"]),
  ],
  [
    "A5: weak receipts of two leaders name one place",
    Story.of()
      .send("a", WEAK)
      .ack("a", 0, 1)
      .send("b", { ...WEAK, ...OTHER })
      .ack("b", 0, 2)
      .final(["b"]),
  ],
  [
    "receipts: a weak one is overtaken by a copy that was under way",
    Story.of().send("a", WEAK).ack("a", 4, 1).send("b").ack("b", 1, 2).final(["a", "b"]),
  ],
  // A10, A11
  [
    "A10: after a seek",
    Story.of().acked("a", "b").read("r", 0, "a").seek("r", 0).read("r", 0, "a").final(["a", "b"]),
  ],
  [
    "A11: after a seek (retention overtook the reader)",
    Story.of()
      .acked("a", "b", "c")
      .read("r", 0, "a")
      .seek("r", 2)
      .read("r", 2, "c")
      .final(["a", "b", "c"]),
  ],
  [
    "A11: offsets that hold no record",
    Story.of({ denseOffsets: false })
      .acked("a")
      .send("b")
      .ack("b", 2)
      .tell(
        pollOf(0, 3, [
          [0, "a"],
          [2, "b"],
        ]),
      )
      .read("final", 0, "a")
      .read("final", 2, "b"),
  ],
  // A13
  [
    "A13: without idempotence",
    Story.of()
      .send("a", { idempotent: false })
      .send("b", { idempotent: false })
      .ack("b", 0)
      .ack("a", 1)
      .final(["b", "a"]),
  ],
  [
    "A13: sends of two classes are two orders",
    Story.of().send("a").send("b", WEAK).ack("b", 0).ack("a", 1).final(["b", "a"]),
  ],
  [
    "A13: two producers",
    Story.of().send("a").send("b", OTHER).ack("b", 0).ack("a", 1).final(["b", "a"]),
  ],
  [
    "A13: weak receipts of two leaders",
    Story.of().send("a", WEAK).ack("a", 5, 1).send("b", WEAK).ack("b", 0, 2).final(["b"]),
  ],
  // A15
  [
    "A15: within the lease",
    Story.of({ staleReadMsMax: 4000 }).acked("a").wait(3000).poll("r", 0, []).final(["a"]),
  ],
  [
    "A15: what was acknowledged weakly need not be visible",
    Story.of().send("a", WEAK).ack("a", 0).wait(9000).poll("r", 0, []).final(["a"]),
  ],
  [
    "A15: an answer with records need not reach the end",
    Story.of()
      .acked("a", "b")
      .wait(9000)
      .poll("r", 0, [[0, "a"]])
      .final(["a", "b"]),
  ],
  // A16
  [
    "A16: a late answer of an older epoch to what was sent before",
    Story.of().send("a").send("b", OTHER).ack("b", 1, 2).ack("a", 0, 1).final(["a", "b"]),
  ],
  [
    "A16: a deposed leader answers for itself alone",
    Story.of()
      .send("a", OTHER)
      .ack("a", 0, 2)
      .send("b", WEAK)
      .ack("b", 0, 1)
      .fault("partition", "start", 1)
      .final(["a"]),
  ],
  // A19
  [
    "A19: without a majority",
    Story.of()
      .acked("a")
      .fault("kill", "start", 1, 2)
      .send("b", { partition: 0 })
      .wait(60_000)
      .fail("b", "unknown")
      .fault("kill", "stop", 1, 2)
      .wait(2000)
      .final(["a"]),
  ],
  ["A19: nobody sends", Story.of().acked("a").wait(90_000).final(["a"])],
  [
    "A19: refused for its own fault",
    Story.of()
      .acked("a")
      .send("b", { partition: 0 })
      .wait(31_000)
      .fail("b", "not-applied", "RECORD_TOO_LARGE")
      .final(["a"]),
  ],
  [
    "A19: leaders change",
    Story.of()
      .leader(0, 1)
      .wait(3000)
      .leader(2, 2)
      .wait(60_000)
      .leader(0, 2)
      .wait(2000)
      .leader(1, 3),
  ],
  // A25
  [
    "A25: a leader class record is not there any more",
    Story.of().send("a", WEAK).ack("a", 0, 1).fault("kill", "start", 1).bounds(0, 2).final([]),
  ],
  [
    "A25: asked before the acknowledgement came",
    Story.of().send("a").bounds(0).ack("a", 0).final(["a"]),
  ],
  // A26 to A29
  ["A26: other ranges", Story.of().digest(1, "x", 9).digest(2, "y", 10)],
  ["A27: another index", Story.of().metadata(1, 7, "t", "x").metadata(2, 8, "t", "y")],
  [
    "A28: an expected line",
    Story.of({
      allowedLogLines: [{ contains: "fsync failed", reason: "the disk is broken on purpose" }],
    })
      .log(1, "error", "fsync failed: EIO")
      .log(1, "warn", "slow"),
  ],
  [
    "A28: killed by the test",
    Story.of().fault("kill", "start", 2).exit(2, 137).fault("kill", "stop", 2),
  ],
  [
    "A29: everything is given back, within a fifth",
    Story.of()
      .sample("baseline", { rssBytes: 100e6, fds: 40 })
      .sample("load", { rssBytes: 400e6, fds: 400 })
      .sample("idle", { rssBytes: 119e6, fds: 48 }),
  ],
  // I28
  [
    "I28: lost with its leader, and so it says",
    Story.of()
      .send("a", WEAK)
      .ack("a", 0)
      .fault("kill", "start", 1)
      .outcome("a", "lost", 0)
      .final([]),
  ],
  [
    "I28: lost at that place, but an earlier copy survives",
    Story.of()
      .send("a", WEAK)
      .ack("a", 3, 2)
      .fault("kill", "start", 1)
      .outcome("a", "lost", 3, 2)
      .read("r", 0, "a", 1)
      .final(["a"]),
  ],
  [
    "I28: committed, then taken by a blackout",
    Story.of({}, "async")
      .send("a", ASYNC)
      .fail("a", "unknown")
      .outcome("a", "committed", 0)
      .fault("blackout", "start", 1, 2, 3)
      .final([]),
  ],
  [
    "I28: unknown says nothing",
    Story.of().send("a").fail("a", "unknown").outcome("a", "unknown", 0).final([]),
  ],
];

describe("checker: legal histories", () => {
  it.each(LEGAL)("accepts %s", (_, { events }) => {
    expect(checkHistory(events).anomalies).toEqual([]);
  });

  it("examined: says where a history proves nothing", () => {
    const { examined } = checkHistory(Story.of().acked("a").final(["a"]).events);
    expect(examined["lost-acknowledged-write"]).toBeGreaterThan(0);
    expect(examined["replica-divergence"]).toBe(0);
    expect(examined["wrong-outcome"]).toBe(0);
  });
});
