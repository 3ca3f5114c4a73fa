import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadConfig, logFileOf, nodeOf } from "../../src/config/load-config.ts";
import { configRows } from "../../src/config/schema.ts";

const SHIPPED = new URL("../../cluster.yaml", import.meta.url).pathname;

describe("load-config", () => {
  it("shipped cluster.yaml: is valid, three nodes on loopback", () => {
    const config = loadConfig(SHIPPED);
    expect(config.nodes.map((node) => node.id)).toEqual([1, 2, 3]);
    expect(nodeOf(config, 2).client.port).toBe(7102);
    expect(logFileOf(config, 2)).toBeUndefined();
  });

  it("shipped cluster.yaml: says nothing that the schema does not document", () => {
    expect(readFileSync(SHIPPED, "utf8")).toContain("docs/CONFIG.md");
    expect(configRows().every((row) => row.about.length > 10)).toBe(true);
  });

  it("missing file: says so and names the option", () => {
    expect(() => loadConfig("/nowhere/cluster.yaml")).toThrow(
      /no such file; name one with --config/,
    );
  });

  it("unknown node: names those there are", () => {
    expect(() => nodeOf(loadConfig(SHIPPED), 9)).toThrow("no node 9; there are 1, 2, 3");
  });
});
