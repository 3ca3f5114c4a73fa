import { describe, expect, it } from "vitest";
import {
  isSequenceAhead,
  lastSequenceOf,
  sequenceAfter,
  sequenceDistance,
} from "../../src/model/sequence.ts";

const LAST = 0x7fff_ffff;

describe("sequence", () => {
  it("arithmetic: wraps to 0 behind 2^31 − 1 (31 bits)", () => {
    expect(sequenceAfter(LAST, 1)).toBe(0);
    expect(sequenceAfter(LAST - 1, 5)).toBe(3);
    expect(lastSequenceOf(LAST, 2)).toBe(0);
    expect(sequenceDistance(LAST, 0)).toBe(1);
    expect(sequenceDistance(0, LAST)).toBe(LAST);
  });

  it("order: is by the shorter way round (across the wrap)", () => {
    expect(isSequenceAhead(0, LAST)).toBe(true);
    expect(isSequenceAhead(LAST, 0)).toBe(false);
    expect(isSequenceAhead(5, 5)).toBe(false);
  });
});
