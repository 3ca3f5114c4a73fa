import { expect, it } from "vitest";
import { HeldBatch } from "../../src/delivery/held-batch.ts";

it("held batch: knows of each message whether the filter wants it, whatever ranges it left out", () => {
  const unwanted: [number, number][] = [
    [100, 101],
    [103, 107],
    [107, 108],
    [119, 120],
  ];
  const batch = { baseOffset: 100, endOffset: 120, bytes: 2000, handle: 0, unwanted };
  const held = new HeldBatch({ ...batch, keys: undefined });
  for (let offset = 95; offset < 125; offset += 1) {
    const isLeftOut = unwanted.some(([from, to]) => offset >= from && offset < to);
    expect(held.isUnwanted(offset)).toBe(isLeftOut);
  }
  expect(new HeldBatch({ ...batch, unwanted: [], keys: undefined }).isUnwanted(100)).toBe(false);
});
