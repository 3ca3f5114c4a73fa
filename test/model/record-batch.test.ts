import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../src/base/crc32c.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { HEADERS_PER_RECORD_MAX, KEY_BYTES_MAX } from "../../src/model/limits.ts";
import {
  BATCH_HEADER_BYTES,
  checkBatch,
  patchBatch,
  readBatchHeader,
  rewriteProducer,
} from "../../src/model/record-batch.ts";
import { BatchBuilder, type RecordHeader } from "../../src/model/record-batch-builder.ts";
import { batchesIn, decodeBatch } from "../../src/model/record-batch-decoder.ts";

const PRODUCER = { producerId: 7_000_000_001, producerEpoch: 3, baseSequence: 0x7fff_fff0 };

function smallBatch(): Buffer {
  const builder = new BatchBuilder();
  builder.append(Buffer.from("k"), Buffer.from("v1"), undefined, 1000);
  builder.append(undefined, "zwei", [{ name: "h", value: Buffer.from([1, 2]) }], 990);
  builder.append("", undefined, undefined, 1_767_225_600_000);
  return builder.finish(PRODUCER);
}

/** Recomputes the checksum after a test changed something that it covers. */
function resealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

describe("record batch", () => {
  it("builder: writes the bytes of the format (one record, no producer)", () => {
    const builder = new BatchBuilder();
    builder.append(Buffer.from("a"), Buffer.from("bc"), undefined, 258);
    const batch = builder.finish();
    expect(batch.toString("hex")).toBe(
      [
        "0000000000000000", // base offset
        "0000003b", // length after this field
        "ffffffff", // leader epoch
        "02",
        crc32c(batch.subarray(21)).toString(16).padStart(8, "0"),
        "0000",
        "00000000", // last offset delta
        "0000000000000102",
        "0000000000000102",
        "ffffffffffffffff",
        "ffff",
        "ffffffff",
        "00000001",
        "12", // record length 9
        "00", // attributes
        "00", // timestamp delta
        "00", // offset delta
        "0261", // key
        "046263", // value
        "00", // headers
      ].join(""),
    );
    expect(checkBatch(batch)).toBeUndefined();
  });

  it("header: gives back what was written (producer, several timestamps)", () => {
    const batch = smallBatch();
    patchBatch(batch, 9_000_000_000, 17);
    expect(readBatchHeader(batch)).toEqual({
      baseOffset: 9_000_000_000,
      bytes: batch.length,
      leaderEpoch: 17,
      attributes: 0,
      baseTimestampMs: 1000,
      maxTimestampMs: 1_767_225_600_000,
      recordCount: 3,
      lastOffsetDelta: 2,
      ...PRODUCER,
    });
    expect(checkBatch(batch)).toBeUndefined();
  });

  it("header: says undefined when fewer bytes are left (short input)", () => {
    expect(readBatchHeader(Buffer.alloc(BATCH_HEADER_BYTES - 1))).toBeUndefined();
    expect(readBatchHeader(Buffer.alloc(BATCH_HEADER_BYTES), 1)).toBeUndefined();
  });

  it("decode: gives back what was appended (null, empty, text, headers, time going back)", () => {
    const batch = smallBatch();
    patchBatch(batch, 100, 1);
    expect(decodeBatch(batch)).toEqual([
      {
        offset: 100,
        timestampMs: 1000,
        key: Buffer.from("k"),
        value: Buffer.from("v1"),
        headers: [],
      },
      {
        offset: 101,
        timestampMs: 990,
        key: undefined,
        value: Buffer.from("zwei"),
        headers: [{ name: "h", value: Buffer.from([1, 2]) }],
      },
      {
        offset: 102,
        timestampMs: 1_767_225_600_000,
        key: Buffer.alloc(0),
        value: undefined,
        headers: [],
      },
    ]);
  });

  it("decode: is the inverse of the builder (any records)", () => {
    const bytes = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined });
    const headers = fc.array(
      fc.record({
        name: fc.string({ minLength: 1, maxLength: 30, unit: "grapheme-ascii" }),
        value: fc.uint8Array({ maxLength: 20 }),
      }),
      { maxLength: 4 },
    );
    const timestampMs = fc.integer({ min: 0, max: 4e12 });
    const record = fc.record({ key: bytes, value: bytes, headers, timestampMs });
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 80 }), (records) => {
        const builder = new BatchBuilder(64);
        for (const { key, value, headers: list, timestampMs: at } of records) {
          builder.append(key, value, list, at);
        }
        const batch = builder.finish(PRODUCER);
        expect(checkBatch(batch)).toBeUndefined();
        const plain = (list: readonly RecordHeader[]): [string, number[]][] =>
          list.map(({ name, value }) => [name, [...value]]);
        expect(
          decodeBatch(batch).map((found) => [
            found.offset,
            found.timestampMs,
            found.key && [...found.key],
            found.value && [...found.value],
            plain(found.headers),
          ]),
        ).toEqual(
          records.map((wanted, i) => [
            i,
            wanted.timestampMs,
            wanted.key && [...wanted.key],
            wanted.value && [...wanted.value],
            plain(wanted.headers),
          ]),
        );
      }),
      { numRuns: 200 },
    );
  });

  it("check: names the field (each damaged in turn)", () => {
    const cases: readonly [string, (batch: Buffer) => Buffer][] = [
      ["batchLength", (b) => b.subarray(0, b.length - 1)],
      ["batchLength", (b) => b.subarray(0, 30)],
      [
        "magic",
        (b) => {
          b[16] = 1;
          return b;
        },
      ],
      [
        "crc",
        (b) => {
          b[70] = (b[70] ?? 0) ^ 1;
          return b;
        },
      ],
      [
        "recordCount",
        (b) => {
          b.writeInt32BE(0, 57);
          return resealed(b);
        },
      ],
      [
        "recordCount",
        (b) => {
          b.writeInt32BE(1000, 57);
          return resealed(b);
        },
      ],
      [
        "lastOffsetDelta",
        (b) => {
          b.writeInt32BE(7, 23);
          return resealed(b);
        },
      ],
      [
        "attributes.compression",
        (b) => {
          b.writeInt16BE(1, 21);
          return resealed(b);
        },
      ],
      [
        "attributes.control",
        (b) => {
          b.writeInt16BE(0x20, 21);
          return resealed(b);
        },
      ],
      [
        "attributes",
        (b) => {
          b.writeInt16BE(0x10, 21);
          return resealed(b);
        },
      ],
      [
        "producerId",
        (b) => {
          b.writeInt32BE(0x7fff_ffff, 43);
          return resealed(b);
        },
      ],
      [
        "producerEpoch",
        (b) => {
          b.writeInt16BE(-1, 51);
          return resealed(b);
        },
      ],
      [
        "baseSequence",
        (b) => {
          b.writeInt32BE(-1, 53);
          return resealed(b);
        },
      ],
      [
        "baseTimestamp",
        (b) => {
          b.writeInt32BE(0x7fff_ffff, 27);
          return resealed(b);
        },
      ],
    ];
    for (const [field, damage] of cases) {
      expect(checkBatch(damage(smallBatch()))?.field).toBe(field);
    }
  });

  it("decode: ends with a typed error, never another one (random damage)", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        fc.nat(200),
        (damages, cutBytes) => {
          const whole = Buffer.from(smallBatch());
          for (const [at, value] of damages) whole[at % whole.length] = value;
          const bytes = whole.subarray(
            0,
            Math.max(0, whole.length - (cutBytes > 120 ? 0 : cutBytes)),
          );
          try {
            for (const record of decodeBatch(bytes)) expect(record.offset).toBeTypeOf("number");
          } catch (error) {
            expect(error).toBeInstanceOf(BrokerError);
            expect((error as BrokerError).reason).toBe("MALFORMED_BATCH");
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("decode: refuses records that are not numbered 0, 1, 2 … (offset delta)", () => {
    const builder = new BatchBuilder();
    builder.append(undefined, Buffer.from("x"), undefined, 0);
    const batch = builder.finish();
    batch[BATCH_HEADER_BYTES + 3] = 2;
    expect(() => decodeBatch(resealed(batch))).toThrow(/record\.offsetDelta/);
  });

  it("rewrite: gives another producer and a valid checksum (records unchanged)", () => {
    const batch = smallBatch();
    const before = decodeBatch(batch);
    rewriteProducer(batch, 12, 4, 9);
    expect(checkBatch(batch)).toBeUndefined();
    expect(readBatchHeader(batch)).toMatchObject({
      producerId: 12,
      producerEpoch: 4,
      baseSequence: 9,
    });
    expect(decodeBatch(batch)).toEqual(before);
  });

  it("batches: are found one behind the other (and a cut tail is refused)", () => {
    const bytes = Buffer.concat([smallBatch(), smallBatch()]);
    const [first, second] = [...batchesIn(bytes)];
    expect(first?.position).toBe(0);
    expect(second?.position).toBe(bytes.length / 2);
    expect(() => [...batchesIn(bytes.subarray(0, -1))]).toThrow(BrokerError);
  });

  it("builder: refuses what is beyond a limit and stays usable (key, headers, name, time)", () => {
    const builder = new BatchBuilder();
    const value = Buffer.alloc(1);
    expect(() => builder.append(Buffer.alloc(KEY_BYTES_MAX + 1), value, undefined, 0)).toThrow(
      /key/,
    );
    const many = Array.from({ length: HEADERS_PER_RECORD_MAX + 1 }, () => ({ name: "n", value }));
    expect(() => builder.append(undefined, value, many, 0)).toThrow(/headers/);
    expect(() => builder.append(undefined, value, [{ name: "", value }], 0)).toThrow(/name/);
    expect(() => builder.append(undefined, value, undefined, 1.5)).toThrow(/timestampMs/);
    expect(builder.recordCount).toBe(0);
    builder.append(undefined, value, undefined, 0);
    expect(decodeBatch(builder.finish())).toHaveLength(1);
    expect(builder.recordCount).toBe(0);
  });
});
