// The table of patterns: routing keys (words between "."), topic names (parts between "/", RE2 expressions); what is refused,
// and that nothing can be made slow.
import { describe, expect, it } from "vitest";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { checkTopicSelection, compileTopicSelection } from "../../src/filter/topic-selection.ts";
import type { TopicSelection } from "../../src/model/subscription.ts";
import { messageView, refusal } from "./message-view.ts";

function matchesKey(pattern: string, key: string): boolean {
  const headers = { "flotilla-routing-key": key };
  return compileFilter({ kind: "topic", patterns: [pattern] }).matches(messageView({ headers }));
}

function selects(selection: TopicSelection, topic: string): boolean {
  return compileTopicSelection(checkTopicSelection(selection))(topic);
}

/** Pattern, what it matches, what it does not. */
const KEYS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["#", ["", "a", "a.b", "a..b", "."], []],
  ["*", ["a", "#", "*"], ["", "a.b", ".", "a."]],
  ["*.*", ["a.b", ".", "a."], ["a", "a.b.c"]],
  ["a", ["a"], ["", "A", "a.", ".a", "aa", "a.a"]],
  ["a.b", ["a.b"], ["a", "a.b.c", "ab", "a..b"]],
  ["a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]],
  ["*.a", ["b.a", ".a"], ["a", "a.b"]],
  ["a.#", ["a", "a.b", "a.b.c", "a."], ["", "b", "b.a", "ab"]],
  ["#.a", ["a", "b.a", "a.a", "a.b.a", ".a"], ["a.b", "ba"]],
  ["#.a.#", ["a", "a.b", "b.a", "b.a.c", "a.a.a"], ["", "b", "ab.ba"]],
  ["a.#.a", ["a.a", "a.b.a", "a.a.a", "a.b.c.a"], ["a", "a.b"]],
  ["a.#.*", ["a.b", "a.b.c"], ["a", "b.a"]],
  ["*.#", ["a", "a.b"], [""]],
  ["#.*", ["a", "a.b"], [""]],
  ["#.#", ["", "a", "a.b.c"], []],
  ["#.*.#.*.#", ["a.b", "a.b.c"], ["", "a"]],
  ["*.b.#.d.*", ["a.b.d.e", "a.b.c.d.e", "a.b.d.d.e"], ["a.b.d", "b.d.e", "a.b.e"]],
  ["a..b", ["a..b"], ["a.b", "a.x.b"]],
  ["größe.🚢", ["größe.🚢"], ["größe", "grösse.🚢"]],
];

describe.each(KEYS)("routing keys: %s", (pattern, matching, others) => {
  it.each(matching)('matches "%s"', (key) => {
    expect(matchesKey(pattern, key)).toBe(true);
  });

  if (others.length > 0) {
    it.each(others)('does not match "%s"', (key) => {
      expect(matchesKey(pattern, key)).toBe(false);
    });
  }
});

/** Expression, what it selects, what it does not. */
const NAMES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["orders", ["orders"], ["order", "orders2", "my-orders", "Orders"]],
  ["orders-[0-9]{4}", ["orders-2026"], ["orders-202", "orders-20261"]],
  ["(?i)orders", ["ORDERS", "orders"], ["order"]],
  ["a|b", ["a", "b"], ["ab", "ac", "xb"]],
  ["shop/.*", ["shop/a", "shop/a/b"], ["shop", "workshop/a"]],
  ["shop/[^/]*", ["shop/a"], ["shop/a/b"]],
  ["^a$", ["a"], ["aa"]],
  ["a.c", ["abc", "a.c", "a/c"], ["ac"]],
  ["a\\.c", ["a.c"], ["abc"]],
  [".*", ["a", "a/b"], ["dlq/a", "__own"]],
  ["(a+)+", ["a", "aaaa"], ["b", "aab"]],
];

describe.each(NAMES)("topic names by expression: %s", (regex, selected, others) => {
  it.each(selected)("selects %s", (topic) => {
    expect(selects({ kind: "regex", regex }, topic)).toBe(true);
  });

  it.each(others)("does not select %s", (topic) => {
    expect(selects({ kind: "regex", regex }, topic)).toBe(false);
  });
});

describe("patterns: malformed", () => {
  it.each([["a*"], ["*a.b"], ["a.b#"], ["##"], ["a.**.b"], ["*#"]])(
    "routing keys: %s",
    (pattern) => {
      const filter = { kind: "topic", patterns: ["a.#", pattern] } as const;
      const { reason, fields } = refusal(() => compileFilter(filter));
      expect(reason).toBe("INVALID_REQUEST");
      expect(fields).toMatchObject({ field: "filter.patterns[1]" });
    },
  );

  it.each<[string, number]>([
    ["a(b", 0],
    ["a)b", 0],
    ["ab[c", 2],
    ["a**", 1],
    ["*a", 0],
    ["x(?=a)", 1],
    ["x(?<!a)", 1],
    ["(a)\\1", 3],
    ["a{2,1}", 1],
    ["a{1001}", 1],
    ["[z-a]", 1],
  ])("expressions: %s", (regex, position) => {
    const { reason, fields } = refusal(() => checkTopicSelection({ kind: "regex", regex }));
    expect(reason).toBe("INVALID_REQUEST");
    expect(fields).toMatchObject({ field: "topics.regex" });
    if (fields["position"] !== undefined) expect(fields["position"]).toBe(position);
  });
});

/** Were one of these exponential, the test would not come to its end. */
describe("patterns: made to be slow", () => {
  const words = (word: string, count: number): string =>
    Array.from({ length: count }, () => word).join(".");

  it.each([
    ["only #", words("#", 128), true],
    ["# and words", words("#.a", 64), true],
    ["# and words that do not end so", `${words("#.a", 60)}.b`, false],
    ["# and *", `${words("#.*", 60)}.b`, false],
    ["one long piece that almost fits", `#.${words("a", 120)}.b.#`, false],
  ])("routing keys of 2048 words: %s", (_, pattern, expected) => {
    const key = words("a", 2048);
    const patterns = Array.from({ length: expected ? 1 : 64 }, () => pattern);
    const { matches } = compileFilter({ kind: "topic", patterns });
    const headers = { "flotilla-routing-key": key };
    expect(matches(messageView({ headers }))).toBe(expected);
  });

  it("topic names: many '#' over many parts", () => {
    const patterns = [`${Array.from({ length: 40 }, () => "#/a").join("/")}/b`];
    const topic = Array.from({ length: 100 }, () => "a").join("/");
    expect(selects({ kind: "patterns", patterns }, topic)).toBe(false);
  });

  it.each([
    ["(a+)+$"],
    ["(a|aa)+$"],
    ["(a|a?)+$"],
    ["((a*)*)*$"],
    ["(.*)*x"],
    ["(.*a){12}"],
    ["(a?){50}a{50}$"],
    ["(?:a+)+(?:a+)+(?:a+)+$"],
  ])("expressions: %s", (regex) => {
    const select = compileTopicSelection(checkTopicSelection({ kind: "regex", regex }));
    for (let round = 0; round < 100; round += 1) {
      expect(select(`${"a".repeat(199)}b`)).toBe(false);
    }
  });

  it.each([["(((a{10}){10}){10}){10}"], ["(a{1,300})"], ["((a?){30}){30}"]])(
    "expressions that are refused, for they become too large: %s",
    (regex) => {
      const { fields } = refusal(() => checkTopicSelection({ kind: "regex", regex }));
      expect(fields).toMatchObject({ field: "topics.regex" });
    },
  );
});
