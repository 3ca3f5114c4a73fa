// What a flood says about brokers that keep what they used: each resource has a limit of its own, and each can be exceeded.
import { describe, expect, it } from "vitest";
import type { ResourceSample } from "../../src/testkit/index.ts";
import { COLUMNS, judgeUse, rowsOf } from "./resource-watch.ts";

const MIB = 1024 * 1024;
const BEFORE = { sockets: 30, files: 25, heldBytes: MIB, rssBytes: 150 * MIB };
const MOST = { sockets: 700, files: 40, heldBytes: 300 * MIB, rssBytes: 500 * MIB };

function story(idle: Readonly<Record<string, number>>): ResourceSample[] {
  const at = (
    phase: ResourceSample["phase"],
    values: ResourceSample["values"],
  ): ResourceSample => ({
    type: "sample",
    atMs: 0,
    node: 1,
    phase,
    values,
  });
  return [
    at("baseline", BEFORE),
    at("load", MOST),
    at("idle", { ...MOST, ...idle }),
    at("idle", { ...BEFORE, ...idle }),
  ];
}

describe("what idle brokers use", () => {
  it("fine: as before, a few more files, pages that V8 has not given back", () => {
    const use = judgeUse(story({ files: 45, rssBytes: 400 * MIB }));
    expect(use.leaks).toEqual([]);
    expect(use.compared).toEqual({ sockets: 1, files: 1, heldBytes: 1 });
  });

  it.each([
    ["sockets", 60],
    ["files", 60],
    ["heldBytes", 40 * MIB],
  ])("a leak: %s", (name, value) => {
    const { leaks } = judgeUse(story({ [name]: value }));
    expect(leaks.map(({ kind }) => kind)).toEqual(["resource-leak"]);
    expect(leaks[0]?.detail).toContain(name);
  });

  it("no samples: nothing was compared", () => {
    expect(judgeUse([]).compared).toEqual({ sockets: 0, files: 0, heldBytes: 0 });
  });

  it("table: most before and in the flood, least after it", () => {
    const [row] = rowsOf(story({}));
    expect(row).toHaveLength(COLUMNS.length + 1);
    expect(row?.slice(0, 7)).toEqual(["1", "30", "700", "30", "25", "40", "25"]);
  });
});
