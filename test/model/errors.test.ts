import { afterEach, describe, expect, it, vi } from "vitest";

describe("BrokerError", () => {
  afterEach(() => {
    vi.resetModules();
  });

  it("says where it was made, as in any client's process", async () => {
    const { BrokerError } = await import("../../src/model/errors.ts");
    expect(new BrokerError("NOT_LEADER", "no").stack).toContain("errors.test.ts");
  });

  it("stacks omitted: only its own are, and other errors keep theirs", async () => {
    const { BrokerError, omitStacks } = await import("../../src/model/errors.ts");
    const limit = Error.stackTraceLimit;
    omitStacks();
    expect(new BrokerError("NOT_LEADER", "no").stack).toBe("BrokerError: no");
    expect(Error.stackTraceLimit).toBe(limit);
    expect(new Error("other").stack).toContain("errors.test.ts");
  });
});
