import { describe, expect, it } from "vitest";
import {
  FILE_LINES_MAX,
  FILE_LINES_WARN,
  FUNCTION_LINES_MAX,
  GENERATED,
  LONG_FUNCTIONS,
} from "./layers.ts";
import { parseSource, readSources } from "./sources.ts";

const SOURCES = readSources().filter((source) => !GENERATED.test(source.file));

describe("tidy: sizes", () => {
  it(`files: at most ${FILE_LINES_MAX} lines (those above ${FILE_LINES_WARN} are named)`, () => {
    const large = SOURCES.filter((source) => source.lineCount > FILE_LINES_WARN);
    for (const source of large) console.warn(`${source.file}: ${source.lineCount} lines`);
    const tooLarge = large.filter((source) => source.lineCount > FILE_LINES_MAX);
    expect(tooLarge.map((source) => `${source.file}: ${source.lineCount}`)).toEqual([]);
  });

  it(`functions: at most ${FUNCTION_LINES_MAX} lines; the list of exceptions only shrinks`, () => {
    const measured = new Map<string, number>();
    for (const source of SOURCES) {
      for (const { name, lines } of source.functions) {
        if (lines <= FUNCTION_LINES_MAX) continue;
        const key = `${source.file}#${name}`;
        measured.set(key, Math.max(lines, measured.get(key) ?? 0));
      }
    }
    expect(Object.fromEntries(measured)).toEqual(LONG_FUNCTIONS);
  });

  it("measure: counts a function's own lines, nested ones included, and names it", () => {
    const source = parseSource(
      "model/a.ts",
      "class A {\n  step() {\n    return 1;\n  }\n}\nconst f = () => {\n};\n",
    );
    expect(source.functions).toEqual([
      { name: "step", lines: 3 },
      { name: "f", lines: 2 },
    ]);
    expect(source.lineCount).toBe(7);
  });
});
