import { describe, expect, it } from "vitest";
import { canonicalFilter, filterOf } from "../../src/filter/canonical-filter.ts";

describe("canonical filter", () => {
  it.each([
    ["", ""],
    ['{"kind":"all"}', ""],
    [' { "kind" : "fanout" } ', '{"kind":"fanout"}'],
    ['{"tags":["b","a","b"],"kind":"tags"}', '{"kind":"tags","tags":["a","b"]}'],
    ['{"kind":"direct","keys":["y","x"]}', '{"kind":"direct","keys":["x","y"]}'],
    ['{"kind":"topic","patterns":["b.*","a.#"]}', '{"kind":"topic","patterns":["a.#","b.*"]}'],
    [
      '{"kind":"headers","match":"any","headers":{"b":null,"a":"1"}}',
      '{"kind":"headers","match":"any","headers":{"a":"1","b":null}}',
    ],
    ['{"kind":"sql","expression":"a  > 1"}', '{"kind":"sql","expression":"a  > 1"}'],
  ])("one text for all ways to write it: %s", (json, canonical) => {
    expect(canonicalFilter(json)).toBe(canonical);
    expect(canonicalFilter(canonical)).toBe(canonical);
    expect(filterOf(canonical).kind).toBe(canonical === "" ? "all" : JSON.parse(json).kind);
  });

  it.each([
    ["{", { field: "filter" }],
    ["[]", { field: "filter" }],
    ['{"kind":"tag"}', { field: "filter.kind" }],
    ['{"kind":"sql","expression":"a >"}', { field: "filter.expression", position: 3 }],
    [`{"kind":"all"${" ".repeat(70_000)}}`, { field: "filter" }],
  ])("malformed: %s", (json, fields) => {
    let refusal: unknown;
    try {
      canonicalFilter(json);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ reason: "INVALID_REQUEST", fields });
  });
});
