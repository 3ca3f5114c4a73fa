// One test per sentence of the safety argument in Ongaro and Ousterhout, "In Search of an Understandable Consensus
// Algorithm (extended version)", and of the thesis where the paper is silent. The titles paraphrase the sentences.
import { describe, expect, test } from "vitest";
import { Dialogue } from "./support/dialogue.ts";

/** Runs commands; the last one's output is returned. `expect` commands throw when they do not hold. */
function play(...commands: readonly string[]): string[] {
  return resume(new Dialogue(), ...commands);
}

function resume(dialogue: Dialogue, ...commands: readonly string[]): string[] {
  let output: string[] = [];
  for (const command of commands) output = dialogue.execute(command);
  return output;
}

const LEADER_OF_THREE = ["cluster 1 2 3", "campaign 1", "run quiet"] as const;

describe("§5.1 terms", () => {
  test("a server whose term is smaller takes over the larger one", () => {
    play("cluster 1 2 3", "inject heartbeat 2 1 term=7", "run quiet", "expect 1 term=7 leader=2");
  });

  test("a candidate or leader that finds its term out of date becomes a follower at once", () => {
    play(...LEADER_OF_THREE, "inject append-response 2 1 term=4", "expect 1 role=follower term=4");
    play(
      "cluster 1 2 3",
      "campaign 1",
      "inject heartbeat 2 1 term=9",
      "expect 1 role=follower term=9",
    );
  });

  test("a request with a stale term is rejected", () => {
    const group = new Dialogue();
    resume(group, "cluster 1 2 3", "hard 1 5");
    resume(group, "inject append-request 2 1 term=4 prev=0/0 entries=4", "take 1");
    resume(group, "expect 1 term=5 last=0", "expect-queue 1->2 append-response t5 refused");
  });
});

describe("§5.2 elections", () => {
  test("each server votes for at most one candidate in a term, first come, first served", () => {
    play(
      "cluster 1 2 3",
      "inject vote-request 2 1 term=3 last=0/0",
      "inject vote-request 3 1 term=3 last=0/0",
      "run quiet hold=vote-response",
      "expect-queue 1->2 vote-response t3 granted",
      "expect-queue 1->3 vote-response t3 refused",
      "expect 1 vote=2",
    );
  });

  test("the vote survives a restart (figure 2: persistent state)", () => {
    play(
      "cluster 1 2 3",
      "inject vote-request 2 1 term=3 last=0/0",
      "run quiet",
      "crash 1 power",
      "restart 1",
      "inject vote-request 3 1 term=3 last=5/5",
      "run quiet hold=vote-response",
      "expect-queue 1->3 vote-response t3 refused",
      "expect 1 vote=2 term=3",
    );
  });

  test("a vote is not given before it is on stable storage", () => {
    play(
      "cluster 1 2 3",
      "inject vote-request 2 1 term=3 last=0/0",
      "take 1",
      "expect-queue not vote-response",
      "hard-done 1",
      "take 1",
      "expect-queue 1->2 vote-response t3 granted",
    );
  });

  test("a candidate needs a majority of the full cluster: one of four others is not enough", () => {
    play(
      "cluster 1 2 3 4 5",
      "crash 4",
      "crash 5",
      "crash 3",
      "campaign 1",
      "run quiet",
      "expect 1 role=pre-candidate term=0",
    );
  });

  test("a candidate that hears a leader of its own term follows it", () => {
    play(
      "cluster 1 2 3",
      "campaign 1",
      "run quiet hold=vote-request",
      "deliver 1->2 vote-request",
      "take 2",
      "deliver 2->1 vote-response",
      "expect 1 role=candidate term=1",
      "inject append-request 3 1 term=1 prev=0/0 entries=1",
      "expect 1 role=follower leader=3 term=1",
    );
  });

  test("a candidate ignores a leader of an older term", () => {
    play(
      "cluster 1 2 3",
      "hard 1 4",
      "campaign 1",
      "inject heartbeat 3 1 term=2",
      "expect 1 role=pre-candidate term=4",
    );
  });

  test("election safety: two leaders of one term are impossible, and noticed if they were", () => {
    expect(() => play(...LEADER_OF_THREE, "inject heartbeat 2 1 term=1")).toThrow(
      "one leader per term",
    );
    expect(() => play(...LEADER_OF_THREE, "inject heartbeat 3 2 term=1")).toThrow(
      "one leader per term",
    );
  });
});

describe("§5.3 log replication", () => {
  test("leader append-only: a leader never overwrites or deletes entries of its own log", () => {
    play(
      "cluster 1 2 3",
      "log 1 1 1",
      "log 2 1",
      "log 3 1",
      "campaign 1",
      "run quiet",
      "expect 1 role=leader",
      "expect-log 1 1/1 1/2 2/3",
    );
  });

  test("an entry is committed once the leader has it on a majority, with all before it", () => {
    play(
      ...LEADER_OF_THREE,
      "crash 3",
      "propose 1 a b",
      "run quiet except=2",
      "expect 1 commit=1",
      "run quiet",
      "expect 1 2 commit=3",
    );
  });

  test("consistency check: a follower without the preceding entry refuses", () => {
    play(
      "cluster 1 2 3",
      "log 2 1 1",
      "inject append-request 1 2 term=2 prev=1/4 entries=2",
      "run quiet hold=append-response",
      "expect-queue 2->1 append-response t2 refused prev=4 hint=1/2",
      "expect-log 2 1/1 1/2",
    );
  });

  test("a conflicting entry and all that follow it are deleted", () => {
    play(
      "cluster 1 2 3",
      "log 2 1 1 1 1",
      "inject append-request 1 2 term=2 prev=1/2 entries=2",
      "run quiet",
      "expect-log 2 1/1 1/2 2/3",
    );
  });

  test("entries after a matching range stay: the request may be late", () => {
    play(
      "cluster 1 2 3",
      "log 2 1 1 1 1",
      "inject append-request 1 2 term=2 prev=1/1 entries=1",
      "run quiet",
      "expect-log 2 1/1 1/2 1/3 1/4",
    );
  });

  test("a follower commits no further than the last new entry of the request", () => {
    play(
      "cluster 1 2 3",
      "log 2 1 1 1 1",
      "inject append-request 1 2 term=2 prev=1/1 entries=1 commit=4",
      "expect 2 commit=2 last=4",
    );
  });

  test("log matching: a heartbeat commits nothing that is not known to match", () => {
    play(
      "cluster 1 2 3",
      "log 2 1 1 1",
      "inject heartbeat 1 2 term=2 commit=3",
      "expect 2 commit=0 last=3",
    );
  });

  test("crashed followers get their entries when they are back", () => {
    play(
      ...LEADER_OF_THREE,
      "crash 3 power",
      "propose 1 a b",
      "run quiet",
      "restart 3",
      "tick 1 6",
      "run quiet",
      "tick 1 2",
      "run quiet",
      "expect 3 commit=3",
      "expect-log 3 1/1 1/2 1/3",
    );
  });
});

describe("§5.4 safety", () => {
  test("§5.4.1 a voter denies its vote to a log that is less up to date, by last term", () => {
    play(
      "cluster 1 2 3",
      "log 1 2",
      "inject vote-request 2 1 term=5 last=1/9",
      "run quiet hold=vote-response",
      "expect-queue 1->2 vote-response t5 refused",
      "expect 1 vote=0",
    );
  });

  test("§5.4.1 … and, with equal last terms, by length", () => {
    play(
      "cluster 1 2 3",
      "log 1 2 2",
      "inject vote-request 2 1 term=5 last=2/1",
      "run quiet hold=vote-response",
      "expect-queue 1->2 vote-response t5 refused",
    );
    play(
      "cluster 1 2 3",
      "log 1 2 2",
      "inject vote-request 2 1 term=5 last=2/2",
      "run quiet hold=vote-response",
      "expect-queue 1->2 vote-response t5 granted",
    );
  });

  test("§5.4.2 figure 8: an old entry on a majority may still be overwritten, so it is not committed", () => {
    const group = new Dialogue();
    // (c): S1 leads term 4, its entry of term 2 is on S1, S2, S3; its own of term 4 is only on S1.
    resume(
      group,
      "cluster 1 2 3 4 5",
      "log 1 1 2 4",
      "log 2 1 2",
      "log 3 1 2",
      "log 4 1",
      "log 5 1 3",
    );
    resume(group, "hard 5 4");
    // (d): S5 wins term 5 with the votes of S2, S3, S4 and overwrites.
    resume(group, "crash 1", "campaign 5", "run quiet");
    resume(group, "expect 5 role=leader term=5", "expect-log 2 1/1 3/2 5/3");
  });

  test("§5.4.2 … and once an entry of the leader's term is on a majority, all before it are committed", () => {
    const group = new Dialogue();
    resume(group, "random 0.99", "cluster 1 2 3 4 5");
    resume(group, "log 1 1 2", "log 2 1 2", "log 3 1", "log 4 1", "log 5 1 3", "hard 1 3");
    resume(group, "crash 5", "campaign 1", "run quiet");
    resume(group, "expect 1 role=leader term=4 commit=3");
    // (e): S5 cannot win any more.
    resume(group, "crash 1", "restart 5", "tick 2 10", "tick 3 10", "tick 4 10");
    resume(group, "campaign 5", "run quiet", "expect 5 role=follower term=4");
  });

  test("§5.4.3 leader completeness: whoever wins after a commit has the entry", () => {
    const commands = [
      "random 0.99",
      ...LEADER_OF_THREE,
      "crash 3",
      "propose 1 a",
      "run quiet",
      "expect 1 commit=2",
    ];
    play(
      ...commands,
      "crash 1",
      "restart 3",
      "tick 2 10",
      "campaign 3",
      "run quiet",
      // Refused by 2, which is as good as lost: two of three are needed and 1 is down.
      "expect 3 role=pre-candidate term=1",
      "tick 3 10",
      "campaign 2",
      "run quiet",
      "expect 2 role=leader commit=3",
      "expect-log 3 1/1 1/2 2/3",
    );
  });

  test("§5.4.3 state machine safety: applied entries are never replaced (asserted)", () => {
    expect(() =>
      play(
        ...LEADER_OF_THREE,
        "propose 1 a",
        "run quiet",
        "inject append-request 3 2 term=9 prev=1/1 entries=8",
      ),
    ).toThrow("never replaced");
  });
});

describe("§5.5, §5.6 crashes and timing", () => {
  test("requests are idempotent: a repeated append changes nothing", () => {
    play(
      "cluster 1 2 3",
      "inject append-request 1 2 term=1 prev=0/0 entries=1,1",
      "run quiet",
      "inject append-request 1 2 term=1 prev=0/0 entries=1,1",
      "run quiet",
      "expect-log 2 1/1 1/2",
      "expect 2 last=2",
    );
  });

  test("safety does not depend on timing: ticks alone never commit or elect", () => {
    play(
      "cluster 1 2 3",
      "isolate 1",
      "tick 1 1000",
      "run quiet",
      "expect 1 role=pre-candidate term=0 commit=0",
    );
  });
});

describe("§6, thesis §4 membership", () => {
  test("during a joint configuration elections and commits need majorities of both halves", () => {
    play(
      "cluster 1 2 3 spare=4,5,6",
      "campaign 1",
      "run quiet",
      "members 1 4 5 6",
      "cut 1 5",
      "cut 1 6",
      "run quiet",
      "expect 1 members=voters=4,5,6;outgoing=1,2,3",
      "propose 1 a",
      "run quiet",
      // On 1, 2, 3 and 4 by now: a majority of the old half, not of the new one.
      "expect 1 2.match=4 3.match=4 4.match=4 commit=2",
    );
  });

  test("a leader does not count itself once it is no voter (thesis §4.2.2)", () => {
    play(
      ...LEADER_OF_THREE,
      "members 1 2 3",
      "cut 2 1",
      "run quiet",
      "expect 1 role=leader commit=2",
    );
  });

  test("servers disregard vote requests while they believe that a leader exists (thesis §4.2.3)", () => {
    play(
      ...LEADER_OF_THREE,
      "inject vote-request 3 2 term=9 last=9/9",
      "run quiet",
      "expect 2 term=1 leader=1",
    );
    play(
      ...LEADER_OF_THREE,
      "inject vote-request 3 2 transfer term=9 last=9/9",
      "run quiet",
      "expect 2 term=9 vote=3",
    );
  });
});

describe("§7 log compaction", () => {
  test("an image that continues the log replaces it; entries behind it are kept by none", () => {
    play(
      ...LEADER_OF_THREE,
      "isolate 3",
      "propose 1 a b",
      "run quiet",
      "compact 1 4",
      "heal",
      "tick 1 6",
      "run quiet",
      "expect 3 applied=3 first=4 last=3",
    );
  });
});

describe("§8 clients", () => {
  test("a leader commits a no-op of its term first, and is not ready before", () => {
    play(
      "cluster 1 2 3",
      "campaign 1",
      "run quiet hold=append-request",
      "expect 1 role=leader ready=false last=1 commit=0",
      "run quiet",
      "expect 1 ready=true commit=1",
    );
  });

  test("a read-only request is answered only after a round of heartbeats with a majority", () => {
    const group = new Dialogue();
    resume(group, ...LEADER_OF_THREE);
    resume(group, "read 1 5");
    expect(resume(group, "take 1").join()).not.toContain("read 5");
    expect(resume(group, "run").join()).toContain("1: read 5 index=1");
  });
});
