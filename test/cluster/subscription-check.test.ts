import { describe, expect, test } from "vitest";
import { checkDefinition, type DefinitionWish } from "../../src/cluster/subscription-check.ts";
import { wishOf } from "../../src/cluster/subscription-reader.ts";
import { BrokerError } from "../../src/model/errors.ts";

const WISH: DefinitionWish = {
  name: "mail",
  topics: { names: ["orders"], patterns: [], regex: "" },
  filter: "",
  mode: "shared",
  ackDeadlineMs: 0,
  pausedUntilMs: 0,
};

const RETRY = { attemptsMax: 0, delaysMs: [], initialMs: 0, maxMs: 0, multiplierPercent: 0 };
const topics = (fields: object): Partial<DefinitionWish> => ({
  topics: { names: [], patterns: [], regex: "", ...fields },
});
const retry = (fields: object): Partial<DefinitionWish> => ({ retry: { ...RETRY, ...fields } });
const sql = (expression: string): Partial<DefinitionWish> => ({
  filter: JSON.stringify({ kind: "sql", expression }),
});

describe("definition of a subscription", () => {
  test("defaults: what is left out", () => {
    expect(checkDefinition(WISH)).toEqual({
      name: "mail",
      topics: { kind: "names", names: ["orders"] },
      filter: "",
      mode: "shared",
      retry: {
        attemptsMax: 16,
        delaysMs: [],
        initialMs: 1000,
        maxMs: 600_000,
        multiplierPercent: 200,
        jitterPercent: 20,
      },
      deadLetterTopic: "dlq/mail",
      onFailure: "skip",
      ackDeadlineMs: 30_000,
      start: { kind: "earliest" },
      pausedUntilMs: 0,
    });
  });

  test.each<[string, Partial<DefinitionWish>, object]>([
    ["keyed parks", { mode: "keyed" }, { onFailure: "park" }],
    ["fifo parks", { mode: "fifo" }, { onFailure: "park" }],
    ["exclusive stops", { mode: "exclusive" }, { onFailure: "stop" }],
    ["a policy", { mode: "exclusive", onFailure: "skip" }, { onFailure: "skip" }],
    ["patterns", topics({ patterns: ["a/#"] }), { topics: { kind: "patterns" } }],
    ["a regex", topics({ regex: "a.*" }), { topics: { kind: "regex", regex: "a.*" } }],
    ["no jitter", retry({ jitterPercent: 0 }), { retry: { jitterPercent: 0 } }],
    ["a table of delays", retry({ delaysMs: [0, 5] }), { retry: { delaysMs: [0, 5] } }],
    [
      "a long first delay raises the longest",
      retry({ initialMs: 900_000 }),
      { retry: { initialMs: 900_000, maxMs: 900_000 } },
    ],
    [
      "a short longest delay lowers the first",
      retry({ maxMs: 50 }),
      { retry: { initialMs: 50, maxMs: 50 } },
    ],
    [
      "another dead letter topic",
      { deadLetter: { enabled: true, topic: "dlq/all" } },
      { deadLetterTopic: "dlq/all" },
    ],
    [
      "no dead letters",
      { deadLetter: { enabled: false, topic: "" } },
      { deadLetterTopic: undefined },
    ],
    ["dead letters have none", topics({ names: ["dlq/a"] }), { deadLetterTopic: undefined }],
    ["latest", { start: { kind: "latest", timeMs: 0 } }, { start: { kind: "latest" } }],
    ["a time", { start: { kind: "time", timeMs: 7 } }, { start: { kind: "time", timeMs: 7 } }],
    [
      "one text per filter",
      { filter: '{"tags":["b","a"],"kind":"tags"}' },
      { filter: '{"kind":"tags","tags":["a","b"]}' },
    ],
    [
      "paused",
      { pausedUntilMs: Number.MAX_SAFE_INTEGER },
      { pausedUntilMs: Number.MAX_SAFE_INTEGER },
    ],
  ])("accepted: %s", (_, fields, expected) => {
    const definition = checkDefinition({ ...WISH, ...fields });
    expect(definition).toMatchObject(expected);
    // What it is shown as gives it again.
    expect(checkDefinition(wishOf(definition))).toEqual(definition);
  });

  test.each<[string, Partial<DefinitionWish>, object]>([
    ["no name", { name: "" }, { field: "name" }],
    ["a bad name", { name: "a b" }, { field: "name" }],
    [
      "a name whose dead letter topic is too long",
      { name: "a".repeat(200) },
      { field: "deadLetter.topic" },
    ],
    ["no topics", { topics: undefined }, { field: "topics" }],
    ["two selections", topics({ names: ["a"], regex: "b" }), { field: "topics" }],
    ["a bad regex", topics({ regex: "a(" }), { field: "topics.regex" }],
    ["no mode", { mode: undefined }, { field: "mode" }],
    ["a bad filter", sql("a = "), { field: "filter.expression", position: 4 }],
    ["a policy of order in shared mode", { onFailure: "park" }, { field: "onFailure" }],
    [
      "too many attempts",
      retry({ attemptsMax: 1001 }),
      { field: "retry.attemptsMax", limit: "1 to 1000" },
    ],
    ["too many delays", retry({ delaysMs: new Array(65).fill(1) }), { field: "retry.delaysMs" }],
    [
      "a delay of eight days",
      retry({ delaysMs: [1, 8 * 86_400_000] }),
      { field: "retry.delaysMs[1]" },
    ],
    [
      "a first delay above the longest",
      retry({ initialMs: 10, maxMs: 5 }),
      { field: "retry.initialMs" },
    ],
    ["a longest delay of eight days", retry({ maxMs: 8 * 86_400_000 }), { field: "retry.maxMs" }],
    ["shrinking delays", retry({ multiplierPercent: 99 }), { field: "retry.multiplierPercent" }],
    ["more jitter than delay", retry({ jitterPercent: 101 }), { field: "retry.jitterPercent" }],
    [
      "dead letters elsewhere",
      { deadLetter: { enabled: true, topic: "dead" } },
      { field: "deadLetter.topic" },
    ],
    [
      "disabled with a topic",
      { deadLetter: { enabled: false, topic: "dlq/a" } },
      { field: "deadLetter.topic" },
    ],
    [
      "dead letters of dead letters",
      { ...topics({ names: ["a", "dlq/a"] }), deadLetter: { enabled: true, topic: "" } },
      { field: "deadLetter.enabled" },
    ],
    [
      "a short deadline",
      { ackDeadlineMs: 999 },
      { field: "ackDeadlineMs", limit: "1000 to 43200000" },
    ],
    ["a long deadline", { ackDeadlineMs: 43_200_001 }, { field: "ackDeadlineMs" }],
    ["a start at an offset", { start: { kind: "offset", timeMs: 0 } }, { field: "start.kind" }],
    ["a start before 1970", { start: { kind: "time", timeMs: -1 } }, { field: "start.timeMs" }],
    ["paused beyond numbers", { pausedUntilMs: 2 ** 53 }, { field: "pausedUntilMs" }],
  ])("refused: %s", (_, fields, expected) => {
    let refusal: unknown;
    try {
      checkDefinition({ ...WISH, ...fields });
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(BrokerError);
    expect(refusal).toMatchObject({ reason: "INVALID_REQUEST", fields: expected });
  });
});
