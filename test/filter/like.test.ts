import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { compileLike } from "../../src/filter/like.ts";

/** The plain meaning, exponential at worst. */
function naive(pattern: string, text: string): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text === "";
  const tail = rest.join("");
  if (first === "%") return naive(tail, text) || (text !== "" && naive(pattern, text.slice(1)));
  return text !== "" && (first === "_" || first === text[0]) && naive(tail, text.slice(1));
}

describe("like", () => {
  it("random patterns: agree with the plain definition", () => {
    const seed = Number(process.env["SEED"] ?? 20_261_126);
    const random = seededRandom(seed);
    const word = (letters: string, length: number): string =>
      Array.from(
        { length: random.integer(0, length) },
        () => letters[random.integer(0, letters.length - 1)],
      ).join("");
    for (let round = 0; round < 5000; round += 1) {
      const pattern = word("ab%_", 6);
      const text = word("ab", 8);
      const found = compileLike(pattern, undefined)?.(text);
      expect(found, `seed ${seed}: '${text}' LIKE '${pattern}'`).toBe(naive(pattern, text));
    }
  });

  it("a pattern made to be slow: work stays below pattern × text", () => {
    const test = compileLike(`${"%a".repeat(100)}b`, undefined);
    expect(test?.("a".repeat(20_000))).toBe(false);
  });

  it("characters beyond 16 bits count as one", () => {
    expect(compileLike("_", undefined)?.("🚢")).toBe(true);
  });

  it("escape: before a wildcard or itself only", () => {
    expect(compileLike("50!%", "!")?.("50%")).toBe(true);
    expect(compileLike("50!%", "!")?.("500")).toBe(false);
    expect(compileLike("a!!b", "!")?.("a!b")).toBe(true);
    expect(compileLike("a!b", "!")).toBeUndefined();
    expect(compileLike("a!", "!")).toBeUndefined();
  });
});
