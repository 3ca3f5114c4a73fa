import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../src/base/crc32c.ts";
import type { BrokerError } from "../../src/model/errors.ts";
import {
  checkBatch,
  checkSelection,
  patchBatch,
  readBatchHeader,
} from "../../src/model/record-batch.ts";
import { BatchBuilder } from "../../src/model/record-batch-builder.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";
import { selectRecords } from "../../src/model/record-batch-selection.ts";

const BASE = 5_000_000_000;

function batchOf(count: number): Buffer {
  const builder = new BatchBuilder();
  for (let at = 0; at < count; at += 1) {
    const headers = at % 3 === 0 ? [{ name: "h", value: Buffer.from(`${at}`) }] : undefined;
    builder.append(at % 2 === 0 ? `k${at}` : undefined, "v".repeat(at % 90), headers, 1000 - at);
  }
  const batch = builder.finish({ producerId: 9, producerEpoch: 1, baseSequence: 4 });
  patchBatch(batch, BASE, 3);
  return batch;
}

describe("record batch selection", () => {
  it("selection: gives exactly the records of the ranges, as they were", () => {
    const ranges = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 9 })), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(fc.integer({ min: 31, max: 60 }), ranges, (count, pairs) => {
        const batch = batchOf(count);
        const merged: [number, number][] = [];
        for (const [from, length] of [...pairs].sort((a, b) => a[0] - b[0])) {
          const last = merged.at(-1);
          if (last !== undefined && BASE + from <= last[1]) {
            last[1] = Math.max(last[1], BASE + from + length);
          } else merged.push([BASE + from, BASE + from + length]);
        }
        const isWanted = (offset: number): boolean =>
          merged.some(([from, to]) => offset >= from && offset < to);
        const selected = selectRecords(batch, merged);
        expect(decodeBatch(selected)).toEqual(
          decodeBatch(batch).filter((record) => isWanted(record.offset)),
        );
        expect(checkSelection(selected)).toBeUndefined();
        expect(selected.readUInt32BE(17)).toBe(crc32c(selected.subarray(21)));
        expect(readBatchHeader(selected)?.producerId).toBe(9);
      }),
    );
  });

  it("produce: a batch with records left out is refused", () => {
    const selected = selectRecords(batchOf(4), [[BASE + 1, BASE + 2]]);
    expect(checkBatch(selected)).toEqual({ reason: "MALFORMED_BATCH", field: "lastOffsetDelta" });
  });

  it("decode: offsets must grow and stay within the batch", () => {
    const builder = new BatchBuilder();
    builder.append(undefined, "a", undefined, 1);
    builder.append(undefined, "b", undefined, 1);
    const batch = builder.finish();
    // Position of the second record's offset delta: header, first record (8 bytes), then length, attributes, timestamp.
    for (const [delta, field] of [
      [0, "record.offsetDelta"],
      [4, "record.offsetDelta"],
    ] as const) {
      const changed = Buffer.from(batch);
      changed[61 + 8 + 3] = delta;
      expect(() => decodeBatch(changed)).toThrow(
        expect.objectContaining({ reason: "MALFORMED_BATCH", fields: { field } }) as BrokerError,
      );
    }
  });
});
