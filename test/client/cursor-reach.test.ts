import { describe, expect, it } from "vitest";
import { CursorReach, OPEN_MS } from "../../src/client/cursor-reach.ts";
import { BrokerError } from "../../src/model/errors.ts";

const gone = new BrokerError("UNREACHABLE", "gone");

/** It is opened and dropped after so long. @returns for how long it has been lost by then */
function dropped(reach: CursorReach, atMs: number, afterMs: number): number {
  reach.opened(atMs);
  reach.left(atMs + afterMs);
  return reach.failed(atMs + afterMs, gone);
}

describe("reach of a cursor", () => {
  it("is lost since the first failure, which it counts (nothing opens)", () => {
    const reach = new CursorReach();
    expect([
      reach.failed(100, gone),
      reach.failed(300, undefined),
      reach.failed(900, gone),
    ]).toEqual([0, 200, 800]);
    expect(reach.attempt).toBe(3);
    expect(reach.cause).toBe(gone);
  });

  it("keeps the last failure that said something (no leader known afterwards)", () => {
    const reach = new CursorReach();
    reach.failed(0, gone);
    reach.failed(1, undefined);
    expect(reach.cause).toBe(gone);
  });

  it("begins anew when it was open for some seconds (quiet partition)", () => {
    const reach = new CursorReach();
    reach.failed(0, undefined);
    expect(dropped(reach, 10, OPEN_MS)).toBe(0);
    expect(reach.attempt).toBe(1);
  });

  it("goes on counting when it is dropped before (again and again)", () => {
    const reach = new CursorReach();
    let lostMs = 0;
    for (let i = 0; i < 20; i += 1) lostMs = dropped(reach, i * OPEN_MS, OPEN_MS - 1);
    expect(lostMs).toBe(19 * OPEN_MS);
    expect(reach.attempt).toBe(20);
  });

  it("counts time on streams only: an opening that is over does not count later", () => {
    const reach = new CursorReach();
    dropped(reach, 0, 10);
    reach.left(OPEN_MS * 10);
    expect(reach.failed(OPEN_MS * 10, gone)).toBe(OPEN_MS * 10 - 10);
  });

  it("begins anew with something new", () => {
    const reach = new CursorReach();
    reach.failed(0, gone);
    reach.progressed();
    expect(reach).toMatchObject({ attempt: 0, cause: undefined });
    expect(reach.failed(700, undefined)).toBe(0);
  });

  it("counts damage apart from failures to reach the leader, until something sound comes", () => {
    const reach = new CursorReach();
    for (let i = 0; i < 9; i += 1) reach.failed(i, gone);
    expect([reach.damaged(), reach.damaged()]).toEqual([0, 1]);
    expect(reach.attempt).toBe(9);
    dropped(reach, 20, OPEN_MS);
    expect([reach.damaged(), reach.damaged()]).toEqual([2, undefined]);
    reach.progressed();
    expect(reach.damaged()).toBe(0);
  });
});
