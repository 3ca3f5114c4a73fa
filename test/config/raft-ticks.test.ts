import { describe, expect, it } from "vitest";
import { raftTicks } from "../../src/config/raft-ticks.ts";

describe("raft ticks", () => {
  for (const [electionTimeoutMs, heartbeatMs, tickMs, electionTicks, heartbeatTicks] of [
    [1000, 150, 50, 20, 3],
    [1001, 151, 50, 21, 4],
    [1024, 174, 50, 21, 4],
    [100, 10, 5, 20, 2],
  ] as const) {
    it(`${electionTimeoutMs} and ${heartbeatMs} ms in ticks of ${tickMs} ms: rounded up`, () => {
      expect(raftTicks({ electionTimeoutMs, heartbeatMs, tickMs })).toEqual({
        electionTicks,
        heartbeatTicks,
      });
    });
  }
});
