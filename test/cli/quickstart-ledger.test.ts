// The quickstart's verdict must notice everything that it claims to look for.
import { describe, expect, it } from "vitest";
import {
  type ConsumedEvent,
  isProven,
  Ledger,
  type Verdict,
} from "../../scripts/quickstart-steps/ledger.ts";

const EVENTS = ["A", "B", "A", "B", "A", "B"].map((key, id) => ({
  id,
  key,
  value: JSON.stringify({ id }),
}));
const PARTITION_OF: Readonly<Record<string, number>> = { A: 0, B: 1 };

/** Six events: A on partition 0, whose leader (term 1) is killed at 250 ms; B on partition 1. */
function scenario(
  change: (consumed: ConsumedEvent[]) => ConsumedEvent[] = (all) => all,
  termAfter = 2,
): Verdict {
  const ledger = new Ledger(EVENTS);
  const consumed: ConsumedEvent[] = [];
  for (const event of EVENTS) {
    const partition = PARTITION_OF[event.key] ?? 0;
    const begunMs = event.id * 100;
    const offset = consumed.filter((message) => message.partition === partition).length;
    ledger.begun(event, begunMs);
    if (event.id === 2) {
      const affected = new Map([[0, 1]]);
      ledger.killed({ atMs: 250, nodeId: 1, affected, underWay: ledger.underWay(affected) });
    }
    const isAfter = partition === 0 && event.id >= 2;
    ledger.acked(
      event,
      { partition, offset, leaderEpoch: isAfter ? termAfter : 1 },
      begunMs + (isAfter ? 700 : 1),
    );
    consumed.push({ key: event.key, value: event.value, partition, offset });
  }
  return ledger.verdict(change(consumed));
}

describe("quickstart: the verdict", () => {
  it("all well: proven, with the time from the kill to the first acknowledgement of a later send", () => {
    const verdict = scenario();
    expect(verdict).toMatchObject({
      sent: 6,
      acknowledged: 6,
      consumed: 6,
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
      different: 0,
      underWay: 1,
      affected: 1,
      takenOver: 1,
      failOverFirstMs: 850,
      failOverAllMs: 850,
    });
    expect(isProven(verdict)).toBe(true);
  });

  it.each<[string, (all: ConsumedEvent[]) => ConsumedEvent[], Partial<Verdict>]>([
    ["lost", (all) => all.slice(0, -1), { lost: 1 }],
    ["duplicated", (all) => [...all, ...all.slice(0, 1)], { duplicated: 1 }],
    [
      "reordered within a key",
      (all) => all.map((_, i) => all[[0, 1, 4, 3, 2, 5][i] ?? 0]).filter((m) => m !== undefined),
      { outOfOrder: 1 },
    ],
    [
      "changed content",
      (all) => all.map((m, i) => (i === 0 ? { ...m, value: '{"id":0,"x":1}' } : m)),
      { different: 1 },
    ],
    [
      "at another offset than acknowledged",
      (all) => all.map((m, i) => (i === 0 ? { ...m, offset: 9 } : m)),
      { different: 1 },
    ],
    [
      "something that nobody sent",
      (all) => [...all, { key: "Z", value: "?", partition: 0, offset: 9 }],
      { different: 1 },
    ],
  ])("not proven: %s", (_, change, expected) => {
    const verdict = scenario(change);
    expect(verdict).toMatchObject(expected);
    expect(isProven(verdict)).toBe(false);
  });

  it("not proven: no higher term took over", () => {
    const verdict = scenario((all) => all, 1);
    expect(verdict).toMatchObject({ takenOver: 0, failOverFirstMs: undefined });
    expect(isProven(verdict)).toBe(false);
  });

  it("not proven: nothing was under way at the kill", () => {
    expect(isProven({ ...scenario(), underWay: 0 })).toBe(false);
  });
});
