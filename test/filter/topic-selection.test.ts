import { describe, expect, it } from "vitest";
import {
  checkTopicSelection,
  compileTopicSelection,
  compileTopicsOf,
} from "../../src/filter/topic-selection.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type { TopicSelection } from "../../src/model/subscription.ts";

const names = (...list: string[]): TopicSelection => ({ kind: "names", names: list });
const patterns = (...list: string[]): TopicSelection => ({ kind: "patterns", patterns: list });
const regex = (text: string): TopicSelection => ({ kind: "regex", regex: text });

function refusalOf(selection: TopicSelection): BrokerError {
  try {
    checkTopicSelection(selection);
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

describe("topic selection", () => {
  it.each<[TopicSelection, string, boolean]>([
    [names("a", "shop/eu"), "shop/eu", true],
    [names("a"), "ab", false],
    [names("dlq/a"), "dlq/a", true],
    [patterns("shop/*/orders"), "shop/eu/orders", true],
    [patterns("shop/*/orders"), "shop/orders", false],
    [patterns("shop/*/orders"), "shop/eu/de/orders", false],
    [patterns("shop/#"), "shop", true],
    [patterns("shop/#"), "shop/eu/de/orders", true],
    [patterns("shop/#"), "shops", false],
    [patterns("#/orders"), "orders", true],
    [patterns("#/orders"), "a/b/orders", true],
    [patterns("a", "b"), "b", true],
    [patterns("*"), "a.b", true],
    [patterns("#"), "dlq/a", false],
    [patterns("dlq/*"), "dlq/a", false],
    [patterns("#"), "dlq", true],
    [patterns("#"), "__own", false],
    [regex("orders-[0-9]+"), "orders-12", true],
    [regex("orders-[0-9]+"), "my-orders-12", false],
    [regex("orders-[0-9]+"), "orders-12x", false],
    [regex("a|ab"), "ab", true],
    [regex("(?i)ORDERS"), "orders", true],
    [regex(".*"), "dlq/a", false],
    [regex(".*"), "redrive/a", false],
    [patterns("redrive/*"), "redrive/a", false],
    [patterns("#"), "redrive", true],
    [regex(".*"), "__own", false],
    [regex(".*"), "a/b/c", true],
    [regex("^shop/.*$"), "shop/x", true],
  ])("selects: %j, topic %s: %s", (selection, topic, isSelected) => {
    expect(compileTopicSelection(checkTopicSelection(selection))(topic)).toBe(isSelected);
  });

  it.each<[TopicSelection, string, boolean]>([
    [names("orders"), "redrive/mail", true],
    [patterns("shop/#"), "redrive/mail", true],
    [regex("x"), "redrive/mail", true],
    [patterns("#"), "redrive/other", false],
    [regex(".*"), "redrive/mail/eu", false],
    [patterns("#"), "dlq/mail", false],
    [names("orders"), "orders", true],
  ])("of subscription mail: %j, topic %s: %s", (selection, topic, isSelected) => {
    expect(compileTopicsOf("mail", checkTopicSelection(selection))(topic)).toBe(isSelected);
  });

  it.each<[TopicSelection, object]>([
    [names(), { field: "topics.names" }],
    [names(...Array.from({ length: 65 }, (_, at) => `t${at}`)), { limit: "1 to 64" }],
    [names("a", "a b"), { field: "topics.names[1]" }],
    [names("__own"), { field: "topics.names[0]" }],
    [names("a", "redrive/a"), { field: "topics.names[1]" }],
    [patterns(), { field: "topics.patterns" }],
    [patterns(...Array.from({ length: 17 }, (_, at) => `t${at}`)), { limit: "1 to 16" }],
    [patterns(""), { field: "topics.patterns[0]" }],
    [patterns("shop/o*/x"), { field: "topics.patterns[0]", position: 5 }],
    [patterns("a", "shop//x"), { field: "topics.patterns[1]", position: 5 }],
    [patterns("a/b c"), { position: 2 }],
    [patterns("a".repeat(201)), { limit: "1 to 200 characters" }],
    [regex(""), { field: "topics.regex", limit: "1 to 256 characters" }],
    [regex("a".repeat(257)), { limit: "1 to 256 characters" }],
    [regex("a(b"), { field: "topics.regex", limit: "missing closing )" }],
    [regex("ab[c"), { position: 2 }],
    [regex("x(?=a)"), { position: 1 }],
    [regex("(a)\\1"), { position: 3 }],
    [regex("a{1001}"), { position: 1 }],
    [regex("((a?){30}){30}"), { field: "topics.regex" }],
  ])("malformed: %j", (selection, fields) => {
    const { fields: told, reason } = refusalOf(selection);
    expect(reason).toBe("INVALID_REQUEST");
    expect(told).toMatchObject(fields);
  });

  it("twice: what is said twice is kept once (names, patterns)", () => {
    expect(checkTopicSelection(names("a", "b", "a"))).toEqual(names("a", "b"));
    expect(checkTopicSelection(patterns("a/*", "a/*"))).toEqual(patterns("a/*"));
  });

  // The time for a name may grow with its length, not with the ways to match it: a backtracking engine would need 2^100
  // steps for the first of these, so the test fails by never ending, not by a narrow limit.
  it.each([
    "(a+)+b",
    "(a|aa)*b",
    "(a|a|a)*b",
    "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b",
    "(a?){45}a{45}b",
    "([a-z]+)*!",
    "((a*)*)*b",
  ])("pathological: %s ends (names of up to 200 characters)", (text) => {
    const isSelected = compileTopicSelection(checkTopicSelection(regex(text)));
    for (let length = 1; length <= 200; length += 1)
      expect(isSelected("a".repeat(length))).toBe(false);
  });

  it("pathological: patterns of many # end (100 parts)", () => {
    const isSelected = compileTopicSelection(
      checkTopicSelection(patterns(`${"#/".repeat(90)}z`, `${"#/*/".repeat(40)}z`)),
    );
    expect(isSelected(`${"a/".repeat(99)}a`)).toBe(false);
  });
});
