import { describe, expect, it } from "vitest";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { type Filter, parseFilter } from "../../src/filter/filter-definition.ts";
import { matchesWords } from "../../src/filter/word-pattern.ts";
import { tagHash } from "../../src/model/batch-hints.ts";
import { messageView, refusal } from "./message-view.ts";

function matches(filter: Filter, headers: Readonly<Record<string, string>>): boolean {
  return compileFilter(filter).matches(messageView({ headers }));
}

const routed = (key: string) => ({ "flotilla-routing-key": key });

describe("filters", () => {
  it("all, fanout: everything, and nothing needs to be decoded", () => {
    for (const kind of ["all", "fanout"] as const) {
      expect(matches({ kind }, {})).toBe(true);
      expect(compileFilter({ kind }).isEverything).toBe(true);
    }
  });

  it("tags: any of them; spaces and empty words do not count", () => {
    const filter: Filter = { kind: "tags", tags: ["red", "blue"] };
    expect(matches(filter, { "flotilla-tags": "green, blue" })).toBe(true);
    expect(matches(filter, { "flotilla-tags": "green,,bluegreen" })).toBe(false);
    expect(matches(filter, {})).toBe(false);
    expect(compileFilter(filter).tagHashes).toEqual(new Set([tagHash("red"), tagHash("blue")]));
  });

  it("tag hashes: part of a format, so they never change", () => {
    expect([tagHash(""), tagHash("a"), tagHash("red"), tagHash("größe")]).toEqual([
      2166136261, 3826002220, 1089765596, 637731906,
    ]);
  });

  it("direct: the routing key is one of the keys", () => {
    expect(matches({ kind: "direct", keys: ["a.b", "c"] }, routed("a.b"))).toBe(true);
    expect(matches({ kind: "direct", keys: ["a.b", "c"] }, routed("a"))).toBe(false);
    expect(matches({ kind: "direct", keys: ["a"] }, {})).toBe(false);
  });

  it("headers: all or any of the conditions; null asks only that it is there", () => {
    const headers = { type: "order", eu: null };
    expect(matches({ kind: "headers", match: "all", headers }, { type: "order", eu: "" })).toBe(
      true,
    );
    expect(matches({ kind: "headers", match: "all", headers }, { type: "order" })).toBe(false);
    expect(matches({ kind: "headers", match: "any", headers }, { type: "order" })).toBe(true);
    expect(matches({ kind: "headers", match: "any", headers }, { type: "bill" })).toBe(false);
  });

  it.each([
    ["#", "", true],
    ["*", "", false],
    ["#", "a.b.c", true],
    ["a.*", "a.b", true],
    ["a.*", "a", false],
    ["a.*", "a.b.c", false],
    ["a.#", "a", true],
    ["a.#", "a.b.c", true],
    ["#.c", "a.b.c", true],
    ["#.b.#", "a.b.c", true],
    ["a.#.c", "a.c", true],
    ["a.#.*.c", "a.c", false],
    ["*.*", "a.b", true],
    ["a..b", "a..b", true],
  ])("topic: %s over %s is %s", (pattern, key, expected) => {
    expect(matches({ kind: "topic", patterns: [pattern] }, routed(key))).toBe(expected);
  });

  it("topic: many '#' cost no more than pattern × words", () => {
    const pattern = Array.from({ length: 100 }, () => ["#", "a"]).flat();
    const words = Array.from({ length: 1000 }, () => "a");
    expect(matchesWords([...pattern, "b"], words)).toBe(false);
  });
});

describe("filters: what is refused", () => {
  it.each([
    [undefined, "filter"],
    [[], "filter"],
    [{ kind: "regex" }, "filter.kind"],
    [{ kind: "all", tags: ["a"] }, "filter.tags"],
    [{ kind: "tags" }, "filter.tags"],
    [{ kind: "tags", tags: [] }, "filter.tags"],
    [{ kind: "tags", tags: ["a", ""] }, "filter.tags[1]"],
    [{ kind: "tags", tags: Array.from({ length: 65 }, () => "a") }, "filter.tags"],
    [{ kind: "direct", keys: [7] }, "filter.keys[0]"],
    [{ kind: "sql", expression: " " }, "filter.expression"],
    [{ kind: "sql", expression: "a".repeat(4097) }, "filter.expression"],
    [{ kind: "headers", match: "some", headers: { a: "b" } }, "filter.match"],
    [{ kind: "headers", match: "all", headers: {} }, "filter.headers"],
    [{ kind: "headers", match: "all", headers: { a: 1 } }, "filter.headers.a"],
  ])("%j", (value, field) => {
    const { reason, fields } = refusal(() => parseFilter(value));
    expect(reason).toBe("INVALID_REQUEST");
    expect(fields["field"]).toBe(field);
    expect(String(fields["limit"]).length).toBeGreaterThan(3);
  });

  it("what is accepted comes back as it was given", () => {
    const filters: Filter[] = [
      { kind: "all" },
      { kind: "tags", tags: ["a"] },
      { kind: "sql", expression: "a = 1" },
      { kind: "headers", match: "any", headers: { a: null, b: "c" } },
    ];
    for (const filter of filters)
      expect(parseFilter(JSON.parse(JSON.stringify(filter)))).toEqual(filter);
  });

  it("patterns: wildcards stand for whole words", () => {
    const error = refusal(() => compileFilter({ kind: "topic", patterns: ["a.b", "a*.b"] }));
    expect(error.fields["field"]).toBe("filter.patterns[1]");
  });
});

describe("filters: what is too long to be looked at", () => {
  const long = "a.".repeat(2049);

  it.each<[Filter, boolean]>([
    [{ kind: "topic", patterns: ["#"] }, false],
    [{ kind: "direct", keys: ["a"] }, false],
    [{ kind: "tags", tags: ["a"] }, false],
    [{ kind: "headers", match: "all", headers: { "flotilla-tags": null } }, true],
    [{ kind: "headers", match: "all", headers: { "flotilla-tags": "a" } }, false],
    [{ kind: "fanout" }, true],
  ])("%j: %s", (filter, expected) => {
    const tags = `a,${long}`;
    expect(matches(filter, { "flotilla-routing-key": long, "flotilla-tags": tags })).toBe(expected);
  });
});
