// Generated pages must agree with the tables they come from.
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { renderConfigDocs } from "../../src/config/config-docs.ts";
import { ERROR_TABLE } from "../../src/model/errors.ts";
import { renderMetricsDocs } from "../../src/observe/metrics-docs.ts";
import { ROOT } from "./sources.ts";

const page = (name: string): string => readFileSync(path.join(ROOT, "docs", name), "utf8");

describe("tidy: docs in step (else: npm run generate)", () => {
  it("CONFIG.md: is what the schema says", () => {
    expect(page("CONFIG.md")).toBe(renderConfigDocs());
  });

  it("METRICS.md: is what the table of instruments says", () => {
    expect(page("METRICS.md")).toBe(renderMetricsDocs());
  });

  it("ERRORS.md: names every reason with its number", () => {
    const text = page("ERRORS.md");
    for (const [reason, row] of Object.entries(ERROR_TABLE)) {
      expect(text, reason).toContain(reason);
      expect(text, reason).toContain(String(row.number));
    }
  });
});
