import { describe, expect, test } from "vitest";
import { transpile } from "./compile.ts";

function bodyOf(source: string): string {
  return transpile("one.ts", source).trim();
}

describe("compile", () => {
  test("objects that begin with a spread and go on begin with nothing instead (V8 of Node 20 is slow there)", () => {
    expect(bodyOf("f({ ...a, b });")).toBe("f({ ...undefined, ...a, b });");
    expect(bodyOf("f({ ...g({ ...a, b: 1 }), ...c });")).toBe(
      "f({ ...undefined, ...g({ ...undefined, ...a, b: 1 }), ...c });",
    );
  });

  test("everything else stays as it is written", () => {
    for (const text of ["f({ ...a });", "f({ b, ...a });", "const { b, ...c } = f([...a, b]);"]) {
      expect(bodyOf(text)).toBe(text);
    }
  });
});
