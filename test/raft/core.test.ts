// What no dialogue shows well: timers over many draws, re-entry, windows, purity, memory of idle and busy groups.
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import type { RaftOptions } from "../../src/raft/config.ts";
import { Inflights } from "../../src/raft/inflights.ts";
import { createRaftCore, type RaftCore } from "../../src/raft/raft.ts";
import { replica } from "./support/host.ts";

function core(id: number, voters: readonly number[], more: Partial<RaftOptions<string>> = {}) {
  const options: RaftOptions<string> = {
    replicaId: replica(id),
    incarnation: 1,
    commitRule: "durable",
    electionTicks: 10,
    heartbeatTicks: 2,
    random: () => 0,
    encodeControl: () => ({ handle: "", bytes: 10 }),
    appendBytesMax: 1000,
    appendInflightMax: 4,
    appendInflightBytesMax: 4000,
    uncommittedBytesMax: 1e6,
    tailBytesMax: 500,
    tailBytesKept: 500,
    commitNews: "at-once",
    changes: "shortest",
    recovering: false,
    ...more,
  };
  return createRaftCore(options, {
    term: 0,
    vote: 0,
    membership: { voters: voters.map(replica), learners: [] },
    appliedIndex: 0,
    firstIndex: 1,
    firstPrevTerm: 0,
    termRuns: [],
    lastIndex: 0,
    unappliedChanges: [],
  });
}

/** Does everything a host does, at once, for a group of one. */
function pump(one: RaftCore<string>): void {
  while (one.hasReady()) {
    const ready = one.ready();
    if (ready.hardState !== undefined) one.hardStateDurable(ready.hardStateSeq);
    if (ready.append.length > 0) {
      one.storageWritten(ready.io);
      one.storageFlushed(ready.io);
    }
    const { commitIndex, appliedIndex } = one.status();
    if (commitIndex > appliedIndex) one.applied(commitIndex);
  }
}

function ticksToCampaign(one: RaftCore<string>): number {
  for (let tick = 1; ; tick += 1) {
    one.tick();
    if (one.role === "pre-candidate") return tick;
  }
}

describe("raft core: election timeouts", () => {
  test("are drawn from [electionTicks, 1.5 × electionTicks], all values occur", () => {
    const random = seededRandom(7);
    const seen = new Set<number>();
    for (let run = 0; run < 500; run += 1) {
      seen.add(ticksToCampaign(core(1, [1, 2, 3], { random: () => random.next() })));
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15]);
  });

  test("of three replicas rarely collide (T11)", () => {
    const random = seededRandom(11);
    let conflicts = 0;
    for (let run = 0; run < 1000; run += 1) {
      const draws = [1, 2, 3].map((id) =>
        ticksToCampaign(
          core(id, [1, 2, 3], {
            electionTicks: 100,
            heartbeatTicks: 10,
            random: () => random.next(),
          }),
        ),
      );
      const [first, second] = draws.sort((a, b) => a - b);
      if (first === second) conflicts += 1;
    }
    expect(conflicts / 1000).toBeLessThan(0.1);
  });
});

describe("raft core: calls", () => {
  test("re-entry is refused", () => {
    const holder: { core?: RaftCore<string> } = {};
    const one = core(1, [1], {
      encodeControl: () => {
        holder.core?.tick();
        return { handle: "", bytes: 1 };
      },
    });
    holder.core = one;
    ticksToCampaignOrLead(one);
    one.ready();
    expect(() => one.hardStateDurable(1)).toThrow("re-entered");
  });

  test("an idle follower has nothing to say, however often it is asked", () => {
    const one = core(1, [1, 2, 3]);
    for (let tick = 0; tick < 9; tick += 1) {
      one.tick();
      expect(one.hasReady()).toBe(false);
    }
  });

  test("completions that were never handed out are refused", () => {
    const one = core(1, [1, 2, 3]);
    expect(() => one.hardStateDurable(3)).toThrow("never handed out");
    expect(() => one.storageFlushed(1)).toThrow("never issued");
    expect(() => one.applied(1)).toThrow("applied ≤ committed");
    expect(() => one.snapshotInstalled(4)).toThrow("asked for");
  });

  test("equal inputs and equal draws give equal outputs (I37)", () => {
    const runs = [1, 2].map(() => {
      const random = seededRandom(3);
      const one = core(1, [1, 2, 3], { random: () => random.next() });
      const said: string[] = [];
      for (let tick = 0; tick < 60; tick += 1) {
        one.tick();
        if (one.hasReady()) said.push(JSON.stringify(one.ready()));
      }
      return said;
    });
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0]?.length).toBeGreaterThan(2);
  });
});

function ticksToCampaignOrLead(one: RaftCore<string>): void {
  while (one.role === "follower") one.tick();
}

describe("raft core: memory and speed", () => {
  test("the tail stays within its limit, term lookups survive compaction", () => {
    const one = core(1, [1]);
    ticksToCampaignOrLead(one);
    pump(one);
    for (let at = 0; at < 2000; at += 1) {
      expect(one.propose([{ handle: `p${at}`, bytes: 50 }])).toBeUndefined();
      pump(one);
    }
    expect(one.commitIndex).toBe(2001);
    expect(one.tailEntry(1)).toBeUndefined();
    expect(one.tailEntry(1900)).toBeUndefined();
    expect(one.tailEntry(2001)?.handle).toBe("p1999");
    one.compacted(1500);
    expect(one.termAt(1499)).toBe(1);
    expect(one.termAt(1498)).toBeUndefined();
  });

  test("one entry costs the same in a long tail as in a short one", () => {
    const one = core(1, [1], { tailBytesMax: 1e9, tailBytesKept: 1e9 });
    ticksToCampaignOrLead(one);
    pump(one);
    // Quadratic behaviour would take minutes here.
    for (let at = 0; at < 100_000; at += 1) {
      one.propose([{ handle: "", bytes: 100 }]);
      if (at % 10 === 9) pump(one);
    }
    expect(one.commitIndex).toBe(100_001);
  });
});

describe("inflight window", () => {
  test("is limited by count and bytes, but admits anything when empty", () => {
    const window = new Inflights(2, 100);
    expect(window.admits(1000)).toBe(true);
    window.add(1, 60);
    expect(window.room).toBe(40);
    expect(window.admits(41)).toBe(false);
    window.add(2, 40);
    expect(window.room).toBe(0);
    expect(window.admits(0)).toBe(false);
    window.freeTo(1);
    expect(window.bytes).toBe(40);
    expect(window.admits(60)).toBe(true);
    window.clear();
    expect(window.count).toBe(0);
  });
});
