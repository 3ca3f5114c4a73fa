import { describe, expect, it } from "vitest";
import { evaluatorOf } from "../../src/filter/sql-evaluate.ts";
import { parseSql } from "../../src/filter/sql-parser.ts";
import { messageView, refusal } from "./message-view.ts";

const ORDER = messageView({
  headers: {
    color: "red",
    amount: "12.5",
    urgent: "true",
    note: "100% sure",
    "content-type": "json",
    zip: "0815",
  },
  key: "k1",
  offset: 7,
});

function isMatch(expression: string, message = ORDER): boolean {
  return evaluatorOf(parseSql(expression))(message);
}

describe("sql: what is true of a message", () => {
  it.each([
    ["color = 'red'"],
    ["COLOR IS NULL AND color IS NOT NULL"],
    ["color <> 'blue' and color != 'green'"],
    ["amount > 12 AND amount >= 12.5 AND amount <= 12.50 AND amount < 1e2"],
    ["12 < amount"],
    ["amount BETWEEN 12 AND 13"],
    ["amount NOT BETWEEN 13 AND 14"],
    [
      "amount * 2 = 25 AND amount / 5 = 2.5 AND amount % 5 = 2.5 AND -amount + 1 < -11 AND amount - 2.5 = 10",
    ],
    ["2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20"],
    ["color IN ('blue', 'red')"],
    ["amount IN (1, 12.5)"],
    ["color NOT IN ('blue', 'green')"],
    ["color LIKE 'r_d' AND color LIKE '%e%' AND color LIKE 'red%' AND color NOT LIKE 'r_'"],
    ["note LIKE '100!% %' ESCAPE '!'"],
    ["urgent"],
    ["urgent = TRUE AND NOT urgent = FALSE AND urgent <> false"],
    ["\"content-type\" = 'json'"],
    [
      "$topic = 'orders' AND $partition = 2 AND $offset = 7 AND $size > 0 AND $key = 'k1' AND $timestamp > 0",
    ],
    ["missing IS NULL"],
    ["TRUE OR missing = 1"],
    ["NOT (FALSE AND missing = 1)"],
    ["zip = '0815' AND zip <> '815' AND zip = 815"],
    ["zip < '1000' AND color > 'blue'"],
    ["color = 'red' OR color = 'blue' AND FALSE"],
    ["'it''s' = 'it''s'"],
    ["- - 3 = 3 AND +3 = 3"],
  ])("%s", (expression) => {
    expect(isMatch(expression)).toBe(true);
  });

  it.each([
    ["missing = 1"],
    ["NOT missing = 1"],
    ["missing <> 1"],
    ["missing IN (1, 2)"],
    ["missing NOT IN (1, 2)"],
    ["missing LIKE '%'"],
    ["missing BETWEEN 1 AND 2"],
    ["color > 1"],
    ["NOT color > 1"],
    ["amount / 0 = 1"],
    ["NOT amount / 0 = 1"],
    ["urgent > FALSE"],
    ["color"],
    ["NOT color"],
    ["amount"],
    ["1"],
    ["missing"],
  ])("unknown is no match: %s", (expression) => {
    expect(isMatch(expression)).toBe(false);
  });

  it("key: a message without one has NULL", () => {
    expect(isMatch("$key IS NULL", messageView({}))).toBe(true);
    expect(isMatch("$key = ''", messageView({}))).toBe(false);
  });
});

describe("sql: what is refused", () => {
  it.each([
    ["", "expected", 0],
    ["color =", "expected", 7],
    ["color = = 1", "expected", 8],
    ["color = 'red", "never closed", 8],
    ['"x = 1', "never closed", 0],
    ["(color = 'red'", '")"', 14],
    ["color = 'red')", "AND, OR or the end", 13],
    ["color LIKE 5", "pattern", 11],
    ["color LIKE 'a!b' ESCAPE '!'", "escape", 11],
    ["color LIKE 'a' ESCAPE 'ab'", "one character", 11],
    ["color IN ()", "expected", 10],
    ["color IN (other)", "expected", 10],
    ["color NOT = 1", "BETWEEN, IN or LIKE", 10],
    ["color IS 1", "NULL", 9],
    ["$secret = 1", "$topic", 0],
    ["a ; b", "unexpected", 2],
    ["1e999 = 1", "too large", 0],
    ["a = 1 b", "AND, OR or the end", 6],
  ])("%s", (expression, limit, position) => {
    const { reason, fields } = refusal(() => parseSql(expression));
    expect(reason).toBe("INVALID_REQUEST");
    expect(fields["field"]).toBe("filter.expression");
    expect(fields["limit"]).toContain(limit);
    expect(fields["position"]).toBe(position);
  });

  it("size: depth and number of tokens have limits, and a legal expression at the limit works", () => {
    const nested = (depth: number): string => `${"(".repeat(depth)}TRUE${")".repeat(depth)}`;
    expect(isMatch(nested(31))).toBe(true);
    expect(refusal(() => parseSql(nested(32))).fields["limit"]).toContain("levels");
    expect(refusal(() => parseSql(`${"NOT ".repeat(40)}TRUE`)).fields["limit"]).toContain("levels");
    expect(refusal(() => parseSql(`${"-".repeat(40)}1 = 1`)).fields["limit"]).toContain("levels");
    expect(isMatch(Array.from({ length: 128 }, () => "1=1").join(" AND "))).toBe(true);
    const long = Array.from({ length: 200 }, () => "1=1").join(" OR ");
    expect(refusal(() => parseSql(long)).fields["limit"]).toContain("512");
  });
});
