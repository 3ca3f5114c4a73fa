import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { declarations, loadProtos } from "../../../scripts/generate/proto-files.ts";
import * as peer from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import * as v1 from "../../../src/rpc/generated/flotilla-v1.ts";
import type { MessageType } from "../../../src/rpc/wire/message-type.ts";

// Every generated codec is compared with protobufjs, an independent implementation, on random messages.

const root = loadProtos();
const CHUNKED = new Set([
  "CursorBatches.batches",
  "RaftMessage.frames",
  "ReadEntriesResponse.frames",
]);
const types = ["flotilla.v1", "flotilla.internal.v1"].flatMap((name) =>
  declarations(root.lookup(name) as protobuf.Namespace).filter(
    (item) => item instanceof protobuf.Type,
  ),
);

function codecOf(type: protobuf.Type): MessageType<unknown> {
  const all = { ...v1, ...peer } as unknown as Record<string, MessageType<unknown>>;
  const codec = all[type.name];
  if (codec === undefined) throw new Error(`no codec for ${type.fullName}`);
  return codec;
}

const numbers: Record<string, fc.Arbitrary<number>> = {
  uint32: fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff })),
  int32: fc.oneof(fc.nat(300), fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })),
  uint64: fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat()),
  int64: fc.oneof(fc.nat(300), fc.maxSafeInteger()),
};
const buffers = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));

/** A message in the shape of our interfaces. */
function messageOf(type: protobuf.Type): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(Object.fromEntries(type.fieldsArray.map((f) => [f.name, fieldValue(type, f)])));
}

function fieldValue(type: protobuf.Type, field: protobuf.Field): fc.Arbitrary<unknown> {
  field.resolve();
  if (field instanceof protobuf.MapField) {
    return fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), {
      maxKeys: 4,
      noNullPrototype: true,
    });
  }
  if (CHUNKED.has(`${type.name}.${field.name}`)) {
    return buffers.map((bytes) => (bytes.length === 0 ? [] : [bytes]));
  }
  const one = elementOf(field);
  if (field.repeated) return fc.array(one, { maxLength: 4 });
  const mayBeAbsent = field.resolvedType !== null || field.hasPresence;
  return mayBeAbsent ? fc.option(one, { nil: undefined }) : one;
}

function elementOf(field: protobuf.Field): fc.Arbitrary<unknown> {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) {
    const names = Object.entries(type.values).filter(([, number]) => number !== 0);
    return fc.constantFrom(...names.map(([name]) => ourName(type, name)));
  }
  if (type !== null) return messageOf(type);
  if (field.type === "bool") return fc.boolean();
  if (field.type === "bytes") return buffers;
  if (field.type === "string") return fc.string({ unit: "binary", maxLength: 40 });
  return numbers[field.type] ?? fc.constant(0);
}

function ourName(type: protobuf.Enum, name: string): string {
  const prefix = `${type.name.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()}_`;
  return name.replace(prefix, "").toLowerCase().replaceAll("_", "-");
}

/** The same message as protobufjs wants it. */
function theirs(type: protobuf.Type, message: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    if (value === undefined) continue;
    if (CHUNKED.has(`${type.name}.${field.name}`)) {
      result[field.name] = Buffer.concat(value as Buffer[]);
    } else if (field.repeated) {
      result[field.name] = (value as unknown[]).map((item) => theirElement(field, item));
    } else result[field.name] = field.map ? value : theirElement(field, value);
  }
  return result;
}

function theirElement(field: protobuf.Field, value: unknown): unknown {
  const type = field.resolvedType;
  if (type instanceof protobuf.Type) return theirs(type, value as Record<string, unknown>);
  if (type instanceof protobuf.Enum) {
    const found = Object.entries(type.values).find(([name]) => ourName(type, name) === value);
    return found?.[1];
  }
  return value;
}

describe("codec: agrees with protobufjs in both directions", () => {
  test.each(types.map((type) => [type.fullName, type] as const))("%s", (_name, type) => {
    const codec = codecOf(type);
    fc.assert(
      fc.property(messageOf(type), (message) => {
        const ours = codec.encode(message);
        const reference = Buffer.from(type.encode(type.fromObject(theirs(type, message))).finish());
        // Not byte for byte: protobufjs may write fields that hold a default.
        expect(codec.decode(ours)).toEqual(message);
        expect(codec.decode(reference)).toEqual(message);
        expect(normal(type, ours)).toEqual(normal(type, reference));
      }),
      { numRuns: 60 },
    );
  });
});

function normal(type: protobuf.Type, bytes: Buffer): unknown {
  return type.toObject(type.decode(bytes), { longs: Number, defaults: true });
}
