import { describe, expect, it } from "vitest";
import { asBatch, asMessages } from "../../src/delivery/delivery-form.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";
import { storedBatch } from "./support.ts";

const BATCH = storedBatch(
  100,
  Array.from({ length: 10 }, (_, at) => ({
    key: `k${at}`,
    value: `v${at}`,
    headers: { h: `${at}` },
  })),
);

describe("delivery form", () => {
  it("batches: the stored bytes themselves for everything and for at least half", () => {
    expect(asBatch(BATCH, [[100, 110]])).toEqual({ batch: BATCH, ranges: [], messages: [] });
    const half = asBatch(BATCH, [
      [100, 103],
      [108, 110],
    ]);
    expect(half.batch).toBe(BATCH);
    expect(half.ranges).toEqual([100, 3, 108, 2]);
  });

  it("batches: less than half is a batch of just these records, offsets kept", () => {
    const few = asBatch(BATCH, [
      [101, 102],
      [105, 107],
    ]);
    expect(few.ranges).toEqual([101, 1, 105, 2]);
    expect(few.batch.length).toBeLessThan(BATCH.length * 0.6);
    const records = decodeBatch(few.batch).map(({ offset, value }) => [offset, `${value}`]);
    expect(records).toEqual([
      [101, "v1"],
      [105, "v5"],
      [106, "v6"],
    ]);
  });

  it("messages: those of the ranges, in order, with the term that stored them", () => {
    const { batch, messages } = asMessages(2, BATCH, [
      [99, 101],
      [104, 105],
      [109, 200],
    ]);
    expect(batch.length).toBe(0);
    expect(messages.map(({ offset, key, value }) => [offset, `${key}`, `${value}`])).toEqual([
      [100, "k0", "v0"],
      [104, "k4", "v4"],
      [109, "k9", "v9"],
    ]);
    expect(messages[0]).toMatchObject({ partition: 2, leaderEpoch: 3 });
    expect(messages[0]?.headers).toEqual([{ name: "h", value: Buffer.from("0") }]);
  });
});
