import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isBrokerError } from "../../../src/model/errors.ts";
import { PeerEnvelope, RaftMessage } from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import {
  CursorBatches,
  FetchMessagesRequest,
  LaneBatch,
  LaneRefusal,
  Message,
  OpenLane,
  ProduceRequest,
  PublishMessage,
} from "../../../src/rpc/generated/flotilla-v1.ts";
import { produceService } from "../../../src/rpc/methods.ts";

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isBrokerError(error)) return error.reason;
    throw error;
  }
  return "none";
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

describe("encode", () => {
  test.each([
    ["empty", LaneBatch.create(), ""],
    ["small numbers", LaneBatch.create({ lane: 1, number: 300 }), "0801 10ac02"],
    ["bytes", LaneBatch.create({ batch: Buffer.from("abc") }), "1a03 616263"],
    ["2^53 − 1", LaneBatch.create({ number: Number.MAX_SAFE_INTEGER }), "10 ffffffffffffff0f"],
    ["2^32", LaneBatch.create({ number: 2 ** 32 }), "10 8080808010"],
  ])("encode: writes the documented bytes (%s)", (_name, message, expected) => {
    expect(LaneBatch.encode(message)).toEqual(hex(expected));
    expect(LaneBatch.decode(hex(expected))).toEqual(message);
  });

  test("encode: negative numbers take ten bytes of two's complement", () => {
    const bytes = Message.encode(Message.create({ timestampMs: -1 }));
    expect(bytes).toEqual(hex("20 ffffffffffffffffff01"));
    expect(Message.decode(bytes).timestampMs).toBe(-1);
  });

  test("encode: an absent value and an empty one differ (tombstone)", () => {
    const absent = PublishMessage.decode(PublishMessage.encode(PublishMessage.create()));
    const empty = PublishMessage.encode(PublishMessage.create({ value: Buffer.alloc(0) }));
    expect(absent.value).toBeUndefined();
    expect(PublishMessage.decode(empty).value).toEqual(Buffer.alloc(0));
  });

  test("encode: pieces are written as one byte field", () => {
    const pieces = [Buffer.from("ab"), Buffer.alloc(0), Buffer.from("c")];
    const bytes = CursorBatches.encode(CursorBatches.create({ cursor: 1, batches: pieces }));
    expect(CursorBatches.decode(bytes).batches).toEqual([Buffer.from("abc")]);
    const raft = RaftMessage.create({ kind: "append-request", frames: pieces });
    const envelope = PeerEnvelope.encode(PeerEnvelope.create({ raft: [raft] }));
    expect(PeerEnvelope.decode(envelope).raft[0]?.frames).toEqual([Buffer.from("abc")]);
  });

  test.each([
    ["uint64 negative", () => LaneBatch.encode(LaneBatch.create({ number: -1 }))],
    ["uint64 unsafe", () => LaneBatch.encode(LaneBatch.create({ number: 2 ** 53 }))],
    ["uint64 fraction", () => LaneBatch.encode(LaneBatch.create({ number: 0.5 }))],
    ["uint32 NaN", () => LaneBatch.encode(LaneBatch.create({ lane: Number.NaN }))],
    ["int32 too large", () => OpenLane.encode(OpenLane.create({ partition: 2 ** 31 }))],
  ])("encode: refuses numbers out of range (%s)", (_name, run) => {
    expect(refusal(run)).toBe("INVALID_REQUEST");
  });
});

describe("decode", () => {
  test("decode: byte fields are views of the message, not copies", () => {
    const bytes = LaneBatch.encode(LaneBatch.create({ batch: Buffer.from("abc") }));
    const { batch } = LaneBatch.decode(bytes);
    expect(batch.buffer).toBe(bytes.buffer);
  });

  test("decode: passes over unknown fields of every wire type and known ones of another type", () => {
    const unknown = "a00101 a10101020304050607 08 aa0102ffff ad0101020304".replace(" 08 ", "08 ");
    expect(LaneBatch.decode(hex(`0801 ${unknown} 1005`))).toEqual(
      LaneBatch.create({ lane: 1, number: 5 }),
    );
    expect(LaneBatch.decode(hex("0a0161 1005"))).toEqual(LaneBatch.create({ number: 5 }));
  });

  test.each([
    ["cut off number", "08"],
    ["number of eleven bytes", "08 ffffffffffffffffffff01"],
    ["uint64 2^53", "10 8080808080808010"],
    ["uint64 2^64 − 1", "10 ffffffffffffffffff01"],
    ["uint32 2^32", "08 8080808010"],
    ["field 0", "00"],
    ["length beyond the end", "1a05 616263"],
    ["length of 2 GiB", "1a ffffffff07"],
    ["group", "0b 0c"],
    ["cut off fixed64", "a101 0102"],
  ])("decode: refuses malformed bytes (%s)", (_name, bytes) => {
    expect(refusal(() => LaneBatch.decode(hex(bytes)))).toBe("INVALID_REQUEST");
  });

  test("decode: an embedded message cannot read beyond its own end", () => {
    expect(refusal(() => ProduceRequest.decode(hex("1a01 08 1005")))).toBe("INVALID_REQUEST");
    expect(refusal(() => ProduceRequest.decode(hex("1a03 1a0261 6162")))).toBe("INVALID_REQUEST");
  });

  test("decode: refuses strings that are not UTF-8, accepts a genuine U+FFFD", () => {
    expect(refusal(() => FetchMessagesRequest.decode(hex("0a01ff")))).toBe("INVALID_REQUEST");
    expect(FetchMessagesRequest.decode(hex("0a03efbfbd")).topic).toBe("\ufffd");
  });

  test("decode: refuses enum numbers it does not know (a default could weaken a promise)", () => {
    expect(refusal(() => OpenLane.decode(hex("3009")))).toBe("INVALID_REQUEST");
    expect(OpenLane.decode(hex("3000")).acks).toBeUndefined();
  });

  test("decode: bounds the number of repeated elements in a request", () => {
    const flood = Buffer.alloc(2 * 70_000);
    for (let i = 0; i < flood.length; i += 2) flood[i] = 0x0a;
    const { decodeRequest } = produceService.produce.codec;
    expect(refusal(() => decodeRequest(flood))).toBe("INVALID_REQUEST");
    expect(decodeRequest(flood.subarray(0, 2 * 16_384)).open).toHaveLength(16_384);
  });

  test('decode: a map key "__proto__" is an ordinary key', () => {
    const metadata = JSON.parse('{"__proto__":"x","a":"b"}') as Record<string, string>;
    const decoded = LaneRefusal.decode(LaneRefusal.encode(LaneRefusal.create({ metadata })));
    expect(Object.entries(decoded.metadata)).toEqual(Object.entries(metadata));
    expect(Object.getPrototypeOf(decoded.metadata)).toBe(Object.prototype);
  });

  test("decode: arbitrary bytes are decoded or refused, nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        for (const type of [ProduceRequest, PublishMessage, PeerEnvelope, LaneRefusal]) {
          expect(["none", "INVALID_REQUEST"]).toContain(
            refusal(() => type.decode(Buffer.from(bytes))),
          );
        }
      }),
      { numRuns: 2000 },
    );
  });
});
