import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isWholeLevelLog } from "../../src/log/level-log-check.ts";
import { openLevelStore } from "../../src/log/level-store.ts";
import { temporaryDirectory } from "./temporary.ts";

let directory: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => directory.remove());

/** The log file that LevelDB itself writes for values of these lengths, one batch each. */
async function logOf(lengths: readonly number[]): Promise<Buffer> {
  const store = await openLevelStore(directory.path);
  for (const [at, length] of lengths.entries()) {
    const put = { type: "put", key: `k${at}`, value: Buffer.alloc(length, at + 1) } as const;
    await store.batch([put], { sync: true });
  }
  await store.close();
  const name = readdirSync(directory.path).find((one) => one.endsWith(".log")) ?? "";
  return readFileSync(join(directory.path, name));
}

describe("log file of LevelDB", () => {
  test("empty: whole", () => {
    expect(isWholeLevelLog(Buffer.alloc(0))).toBe(true);
  });

  test("whole: records in one block, up to its last bytes, across two and three", async () => {
    const lengths = [0, 1, 20_000, 40_000, 100_000, 5];
    // Each of these moves the end of a record by one byte along the end of a block.
    for (let more = 0; more < 16; more += 1) lengths.push(32_700 + more);
    const bytes = await logOf(lengths);
    expect(bytes.length).toBeGreaterThan(20 * 32_768);
    expect(isWholeLevelLog(bytes)).toBe(true);
  });

  test("one flipped bit, wherever it is: damaged", async () => {
    const bytes = await logOf([10, 0, 200, 33_000, 12]);
    const step = 97;
    const header = 64;
    for (let at = 0; at < bytes.length; at += at < header ? 1 : step) {
      for (const bit of [0, 4, 7]) {
        const flipped = Buffer.from(bytes);
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
        expect({ at, bit, isWhole: isWholeLevelLog(flipped) }).toMatchObject({ isWhole: false });
      }
    }
  });

  test("cut off inside a record, or after the first part of one: damaged; between two records: whole", async () => {
    const bytes = await logOf([10, 40_000]);
    const first = 7 + bytes.readUInt16LE(4);
    const cuts = [1, 6, 7, first - 1, first + 1, 32_767, 32_768, bytes.length - 1];
    for (const cut of cuts) expect(isWholeLevelLog(bytes.subarray(0, cut))).toBe(false);
    expect(isWholeLevelLog(bytes.subarray(0, first))).toBe(true);
  });

  test("parts that do not follow each other, unknown types and zeros: damaged", async () => {
    const bytes = await logOf([40_000, 40_000]);
    const block = 32_768;
    const first = bytes.subarray(0, block);
    expect(isWholeLevelLog(Buffer.concat([first, first]))).toBe(false);
    expect(isWholeLevelLog(bytes.subarray(block))).toBe(false);
    expect(isWholeLevelLog(Buffer.alloc(block))).toBe(false);
  });
});
