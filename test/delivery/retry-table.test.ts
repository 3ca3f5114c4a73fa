import { describe, expect, it } from "vitest";
import { RetryTable } from "../../src/delivery/retry-table.ts";

describe("retries: memory", () => {
  it("what was handed out is forgotten although something is due all the time", () => {
    const table = new RetryTable();
    const BACKLOG = 500;
    for (let offset = 0; offset < 20_000; offset += 1) {
      table.add(offset, offset);
      if (offset < BACKLOG) continue;
      const first = table.firstDue(offset);
      expect(first).toBe(offset - BACKLOG);
      table.delete(offset - BACKLOG);
    }
    expect(table.size).toBe(BACKLOG);
    expect(table.kept).toBeLessThan(4000);
  });
});
