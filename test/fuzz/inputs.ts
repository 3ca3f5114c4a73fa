// Inputs for a subject: seeds that were cut, spliced, flipped, or given lengths that nobody has; protobuf-shaped bytes; noise.
// Everything comes from fast-check, so that a failure shrinks and its seed repeats it.
import * as fc from "fast-check";
import type { Subject } from "./subject.ts";

/** Values that lengths, counts and positions get. */
const LENGTHS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const BYTES_MAX = 64 * 1024;

type Edit =
  | { readonly kind: "flip"; readonly at: number; readonly mask: number }
  | { readonly kind: "length"; readonly at: number; readonly value: number; readonly width: number }
  | { readonly kind: "cut"; readonly at: number; readonly count: number }
  | { readonly kind: "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "repeat"; readonly at: number; readonly count: number }
  | { readonly kind: "end"; readonly at: number };

/** A place in the input, as a part of its length. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constant("flip" as const),
    at: place,
    mask: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({
    kind: fc.constant("length" as const),
    at: place,
    value: fc.constantFrom(...LENGTHS),
    width: fc.constantFrom(1, 2, 4),
  }),
  fc.record({
    kind: fc.constant("cut" as const),
    at: place,
    count: fc.integer({ min: 1, max: 40 }),
  }),
  fc.record({
    kind: fc.constant("insert" as const),
    at: place,
    bytes: fc.uint8Array({ maxLength: 40 }),
  }),
  fc.record({
    kind: fc.constant("repeat" as const),
    at: place,
    count: fc.integer({ min: 1, max: 200 }),
  }),
  fc.record({ kind: fc.constant("end" as const), at: place }),
);

export function inputsOf(subject: Subject): fc.Arbitrary<Buffer> {
  const damaged = fc
    .record({
      seed: fc.nat({ max: Math.max(subject.seeds.length - 1, 0) }),
      edits: fc.array(edit, { maxLength: 6 }),
      isRepaired: fc.boolean(),
    })
    .map(({ edits, isRepaired, seed }) => {
      const bytes = edits.reduce(apply, subject.seeds[seed] ?? Buffer.alloc(0));
      return isRepaired && subject.repair !== undefined ? subject.repair(bytes) : bytes;
    });
  const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  return fc.oneof({ weight: 6, arbitrary: damaged }, { weight: 1, arbitrary: noise });
}

/** Bytes that look like a protobuf message: fields of any number and type, nested. */
export const protobufBytes: fc.Arbitrary<Buffer> = fc.letrec<{ message: Buffer; field: Buffer }>(
  (tie) => ({
    message: fc
      .array(tie("field"), { maxLength: 8, depthIdentifier: "message" })
      .map((fields) => Buffer.concat(fields)),
    field: fc.oneof(
      { depthIdentifier: "message", maxDepth: 4 },
      fc
        .tuple(fieldNumber(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
        .map(([number, value]) => Buffer.concat([varint(BigInt(number * 8)), varint(value)])),
      fc
        .tuple(fieldNumber(), fc.uint8Array({ maxLength: 60 }))
        .map(([number, bytes]) => prefixed(number, Buffer.from(bytes))),
      fc
        .tuple(fieldNumber(), fc.string({ maxLength: 20 }))
        .map(([number, text]) => prefixed(number, Buffer.from(text))),
      fc.tuple(fieldNumber(), tie("message")).map(([number, bytes]) => prefixed(number, bytes)),
      fc
        .tuple(fieldNumber(), fc.constantFrom(1, 3, 4, 5, 6, 7), fc.uint8Array({ maxLength: 9 }))
        .map(([number, type, bytes]) => Buffer.concat([varint(BigInt(number * 8 + type)), bytes])),
    ),
  }),
).message;

function fieldNumber(): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 1, max: 12 }) },
    { weight: 1, arbitrary: fc.nat() },
  );
}

function prefixed(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(BigInt(number * 8 + 2)), varint(BigInt(bytes.length)), bytes]);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

function apply(input: Buffer, change: Edit): Buffer {
  const at = Math.floor(change.at * input.length);
  const bytes = Buffer.from(input);
  switch (change.kind) {
    case "flip":
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ change.mask;
      return bytes;
    case "length":
      if (at + change.width <= bytes.length) {
        bytes.writeUIntBE(change.value % 256 ** change.width, at, change.width);
      }
      return bytes;
    case "cut":
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.count)]);
    case "insert":
      return Buffer.concat([bytes.subarray(0, at), change.bytes, bytes.subarray(at)]);
    case "repeat": {
      const piece = bytes.subarray(at, at + 24);
      const copies = Array.from({ length: change.count }, () => piece);
      return Buffer.concat([bytes.subarray(0, at), ...copies, bytes.subarray(at)]).subarray(
        0,
        BYTES_MAX,
      );
    }
    case "end":
      return bytes.subarray(0, at);
  }
}
