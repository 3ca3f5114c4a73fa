import { describe, expect, it } from "vitest";
import { parseProcessorTimes, sharesBetween } from "./processor-times.ts";

const STAT = "cpu  100 10 20 300 5 1 4 60 7 0\ncpu0 50 5 10 150 2 0 2 30 3 0\nintr 12345 0\n";

describe("processor times", () => {
  it("guests are counted within user time, waiting for disks is idle", () => {
    expect(parseProcessorTimes(STAT)).toEqual({ total: 500, idle: 305, stolen: 60 });
  });

  it("what is not there is not guessed", () => {
    expect(parseProcessorTimes("intr 1 2\n")).toBeUndefined();
    expect(sharesBetween(undefined, parseProcessorTimes(STAT))).toBe("processors: not known here");
  });

  it("between two looks", () => {
    const from = { total: 1000, idle: 600, stolen: 10 };
    const to = { total: 3000, idle: 700, stolen: 60 };
    expect(sharesBetween(from, to)).toBe("processors: 5.0 % idle, 2.5 % taken by other machines");
  });
});
