import { expect, it } from "vitest";
import { isWanted } from "../../src/delivery/batch-loader.ts";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { storedBatch } from "./support.ts";

it.each([
  ["h = 'x'", "x", true],
  ["h LIKE 'x%'", "x".repeat(4096), true],
  ["h LIKE 'x%'", "x".repeat(4097), false],
  ["h LIKE 'ö%'", "ö".repeat(4096), true],
  ["h IS NOT NULL", "x".repeat(1_000_000), true],
  ["h LIKE '%'", "€".repeat(1_000_000), false],
])("filters see at most 4096 characters of a header: %s", (expression, text, expected) => {
  const batch = storedBatch(5, [{ value: "v", headers: { h: text } }]);
  const place = { topic: "t", partition: 0, appendTimeMs: 1 };
  const filter = compileFilter({ kind: "sql", expression });
  expect(isWanted(batch, place, 5, filter)).toBe(expected);
});
