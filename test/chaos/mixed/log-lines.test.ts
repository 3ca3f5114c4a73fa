import { describe, expect, it } from "vitest";
import { judgedLine } from "./log-lines.ts";

const BROKEN = [{ node: 2, fromMs: Date.UTC(2026, 0, 1), toMs: Date.UTC(2026, 0, 1, 0, 0, 8) }];

function levelOf(message: string, node = 2): string {
  return judgedLine({ type: "log", atMs: 0, node, level: "fatal", message }, BROKEN).level;
}

function storageFailed(time: string): string {
  return `{"level":"fatal","time":"${time}","nodeId":2,"message":"storage failed, this node stops"}`;
}

describe("log lines of a broken disk", () => {
  it.each([
    "error: node 2 stopped: groups/3-20481/00000000000000000001.seg: ENOSPC: no space left on device, write",
    "error: node 2 stopped: groups/3-20481/00000000000000000001.seg: EIO: i/o error, fdatasync",
    "error: node 2 stopped: data/keyed: IO error: data/keyed/000009.log: No space left on device",
    "error: node 2 stopped: data/keyed: IO error: data/keyed/000009.log: Input/output error",
  ])("expected, on that node only: %s", (message) => {
    expect(levelOf(message)).toBe("warn");
    expect(levelOf(message, 1)).toBe("fatal");
  });

  it("expected while the disk is broken and just after, not a minute later", () => {
    expect(levelOf(storageFailed("2026-01-01T00:00:09.000Z"))).toBe("warn");
    expect(levelOf(storageFailed("2026-01-01T00:01:00.000Z"))).toBe("fatal");
  });

  it("never expected: a crash that no disk explains", () => {
    expect(levelOf("TypeError: undefined is not a function")).toBe("fatal");
    expect(levelOf("error: node 2 stopped: the vote is not durable")).toBe("fatal");
  });
});
