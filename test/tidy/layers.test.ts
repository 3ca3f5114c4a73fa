import { describe, expect, it } from "vitest";
import { bannedCalls, importCycles, impurities, layerOffences } from "./checks.ts";
import { ROOMS } from "./layers.ts";
import { parseSource, readSources } from "./sources.ts";

const SOURCES = readSources();

describe("tidy: src", () => {
  it("layers: every import goes down, as test/tidy/layers.ts says", () => {
    expect(layerOffences(SOURCES)).toEqual([]);
  });

  it("cycles: no two files import each other, not even types", () => {
    expect(importCycles(SOURCES)).toEqual([]);
  });

  it("calls: time, randomness, console and environment only where they are allowed", () => {
    expect(bannedCalls(SOURCES)).toEqual([]);
  });

  it("purity: decisions are synchronous and know no clock", () => {
    expect(impurities(SOURCES)).toEqual([]);
  });

  it("exports: no default export", () => {
    expect(
      SOURCES.filter((source) => source.hasDefaultExport).map((source) => source.file),
    ).toEqual([]);
  });

  it("table: the rooms themselves have no circle", () => {
    const rooms = Object.entries(ROOMS).map(([name, room]) =>
      parseSource(
        `${name}/x.ts`,
        room.rooms.map((other) => `import "../${other}/x.ts";`).join("\n"),
      ),
    );
    expect(importCycles(rooms)).toEqual([]);
  });
});

describe("tidy: the checks themselves", () => {
  it("layers: static, dynamic and type imports, re-exports and packages are all seen", () => {
    const source = parseSource(
      "raft/a.ts",
      `import type { X } from "../log/x.ts";
import "node:fs";
export { y } from "../cli/y.ts";
type Z = import("../replica/z.ts").Z;
const w = () => import("../broker/w.ts");
import { ok } from "../model/ok.ts";`,
    );
    expect(layerOffences([source])).toEqual([
      "raft/a.ts:1: raft must not import log/x.ts",
      "raft/a.ts:2: raft must not import node:fs",
      "raft/a.ts:3: raft must not import cli/y.ts",
      "raft/a.ts:4: raft must not import replica/z.ts",
      "raft/a.ts:5: raft must not import broker/w.ts",
    ]);
  });

  it("siblings: cluster and partition must not know each other", () => {
    const there = parseSource("cluster/a.ts", `import { p } from "../partition/p.ts";`);
    const back = parseSource("partition/b.ts", `import { c } from "../cluster/c.ts";`);
    expect(layerOffences([there, back])).toHaveLength(2);
  });

  it("cycles: a circle over three files is found once", () => {
    const files = [
      parseSource("base/a.ts", `import "./b.ts";`),
      parseSource("base/b.ts", `import type { C } from "./c.ts";`),
      parseSource("base/c.ts", `import "./a.ts";`),
      parseSource("base/d.ts", `import "./a.ts";`),
    ];
    expect(importCycles(files)).toEqual([["base/a.ts", "base/b.ts", "base/c.ts"]]);
  });

  it("calls: comments and strings do not count, code does", () => {
    const source = parseSource(
      "model/a.ts",
      `// Date.now() in words
/** Math.random */
const text = "setTimeout(";
const template = \`console.log \${Math.random()}\`;
const now = Date.now();`,
    );
    expect(bannedCalls([source])).toEqual([
      "model/a.ts:5: Date.now or new Date()",
      "model/a.ts:4: Math.random",
    ]);
  });

  it("purity: applies to rooms and to names", () => {
    const byRoom = parseSource("raft/a.ts", "export async function f() {}");
    const byName = parseSource("cluster/node-table.ts", "export const p = Promise.resolve();");
    const neither = parseSource("cluster/b.ts", "export async function f() {}");
    expect(impurities([byRoom, byName, neither])).toEqual([
      "raft/a.ts:1: async",
      "cluster/node-table.ts:1: Promise",
    ]);
  });
});
