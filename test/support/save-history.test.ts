import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HistoryEvent, headerOf, readHistory } from "../../src/testkit/index.ts";
import { linesOf, saveHistory } from "./save-history.ts";

describe("saved histories", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "flotilla-history-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("come back as they were, however the lines lie in the chunks of the file", () => {
    const events: HistoryEvent[] = [headerOf("big")];
    for (let number = 0; number < 400; number += 1) {
      const message = "ü€😀".repeat(number * 7);
      events.push({ type: "log", atMs: number, node: 1, level: "warn", message });
    }
    const file = join(directory, "history.jsonl");
    saveHistory(file, events);
    expect([...readHistory(linesOf(file))]).toEqual(events);
  });
});
