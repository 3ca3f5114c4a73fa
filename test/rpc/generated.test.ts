import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { loadProtos } from "../../scripts/generate/proto-files.ts";
import { findings } from "../../scripts/generate.ts";
import { breakingChanges, contractOf, readBaseline } from "../../scripts/proto-breaking.ts";

test("generate: the generated files are up to date and the protocol broke nothing", () => {
  expect(findings()).toEqual([]);
});

test("generate: the baseline covers the released protocol", () => {
  expect(Object.keys(readBaseline()).length).toBeGreaterThan(200);
  expect(contractOf(loadProtos())).toMatchObject(readBaseline());
});

describe("breaking changes", () => {
  const before = `
    enum Acks { ACKS_UNSPECIFIED = 0; ACKS_ALL = 1; }
    message A { int32 x = 1; optional bytes y = 2; repeated string z = 3; map<string, string> m = 4; }
    message B { A a = 1; }
    service S { rpc Do(A) returns (B); rpc Flow(stream A) returns (stream B); }
  `;

  test.each([
    ["nothing", "", "", []],
    ["an added field", "int32 x = 1;", "int32 x = 1; int32 w = 9;", []],
    ["an added enum value", "ACKS_ALL = 1;", "ACKS_ALL = 1; ACKS_NONE = 2;", []],
    ["an added rpc", "rpc Do", "rpc More(A) returns (B); rpc Do", []],
    ["a removed field", "int32 x = 1;", "", ["field flotilla.v1.A.x"]],
    ["a renamed field", "int32 x = 1;", "int32 xx = 1;", ["field flotilla.v1.A.x"]],
    ["a renumbered field", "int32 x = 1;", "int32 x = 8;", ["field flotilla.v1.A.x"]],
    ["a retyped field", "int32 x = 1;", "int64 x = 1;", ["field flotilla.v1.A.x"]],
    ["a field that lost its presence", "optional bytes", "bytes", ["field flotilla.v1.A.y"]],
    ["a field that is no longer repeated", "repeated string", "string", ["field flotilla.v1.A.z"]],
    ["another map", "map<string, string>", "map<string, int32>", ["field flotilla.v1.A.m"]],
    [
      "a renumbered enum value",
      "ACKS_ALL = 1",
      "ACKS_ALL = 2",
      ["value flotilla.v1.Acks.ACKS_ALL"],
    ],
    ["a removed rpc", "rpc Do(A) returns (B);", "", ["rpc flotilla.v1.S/Do"]],
    ["a changed direction", "rpc Do(A)", "rpc Do(stream A)", ["rpc flotilla.v1.S/Do"]],
    ["another response", "Do(A) returns (B)", "Do(A) returns (A)", ["rpc flotilla.v1.S/Do"]],
  ])("breaking changes: %s", (_name, from, to, expected) => {
    const changes = breakingChanges(contract(before), contract(before.replace(from, to)));
    expect(changes).toHaveLength(expected.length);
    for (const [index, subject] of expected.entries()) expect(changes[index]).toContain(subject);
  });

  function contract(body: string): ReturnType<typeof contractOf> {
    const { root } = protobuf.parse(`syntax = "proto3"; package flotilla.v1; ${body}`);
    root.resolveAll();
    return contractOf(root);
  }
});
