// What a dead letter says of itself, also when it died before; what goes back; what is found.
import { describe, expect, it } from "vitest";
import { deadLetterOf } from "../../src/delivery/dead-letter.ts";
import { deadFactsOf, ownHeaders, redrivenHeaders } from "../../src/delivery/dead-letter-facts.ts";
import { viewOf } from "../../src/delivery/dead-letter-view.ts";
import { filterOf } from "../../src/filter/canonical-filter.ts";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { BATCH_BYTES_MAX } from "../../src/model/limits.ts";
import { BatchBuilder, type RecordHeader } from "../../src/model/record-batch-builder.ts";
import { FakePartition } from "./fake-partition.ts";
import { rowOf } from "./support.ts";

const header = (name: string, text: string): RecordHeader => ({ name, value: Buffer.from(text) });
const namesOf = (headers: readonly RecordHeader[]): string[] => headers.map(({ name }) => name);
const attempt = (timeMs: number, error = "boom") => ({ timeMs, cause: "nack", error });

class NamedPartition extends FakePartition {
  override readonly topicName: string;
  constructor(topicName: string) {
    super();
    this.topicName = topicName;
  }
}

function died(topic: string, headers: readonly RecordHeader[], attempts = [attempt(1)]) {
  const record = { offset: 7, timestampMs: 50, key: undefined, value: Buffer.from("v"), headers };
  const cause = { seeks: 0, failed: attempts.length, attempts };
  const letter = deadLetterOf(rowOf(), new NamedPartition(topic), record, cause);
  if (letter === undefined) throw new Error("no letter");
  const facts = deadFactsOf(letter.headers);
  if (facts === undefined) throw new Error("no facts");
  return { letter, facts };
}

describe("dead letters: facts", () => {
  it("first death: where it was, why, what was tried; its own headers stay", () => {
    const { facts, letter } = died("orders", [header("h", "1")]);
    expect(facts).toEqual({
      origin: { topic: "orders", partition: 0, offset: 7, timestampMs: 50 },
      subscription: "bills",
      reason: "attempts",
      error: "boom",
      failed: 1,
      attempts: [attempt(1)],
      redriven: 0,
    });
    expect(namesOf(ownHeaders(letter.headers))).toEqual(["h"]);
  });

  it("second death, after a redrive: the first origin, both histories, at most 16 of them", () => {
    const first = died("orders", [header("h", "1")], [attempt(1), attempt(2)]);
    const back = redrivenHeaders(first.letter.headers, first.facts);
    expect(namesOf(back).sort()).toEqual([
      "flotilla-dead-history",
      "flotilla-dead-offset",
      "flotilla-dead-partition",
      "flotilla-dead-redriven",
      "flotilla-dead-timestamp-ms",
      "flotilla-dead-topic",
      "h",
    ]);
    const late = Array.from({ length: 15 }, (_, at) => attempt(10 + at));
    const { facts, letter } = died("redrive/bills", back, late);
    expect(facts).toMatchObject({ origin: first.facts.origin, redriven: 1, failed: 15 });
    expect(facts.attempts).toEqual([attempt(2), ...late]);
    // What tells moves apart is where it really was.
    expect(letter.origin).toMatchObject({ topic: "redrive/bills", offset: 7 });
    const third = redrivenHeaders(letter.headers, facts);
    expect(deadFactsOf(third)?.redriven).toBe(2);
  });

  it("forged: such headers count in topics of redriven messages only", () => {
    const forged = [header("flotilla-dead-topic", "x"), header("flotilla-dead-partition", "9")];
    const { facts } = died("orders", [...forged, header("flotilla-dead-offset", "1")]);
    expect(facts.origin).toMatchObject({ topic: "orders", partition: 0, offset: 7 });
  });

  it.each<[string, readonly (readonly [string, string])[], object | undefined]>([
    ["none", [], undefined],
    [
      "no partition",
      [
        ["topic", "a"],
        ["offset", "1"],
      ],
      undefined,
    ],
    [
      "numbers that are none",
      [
        ["topic", "a"],
        ["partition", "-1"],
        ["offset", "x"],
      ],
      undefined,
    ],
    [
      "too large a number",
      [
        ["topic", "a"],
        ["partition", "0"],
        ["offset", "99999999999999999"],
      ],
      undefined,
    ],
    [
      "broken history",
      [
        ["topic", "a"],
        ["partition", "0"],
        ["offset", "1"],
        ["history", "[{"],
      ],
      { attempts: [] },
    ],
    [
      "foreign history",
      [
        ["topic", "a"],
        ["partition", "0"],
        ["offset", "1"],
        ["history", '[1,null,{"timeMs":1}]'],
      ],
      { attempts: [] },
    ],
  ])("foreign headers: %s", (_, pairs, expected) => {
    const facts = deadFactsOf(pairs.map(([name, text]) => header(`flotilla-dead-${name}`, text)));
    if (expected === undefined) expect(facts).toBeUndefined();
    else expect(facts).toMatchObject(expected);
  });
});

describe("dead letters: filters", () => {
  const { facts, letter } = died("orders", [header("region", "eu")]);
  const record = { ...letter, offset: 3, headers: letter.headers };
  it.each<[string, boolean]>([
    ["region = 'eu'", true],
    ["$topic = 'orders' AND $partition = 0 AND $offset = 7", true],
    ["dead_reason = 'attempts' AND dead_error LIKE 'bo%'", true],
    ["dead_attempts >= 1 AND dead_redriven = 0", true],
    ["dead_age_ms BETWEEN 900 AND 1100", true],
    ["dead_age_ms > 1001", false],
    ["dead_reason = 'rejected'", false],
    ["$size = 1 AND $key IS NULL", true],
  ])("%s: %s", (expression, isWanted) => {
    const filter = compileFilter(filterOf(JSON.stringify({ kind: "sql", expression })));
    const view = viewOf({ record, facts, diedMs: 9000 }, 10_000);
    expect(filter.matches(view)).toBe(isWanted);
  });
});

describe("dead letters: what does not fit", () => {
  function letterOf(content: { key?: Buffer; value?: Buffer; headers?: readonly RecordHeader[] }) {
    const empty = { offset: 7, timestampMs: 50, key: undefined, value: undefined, headers: [] };
    const cause = { seeks: 0, failed: 1, attempts: [attempt(1, "x".repeat(1000))] };
    const letter = deadLetterOf(rowOf(), new FakePartition(), { ...empty, ...content }, cause);
    if (letter === undefined) throw new Error("no letter");
    const builder = new BatchBuilder();
    builder.append(letter.key, letter.value, letter.headers, letter.timestampMs);
    expect(builder.finish().length).toBeLessThanOrEqual(BATCH_BYTES_MAX);
    const texts = new Map(letter.headers.map(({ name, value }) => [name, `${Buffer.from(value)}`]));
    return { letter, cut: texts.get("flotilla-dead-cut") };
  }

  it("is cut, and says so: long keys, header names that nothing may have, too many headers, sizes", () => {
    const many = Array.from({ length: 100 }, (_, at) => header(`h${at}`, "x"));
    const large = header("large", "x".repeat(BATCH_BYTES_MAX / 2));
    const value = Buffer.alloc(BATCH_BYTES_MAX - 200);
    expect(letterOf({ value: Buffer.from("v"), headers: [header("h", "1")] }).cut).toBeUndefined();
    expect(letterOf({ key: Buffer.alloc(5000) }).cut).toBe("key");
    const names = letterOf({ headers: [header("", "1"), header("n".repeat(129), "1")] });
    expect([names.cut, namesOf(ownHeaders(names.letter.headers))]).toEqual(["headers", []]);
    expect(letterOf({ headers: many }).cut).toBe("headers");
    expect(letterOf({ value }).cut).toBe("value");
    const all = letterOf({ key: Buffer.alloc(5000), value, headers: [...many, large, large] });
    expect(all.cut).toBe("key,headers,value");
    const halves = letterOf({ value: Buffer.from("small"), headers: [large, large] });
    expect([halves.cut, `${halves.letter.value}`]).toEqual(["headers", "small"]);
  });

  it("redriven and dead again: what was cut then is still named", () => {
    const first = letterOf({ key: Buffer.alloc(5000) }).letter;
    const facts = deadFactsOf(first.headers);
    if (facts === undefined) throw new Error("no facts");
    const { letter } = died("redrive/bills", redrivenHeaders(first.headers, facts));
    const cut = letter.headers.find(({ name }) => name === "flotilla-dead-cut");
    expect(`${Buffer.from(cut?.value ?? [])}`).toBe("key");
  });
});
