import { expect, test } from "vitest";
import { AckWaiters } from "../../src/partition/waiters.ts";
import { Outcome } from "./fixture.ts";

const marks = (commitIndex: number): Parameters<AckWaiters["advance"]>[0] => ({
  writtenIndex: 0,
  flushedIndex: 0,
  commitIndex,
  durableCommitIndex: 0,
  appliedIndex: 0,
});

function parked(index: number, order: number[]): Parameters<AckWaiters["park"]>[1] {
  const receipt = {
    baseOffset: index,
    leaderEpoch: 1,
    recordCount: 1,
    duplicate: false,
    acks: "all",
    flush: "async",
  } as const;
  const observer = { onReceipt: () => order.push(index), onFailure: () => order.push(-index) };
  return { index, term: 1, receipt, observer, sinceMs: 0 };
}

test("waiters: duplicates that wait for earlier entries are answered in their place", () => {
  const waiters = new AckWaiters();
  const order: number[] = [];
  for (const index of [3, 5, 9, 4, 3, 9, 1]) waiters.park("committed", parked(index, order));
  waiters.advance(marks(4), undefined);
  expect(order).toEqual([1, 3, 3, 4]);
  waiters.advance(marks(9), undefined);
  expect(order).toEqual([1, 3, 3, 4, 5, 9, 9]);
  expect(waiters.length).toBe(0);
});

test("waiters: an advance touches only what it answers (100 000 parked)", () => {
  const waiters = new AckWaiters();
  const order: number[] = [];
  for (let index = 1; index <= 100_000; index += 1) {
    waiters.park("committed", parked(index, order));
  }
  for (let index = 1; index <= 100_000; index += 1) waiters.advance(marks(index), undefined);
  expect(order).toHaveLength(100_000);
});

test("waiters: leadership lost answers all, with success only for the very entry", () => {
  const waiters = new AckWaiters();
  const order: number[] = [];
  for (const index of [2, 3, 4]) waiters.park("committed", parked(index, order));
  const outcome = new Outcome();
  waiters.park("durably-committed", { ...parked(1, order), observer: outcome });
  expect(waiters.leadershipLost(marks(3), (index) => (index === 3 ? 2 : 1))).toBe(2);
  expect(order).toEqual([2, -3, -4]);
  expect(outcome.error?.reason).toBe("LEADERSHIP_LOST");
});
