import { describe, expect, it } from "vitest";
import { ACK, type Decision } from "../../src/client/handler-outcome.ts";
import {
  BEGUN,
  DECIDED,
  offsetRanges,
  type PlannedSettle,
  planSettles,
  positionsIn,
  SENT,
  WAITING,
  WORKING,
} from "../../src/client/record-states.ts";

const plan = (states: Uint8Array, decisions?: ReadonlyMap<number, Decision>): PlannedSettle[] => {
  const settles: PlannedSettle[] = [];
  planSettles(states, 0, states.length, 100, decisions, settles);
  return settles;
};

describe("record states", () => {
  it("settlements: acknowledgements in one, however scattered; what has begun before them", () => {
    const states = Uint8Array.of(DECIDED, DECIDED, BEGUN, DECIDED, WAITING, BEGUN, DECIDED);
    expect(plan(states)).toMatchObject([
      { kind: "begun", ranges: [102, 1, 105, 1] },
      { kind: "ack", ranges: [100, 2, 103, 1, 106, 1] },
    ]);
    expect([...states]).toEqual([SENT, SENT, WORKING, SENT, WAITING, WORKING, SENT]);
    expect(plan(states)).toEqual([]);
  });

  it("settlements: one for each run of equal decisions", () => {
    const late: Decision = { kind: "nack", retryAtMs: 5, error: "e" };
    const states = new Uint8Array(5).fill(DECIDED);
    const decisions = new Map([
      [1, late],
      [2, late],
    ]);
    expect(plan(states, decisions)).toMatchObject([
      { kind: "ack", ranges: [100, 1] },
      { kind: "nack", retryAtMs: 5, error: "e", ranges: [101, 2] },
      { kind: "ack", ranges: [103, 2] },
    ]);
  });

  it("settlements: ranges are bounded", () => {
    const states = Uint8Array.from({ length: 10_000 }, (_, at) => (at % 2 === 0 ? DECIDED : 0));
    const settles = plan(states);
    expect(settles.map(({ ranges }) => ranges.length)).toEqual([4096, 4096, 1808]);
    expect(settles.every(({ kind }) => kind === ACK.kind)).toBe(true);
  });

  it("ranges: are cut to what there is", () => {
    expect([...positionsIn([90, 15, 103, 1, 108, 50, 200, 1], 100, 10)]).toEqual([
      [0, 5],
      [3, 4],
      [8, 10],
    ]);
    const states = Uint8Array.of(WAITING, WAITING, 0, WAITING);
    expect(offsetRanges(states, 7, (state) => state === WAITING)).toEqual([7, 2, 10, 1]);
  });
});
