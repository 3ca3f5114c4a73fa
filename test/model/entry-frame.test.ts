import { describe, expect, it } from "vitest";
import { crc32c } from "../../src/base/crc32c.ts";
import {
  batchOf,
  checkSections,
  decodeFrame,
  decodeFrames,
  encodeFrame,
  type Frame,
  FrameError,
  type FrameFields,
  frameSections,
  SECTION,
  sectionOf,
  verifyFrame,
} from "../../src/model/entry-frame.ts";
import { batchBytes, frame, run } from "../log/frames.ts";

const FIELDS: FrameFields = {
  kind: "noop",
  index: 7,
  term: 3,
  baseOffset: 40,
  recordCount: 0,
  layoutEpoch: 2,
  appendTimeMs: 1_700_000_000_000,
};

function decoded(bytes: Buffer, position = 0): Frame {
  const result = decodeFrame(bytes, position);
  if ("problem" in result) throw new FrameError(result);
  return result;
}

function problemOf(bytes: Buffer, position = 0): string {
  const result = decodeFrame(bytes, position);
  return "problem" in result ? result.problem : "none";
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}

/** A version-1 frame with some header bytes replaced and the checksum made right again. */
function resealed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = changed(bytes, at, value);
  const seed = crc32c(copy.subarray(0, 60));
  copy.writeUInt32BE(copy.length === 64 ? seed : crc32c(copy.subarray(64), seed), 60);
  return copy;
}

describe("entry frame: bytes", () => {
  it("encode: noop frame has the documented bytes (hex vector)", () => {
    expect(encodeFrame(FIELDS, []).bytes.toString("hex")).toBe(
      [
        "464c0101", // magic, version, kind
        "00000040", // length
        "0000000000000007", // index
        "0000000000000003", // term
        "0000000000000028", // base offset
        "00000000", // record count
        "00000002", // layout epoch
        "0000018bcfe56800", // append time
        "00000000", // sections
        "0000000000000000", // reserved
        "6d90099b",
      ].join(""),
    );
  });

  it("encode: command and hints (hex vector)", () => {
    const made = encodeFrame({ ...FIELDS, kind: "data" }, [
      { type: SECTION.COMMAND, ignorable: false, bytes: Buffer.from('{"v":1}') },
      { type: SECTION.HINTS, ignorable: true, bytes: Buffer.from([1, 2, 3]) },
    ]);
    expect(made.bytes.subarray(64).toString("hex")).toBe(
      `01000000${"00000007"}${Buffer.from('{"v":1}').toString("hex")}02010000${"00000003"}010203`,
    );
    expect(made.bytes.readUInt32BE(4)).toBe(64 + 8 + 7 + 8 + 3);
    expect(made.bytes.subarray(60, 64).toString("hex")).toBe("2d12c0f7");
  });

  it("encode: copies the batch (caller reuses its buffer)", () => {
    const batch = batchBytes(2, 10, 1);
    const made = encodeFrame({ ...FIELDS, kind: "data", recordCount: 2 }, [
      { type: SECTION.BATCH, ignorable: false, bytes: batch },
    ]);
    batch.fill(0);
    expect(verifyFrame(made)).toBeUndefined();
    expect(batchOf(made)?.length).toBe(71);
  });

  it("encode: numbers up to 2^53 − 1 come back", () => {
    const most = Number.MAX_SAFE_INTEGER;
    const fields = { ...FIELDS, index: most, term: most, baseOffset: most, appendTimeMs: most };
    const { bytes, ...rest } = decoded(encodeFrame(fields, []).bytes);
    expect(rest).toEqual(fields);
    expect(bytes.length).toBe(64);
  });

  it("encode: refuses a batch that is not last", () => {
    const batch = { type: SECTION.BATCH, ignorable: false, bytes: batchBytes(1, 0, 0) };
    const hints = { type: SECTION.HINTS, ignorable: true, bytes: Buffer.alloc(1) };
    expect(() => encodeFrame(FIELDS, [batch, hints])).toThrow("last section");
  });
});

describe("entry frame: damage", () => {
  const whole = encodeFrame({ ...FIELDS, kind: "data", recordCount: 1 }, [
    { type: SECTION.COMMAND, ignorable: false, bytes: Buffer.from("{}") },
    { type: SECTION.BATCH, ignorable: false, bytes: batchBytes(1, 20, 9) },
  ]).bytes;
  const batchAt = whole.length - 81;

  it("decode: every shorter prefix is torn", () => {
    for (let length = 0; length < whole.length; length += 1) {
      expect(problemOf(whole.subarray(0, length))).toBe("torn");
    }
  });

  it("decode and verify: every flipped bit is found", () => {
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const at = bit >>> 3;
      const copy = changed(whole, at, (whole[at] ?? 0) ^ (1 << (bit & 7)));
      const result = decodeFrame(copy, 0);
      const isFound = "problem" in result || verifyFrame(result) !== undefined;
      expect(isFound, `bit ${bit}`).toBe(true);
    }
  });

  it("decode: headerCrc covers the batch's first 21 bytes and not the rest", () => {
    expect(problemOf(changed(whole, batchAt + 3, 1))).toBe("corrupt");
    expect(problemOf(changed(whole, batchAt + 12, 1))).toBe("corrupt");
    expect(problemOf(changed(whole, batchAt + 21, 1))).toBe("none");
    expect(verifyFrame(decoded(changed(whole, batchAt + 21, 1)))?.problem).toBe("corrupt");
  });

  it("decode: zeros are corrupt, not torn", () => {
    expect(problemOf(Buffer.alloc(200))).toBe("corrupt");
  });

  it("decode: a newer version with right checksums is told apart", () => {
    const { bytes } = encodeFrame(FIELDS, []);
    expect(problemOf(resealed(bytes, 2, 2))).toBe("version");
    expect(problemOf(resealed(bytes, 3, 9))).toBe("version");
    expect(problemOf(changed(bytes, 2, 2))).toBe("corrupt");
  });

  it("decode: numbers above 2^53 − 1 are refused", () => {
    expect(problemOf(resealed(encodeFrame(FIELDS, []).bytes, 8, 0x7f))).toBe("corrupt");
  });

  it("decodeFrames: a run decodes, anything behind it throws", () => {
    const bytes = Buffer.concat(run(1, 3).map((one) => one.bytes));
    expect(decodeFrames(bytes).map(({ index }) => index)).toEqual([1, 2, 3]);
    expect(() => decodeFrames(Buffer.concat([bytes, Buffer.from([1])]))).toThrow(FrameError);
    expect(decodeFrames(Buffer.alloc(0))).toEqual([]);
  });
});

describe("entry frame: sections", () => {
  it("sections: are views in order", () => {
    const made = encodeFrame({ ...FIELDS, kind: "data", recordCount: 1 }, [
      { type: SECTION.COMMAND, ignorable: false, bytes: Buffer.from("{}") },
      { type: SECTION.HINTS, ignorable: true, bytes: Buffer.alloc(0) },
      { type: SECTION.BATCH, ignorable: false, bytes: batchBytes(1, 0, 0) },
    ]);
    const { bytes } = decoded(made.bytes);
    const types = frameSections(made).map(({ type, ignorable }) => [type, ignorable]);
    expect(types).toEqual([
      [1, false],
      [2, true],
      [3, false],
    ]);
    expect(sectionOf(made, SECTION.HINTS)?.length).toBe(0);
    expect(sectionOf(made, SECTION.MESSAGE_IDS)).toBeUndefined();
    expect(batchOf(made)?.buffer).toBe(bytes.buffer);
  });

  it("checkSections: an unknown section stops only when it is required", () => {
    const unknown = { type: 77, bytes: Buffer.from([1]) };
    const ignorable = encodeFrame(FIELDS, [{ ...unknown, ignorable: true }]);
    const required = encodeFrame(FIELDS, [{ ...unknown, ignorable: false }]);
    expect(() => checkSections(ignorable)).not.toThrow();
    expect(() => checkSections(frame({ index: 1 }))).not.toThrow();
    expect(() => checkSections(required)).toThrow(FrameError);
    expect(decoded(required.bytes).index).toBe(7);
  });
});
