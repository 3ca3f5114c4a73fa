import { describe, expect, test } from "vitest";
import { letHeapGrow } from "../../src/cli/heap.ts";

const MIB = 1024 * 1024;

/** What is set for memory that becomes short, and is not any more. */
function flagsFor(budgetBytes: number, execArgv: readonly string[] = []): string[] {
  const flags: string[] = [];
  const onShort = letHeapGrow(budgetBytes, execArgv, (flag) => flags.push(flag));
  onShort(true);
  onShort(false);
  return flags;
}

describe("heap growth", () => {
  test("a large budget lets the heap grow, as long as memory is not short", () => {
    const [usual, short, again] = flagsFor(1024 * MIB);
    expect(usual).toBe("--heap-growing-percent=400");
    expect(short).toBe("--heap-growing-percent=50");
    expect(again).toBe(usual);
  });

  test("below it the engine decides, as long as memory is not short", () => {
    const [usual, short, again] = flagsFor(1023 * MIB);
    expect(usual).toBe("--heap-growing-percent=0");
    expect(short).toBe("--heap-growing-percent=50");
    expect(again).toBe(usual);
  });

  test("a flag on the command line goes before", () => {
    expect(flagsFor(4096 * MIB, ["--heap-growing-percent=20"])).toEqual([]);
  });
});
