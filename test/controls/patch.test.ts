import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { CONTROLS } from "./catalogue.ts";
import { applyPatch } from "./patch.ts";

const SOURCE = join(import.meta.dirname, "../../src");
const files = new Map([["a.ts", "one two two three"]]);
const read = (file: string): string => {
  const text = files.get(file);
  if (text === undefined) throw new Error(`no file ${file}`);
  return text;
};
const replacing = (find: string, replace: string) => ({ file: "a.ts", find, replace });

describe("patch", () => {
  it("a text that occurs once: is replaced, as it stands", () => {
    expect(applyPatch([replacing("one", "$& $1")], read).get("a.ts")).toBe("$& $1 two two three");
  });

  it("several replacements in one file: each sees the ones before", () => {
    const patch = [replacing("one", "1"), replacing("1 two", "12")];
    expect(applyPatch(patch, read).get("a.ts")).toBe("12 two three");
  });

  it("a text that is not there, or there twice: is refused with file and text", () => {
    expect(() => applyPatch([replacing("four", "4")], read)).toThrow("a.ts: found 0 times");
    expect(() => applyPatch([replacing("two", "2")], read)).toThrow(
      "found 2 times instead of once",
    );
  });

  it("a text that an earlier replacement took away: is refused", () => {
    const patch = [replacing("one", "1"), replacing("one", "2")];
    expect(() => applyPatch(patch, read)).toThrow("found 0 times");
  });

  it("a patch that changes nothing: is refused", () => {
    expect(() => applyPatch([], read)).toThrow("breaks nothing");
    expect(() => applyPatch([replacing("one", "one")], read)).toThrow("changes nothing");
    expect(() => applyPatch([replacing("", "x")], read)).toThrow("changes nothing");
  });

  it("an unknown file: is refused", () => {
    expect(() => applyPatch([{ ...replacing("a", "b"), file: "b.ts" }], read)).toThrow("no file");
  });
});

describe("catalogue", () => {
  it("names: are unique, and at least twelve", () => {
    const names = CONTROLS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(12);
  });

  for (const { name, patch } of CONTROLS) {
    it(`${name}: fits the present source, and what comes of it is still TypeScript`, () => {
      const changed = applyPatch(patch, (file) => readFileSync(join(SOURCE, file), "utf8"));
      for (const [fileName, text] of changed) {
        const { diagnostics } = ts.transpileModule(text, { fileName, reportDiagnostics: true });
        expect(diagnostics?.map(({ messageText }) => messageText)).toEqual([]);
      }
    });
  }
});
