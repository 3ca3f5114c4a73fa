import { describe, expect, it } from "vitest";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

describe("units", () => {
  it.each([
    ["512KiB", 524_288],
    ["1.5 MiB", 1_572_864],
    ["1GB", 1_000_000_000],
    ["0B", 0],
  ])("size: understands %s", (text, value) => {
    expect(parseSize(text)).toEqual({ value });
  });

  it.each([
    ["100ms", 100],
    ["1.5s", 1500],
    ["2m", 120_000],
    ["7d", 604_800_000],
  ])("duration: understands %s", (text, value) => {
    expect(parseDuration(text)).toEqual({ value });
  });

  it.each([
    512,
    "512",
    "512kb",
    "0.5ms",
    "",
    "-1s",
    "constructor",
    "1constructor",
    null,
    "9999999TiB",
  ])("quantity: refuses %j with a reason", (input) => {
    for (const parse of [parseSize, parseDuration]) {
      const parsed = parse(input);
      expect(parsed).toHaveProperty("problem");
    }
  });

  it("quantity: a formatted value parses to itself", () => {
    for (const value of [0, 1, 999, 1000, 1024, 1500, 65_536, 86_400_000, 1024 ** 4]) {
      expect(parseSize(formatSize(value))).toEqual({ value });
      expect(parseDuration(formatDuration(value))).toEqual({ value });
    }
  });
});
