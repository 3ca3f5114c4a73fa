// Runs the table of expressions (sql-table.ts): what each is of one message, what is refused and where, and that nothing can
// be made slow.
import { describe, expect, it } from "vitest";
import { evaluatorOf } from "../../src/filter/sql-evaluate.ts";
import { parseSql } from "../../src/filter/sql-parser.ts";
import { messageView, refusal } from "./message-view.ts";
import { HEADERS, KEY, MALFORMED, OFFSET, SECTIONS, type Truth } from "./sql-table.ts";

const MESSAGE = messageView({ headers: HEADERS, key: KEY, offset: OFFSET });

function isMatch(expression: string, message = MESSAGE): boolean {
  return evaluatorOf(parseSql(expression))(message);
}

/** Only TRUE is a match: what is FALSE matches when it is negated, what is unknown never does. */
function truthOf(expression: string): Truth {
  if (isMatch(expression)) return "TRUE";
  return isMatch(`NOT (${expression})`) ? "FALSE" : "NULL";
}

describe.each(Object.entries(SECTIONS))("sql: %s", (_, rows) => {
  it.each(rows)("%s is %s", (expression, truth) => {
    expect(truthOf(expression)).toBe(truth);
  });
});

describe("sql: malformed", () => {
  it.each(MALFORMED)("%s: %s (at %d)", (expression, limit, position) => {
    const { reason, fields, message } = refusal(() => parseSql(expression));
    expect(reason).toBe("INVALID_REQUEST");
    expect(fields).toMatchObject({ field: "filter.expression", position });
    expect(fields["limit"]).toContain(limit);
    expect(message).toContain(`at character ${position + 1}`);
  });
});

describe("sql: at and beyond the limits", () => {
  const nested = (depth: number): string => `${"(".repeat(depth)}TRUE${")".repeat(depth)}`;
  const chain = (count: number, by: string): string =>
    Array.from({ length: count }, () => "1=1").join(by);

  it.each([
    ["31 pairs of brackets", nested(31)],
    ["31 times NOT (an odd number, of FALSE)", `${"NOT ".repeat(31)}FALSE`],
    ["31 signs", `${"-".repeat(31)}1 = -1`],
    ["128 comparisons with AND", chain(128, " AND ")],
    ["128 comparisons with OR", chain(128, " OR ")],
    ["a sum of 254 numbers", `${Array.from({ length: 254 }, () => "1").join("+")} = 254`],
    ["a list of 253 texts", `color IN (${"'x',".repeat(252)}'red')`],
    ["a text of 4000 characters", `'${"x".repeat(4000)}' <> color`],
  ])("accepted: %s", (_, expression) => {
    expect(isMatch(expression)).toBe(true);
  });

  it.each([
    ["32 pairs of brackets", nested(32), "32 levels", 32],
    ["40 times NOT", `${"NOT ".repeat(40)}TRUE`, "32 levels", 4 * 32],
    ["40 signs", `${"-".repeat(40)}1 = 1`, "32 levels", 32],
    ["200 comparisons", chain(200, " OR "), "512 words", undefined],
    ["4000 brackets", "(".repeat(4000), "512 words", 512],
  ])("refused: %s", (_, expression, limit, position) => {
    const { fields } = refusal(() => parseSql(expression));
    expect(fields["limit"]).toContain(limit);
    if (position !== undefined) expect(fields["position"]).toBe(position);
  });
});

/** Were one of these exponential or quadratic in the text, the test would not come to its end. */
describe("sql: made to be slow", () => {
  const text = "a".repeat(4096);
  const message = messageView({ headers: { text } });

  it.each([
    ["many wildcards", `text LIKE '${"%a".repeat(127)}b'`, false],
    ["only wildcards", `text LIKE '${"%".repeat(255)}a'`, true],
    ["one long piece that almost fits", `text LIKE '%${"a".repeat(250)}b%'`, false],
    ["wildcards of both kinds", `text LIKE '${"%_".repeat(127)}b'`, false],
    [
      "as many as fit into one expression",
      Array.from({ length: 14 }, () => `text LIKE '%${"a".repeat(250)}b%'`).join(" OR "),
      false,
    ],
  ])("%s", (_, expression, expected) => {
    for (let round = 0; round < 10; round += 1) {
      expect(isMatch(expression, message)).toBe(expected);
    }
  });

  it("quotes that are doubled for ever, and never closed", () => {
    const { fields } = refusal(() => parseSql(`a = '${"''".repeat(2000)}`));
    expect(fields["position"]).toBe(4);
  });
});
