import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./sources.ts";

const TEXT = readFileSync(path.join(ROOT, "docs", "GUARANTEES.md"), "utf8");

describe("tidy: docs/GUARANTEES.md", () => {
  it("tests: every file that is named exists, unless it is marked (not yet)", () => {
    const named = [...TEXT.matchAll(/((?:test|scripts)\/[\w./-]+)( \(not yet\))?/g)];
    expect(named.length).toBeGreaterThan(5);
    const wrong = named.filter(([, file, later]) => {
      const exists = existsSync(path.join(ROOT, file ?? ""));
      return exists === (later !== undefined);
    });
    expect(wrong.map(([text]) => text)).toEqual([]);
  });

  it("rows: each promise of every table names a test that would fail if it were false", () => {
    const rows = TEXT.split("\n").filter(
      (line) => line.startsWith("|") && !line.startsWith("|---"),
    );
    const promises = rows.filter((row) => !row.endsWith("Tested by |"));
    expect(rows.length - promises.length, "tables").toBe(4);
    expect(promises.length).toBeGreaterThan(20);
    const untested = promises.filter((row) => {
      const lastCell = row.split("|").at(-2) ?? "";
      return !/(?:test|scripts)\/[\w./-]+/.test(lastCell);
    });
    expect(untested).toEqual([]);
  });
});
