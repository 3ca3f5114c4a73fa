import { EventEmitter } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { MEMORY_BUDGET_MIN, MemoryBudget } from "../../src/model/memory-budget.ts";
import { Admission } from "../../src/rpc/admission.ts";

test("a stream whose session is gone is closed, and its late error stops nobody", () => {
  const admission = new Admission({
    limits: { connectionsMax: 1, streamsPerConnectionMax: 1 },
    windowBytes: 1,
    budget: new MemoryBudget(MEMORY_BUDGET_MIN),
    clock: systemClock,
    onConnection: () => undefined,
    onRefused: () => undefined,
  });
  let isClosed = false;
  const emitter = new EventEmitter();
  const fake = Object.assign(emitter, {
    session: undefined,
    close: () => {
      isClosed = true;
    },
  });
  expect(admission.admits(fake as unknown as ServerHttp2Stream, { ":path": "/x" })).toBe(false);
  expect(isClosed).toBe(true);
  expect(() => emitter.emit("error", new Error("too many invalid frames"))).not.toThrow();
});
