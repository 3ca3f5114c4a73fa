// Golden dialogues: each scenarios/*.txt is a script with the output that it should give. UPDATE_GOLDEN=1 rewrites
// the files; the `expect` lines in them are checked in either case.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { replay } from "./support/dialogue.ts";

const directory = join(import.meta.dirname, "scenarios");
const isUpdate = process.env["UPDATE_GOLDEN"] === "1";

describe("raft core: golden dialogues", () => {
  const files = readdirSync(directory).filter((name) => name.endsWith(".txt"));
  test.each(files.sort())("%s", (name) => {
    const path = join(directory, name);
    const text = readFileSync(path, "utf8");
    const replayed = replay(text);
    if (isUpdate) writeFileSync(path, replayed);
    else expect(replayed).toBe(text);
    expect(text).toMatch(/^> expect/m);
  });
});
