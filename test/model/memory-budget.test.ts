import { describe, expect, test } from "vitest";
import {
  BATCH_BYTES_MAX,
  GRPC_MESSAGE_BYTES_MAX,
  PEER_QUEUE_BYTES_MAX,
  TAIL_BYTES_MAX,
} from "../../src/model/limits.ts";
import {
  defaultMemoryBudget,
  MEMORY_BUDGET_MIN,
  MEMORY_PURPOSES,
  MemoryAccount,
  MemoryBudget,
  PURPOSE_NAMES,
  peerQueueBytes,
  tailBytes,
} from "../../src/model/memory-budget.ts";

const MIB = 1024 * 1024;

describe("memory budget", () => {
  test("shares: together they leave a quarter of 512 MiB and more to the process itself", () => {
    const budget = new MemoryBudget(512 * MIB);
    const sum = PURPOSE_NAMES.reduce((total, purpose) => total + budget.limit(purpose), 0);
    expect(Object.keys(MEMORY_PURPOSES)).toEqual(PURPOSE_NAMES);
    expect(sum).toBeLessThanOrEqual(384 * MIB);
  });

  test("smallest budget: one connection can still send and be sent the largest message", () => {
    const account = new MemoryAccount(new MemoryBudget(MEMORY_BUDGET_MIN));
    expect(account.tryTake("receive", GRPC_MESSAGE_BYTES_MAX)).toBe(true);
    expect(account.tryTake("send", GRPC_MESSAGE_BYTES_MAX)).toBe(true);
    expect(new MemoryBudget(MEMORY_BUDGET_MIN).limit("log")).toBeGreaterThan(2 * BATCH_BYTES_MAX);
  });

  test("take and give: what does not fit changes nothing", () => {
    const budget = new MemoryBudget(512 * MIB);
    const limit = budget.limit("read");
    expect(budget.tryTake("read", limit)).toBe(true);
    expect(budget.tryTake("read", 1)).toBe(false);
    expect(budget.used("read")).toBe(limit);
    expect(budget.isUnderPressure("read")).toBe(true);
    budget.give("read", limit);
    expect(budget.used("read")).toBe(0);
  });

  test("holders: a thousand greedy ones leave something for a modest one", () => {
    const budget = new MemoryBudget(512 * MIB);
    const greedy = Array.from({ length: 200 }, () => new MemoryAccount(budget));
    let taken = true;
    while (taken) {
      taken = false;
      for (const account of greedy) if (account.tryTake("send", 256 * 1024)) taken = true;
    }
    expect(budget.free("send")).toBeGreaterThan(0);
    expect(new MemoryAccount(budget).tryTake("send", 64 * 1024)).toBe(true);
  });

  test("account: close gives everything back, and what comes later is void", () => {
    const budget = new MemoryBudget(512 * MIB);
    const account = new MemoryAccount(budget);
    account.take("send", 100);
    expect(account.tryTake("receive", 200)).toBe(true);
    account.close();
    account.give("send", 100);
    account.take("send", 50);
    expect(PURPOSE_NAMES.filter((purpose) => budget.used(purpose) !== 0)).toEqual([]);
  });

  test("waiters: woken once when some is free, not when they left", () => {
    const budget = new MemoryBudget(512 * MIB);
    const limit = budget.limit("send");
    budget.take("send", limit + 10);
    const woken: string[] = [];
    budget.whenFree("send", () => woken.push("a"));
    budget.whenFree("send", () => woken.push("b"))();
    budget.give("send", 5);
    expect(woken).toEqual([]);
    budget.give("send", 6);
    budget.give("send", 6);
    expect(woken).toEqual(["a"]);
  });

  test("process: far above the budget nothing is taken in, and the refusal says so", () => {
    const budget = new MemoryBudget(512 * MIB);
    budget.setProcessBytes(600 * MIB);
    expect(budget.isOverBudget).toBe(true);
    expect(budget.tryTake("receive", 1)).toBe(true);
    budget.setProcessBytes(650 * MIB);
    expect(budget.tryTake("receive", 1)).toBe(false);
    expect(budget.refusal("receive")).toMatchObject({
      reason: "OVERLOADED",
      retry: "later",
      fields: { limit: "memory.process" },
    });
    budget.setProcessBytes(500 * MIB);
    expect(budget.refusal("receive")).toMatchObject({ fields: { limit: "memory.receive" } });
  });

  test("derived: default within bounds, tail and peer queue never above their own limits", () => {
    expect(defaultMemoryBudget(100 * MIB)).toBe(256 * MIB);
    expect(defaultMemoryBudget(1024 * MIB)).toBe(512 * MIB);
    expect(defaultMemoryBudget(64 * 1024 * MIB)).toBe(4096 * MIB);
    expect(tailBytes(512 * MIB)).toBe(2 * MIB);
    expect(tailBytes(64 * 1024 * MIB)).toBe(TAIL_BYTES_MAX);
    expect(peerQueueBytes(512 * MIB)).toBe(32 * MIB);
    expect(peerQueueBytes(64 * 1024 * MIB)).toBe(PEER_QUEUE_BYTES_MAX);
  });
});
