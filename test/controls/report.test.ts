import { describe, expect, it } from "vitest";
import { CONTROLS } from "./catalogue.ts";
import type { Control } from "./control.ts";
import { readOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { type ControlReport, isGood, jsonOf, pageOf, type Report, summaryOf } from "./report.ts";
import { checkOf, knownChecks, shorten } from "./violations.ts";

const control: Control = { name: "broken", breaks: "all | of it", expects: ["I12"], patch: [] };
const caught = {
  seed: 4,
  check: "I12",
  title: "nothing is cut",
  violation: "cut",
  isExpected: true,
};
const good: ControlReport = {
  control,
  caught,
  seedsRun: 4,
  seconds: 12.3,
  failures: [],
  isTwinGood: true,
};

function reportOf(row: ControlReport, failed: ReadonlyMap<number, string> = new Map()): Report {
  const twin = { seeds: [1, 2, 3, 4], failed };
  return { src: "a", simulation: "b", seeds: 300, skipped: [18], controls: [row], twin };
}

describe("report", () => {
  it("is good when all controls are caught and the twin violates nothing", () => {
    expect(isGood(reportOf(good))).toBe(true);
    expect(isGood(reportOf({ ...good, caught: undefined }))).toBe(false);
    expect(isGood(reportOf({ ...good, isTwinGood: false }))).toBe(false);
    expect(isGood(reportOf(good, new Map([[2, "lost"]])))).toBe(false);
  });

  it("page and JSON: say by which check, at which seed, after how many", () => {
    const page = pageOf(reportOf(good));
    expect(page).toContain("| broken | all \\| of it | I12: nothing is cut | cut | 4 | 4 | 12 |");
    expect(page).toContain("without 18");
    expect(JSON.parse(jsonOf(reportOf(good)))).toMatchObject({
      controls: [{ name: "broken", caught, seedsRun: 4, isTwinGood: true }],
      twin: { seeds: 4, failed: {} },
    });
  });

  it("what was not caught, gave no result or fails on the twin: is said", () => {
    const row = { ...good, caught: undefined, failures: ["seed 1: hung"], isTwinGood: false };
    const report = reportOf(row, new Map([[2, "lost"]]));
    expect(pageOf(report)).toContain("NOT CAUGHT");
    expect(summaryOf(report)).toContain("broken: no result: seed 1: hung");
    expect(summaryOf(report)).toContain("twin, seed 2: lost");
  });
});

describe("violations", () => {
  it("sentences of the simulator and of the checker: are told apart", () => {
    expect(checkOf("1.000 s: two leaders: n1 and n2 in term 3 of 4").id).toBe("I1");
    const vote = "told before durable: n1 tells a vote in term 1 of group 0 for 3";
    expect(checkOf(vote).id).toBe("I4");
    expect(checkOf("told before durable: n1 sends heartbeat in term 2 of group 0").id).toBe("P1");
    expect(checkOf("64.1 s: A3 duplicate-in-log: x is at two places")).toEqual({
      id: "A3",
      title: "duplicate-in-log",
    });
    expect(checkOf("group 1 on n2: log matching: other bytes at index 3").id).toBe("I7");
    expect(checkOf("log matching: group 1 on n2 found other bytes at index 3").id).toBe("I7");
    expect(checkOf("something new").id).toBe("other");
  });

  it("every check that a control expects: has a name here or in the checker's catalogue", () => {
    const unknown = CONTROLS.flatMap(({ expects }) => expects).filter(
      (id) => !knownChecks().has(id) && !/^[AD]\d+$/.test(id),
    );
    expect(unknown).toEqual([]);
  });

  it("shown: one line, not too long, without time and number", () => {
    expect(shorten("1.000 s: A3 duplicate-in-log: twice\nat somewhere")).toBe("twice");
    expect(shorten("x".repeat(500)).length).toBeLessThan(200);
  });
});

describe("options", () => {
  it("all controls and 300 seeds, unless something else is said", () => {
    expect(readOptions([])).toMatchObject({ controls: CONTROLS, seeds: 300, save: false });
    const { controls, seeds } = readOptions(["--only", "no-pre-vote", "--seeds", "7"]);
    expect(controls.map(({ name }) => name)).toEqual(["no-pre-vote"]);
    expect(seeds).toBe(7);
  });

  it("smoke: two controls, a few seeds", () => {
    const { controls, seeds } = readOptions(["--smoke"]);
    expect(controls).toHaveLength(2);
    expect(seeds).toBeLessThan(10);
  });

  it("what makes no sense: is refused", () => {
    expect(() => readOptions(["--only", "no-such"])).toThrow("no control is named no-such");
    expect(() => readOptions(["--seeds", "0"])).toThrow("--seeds");
    expect(() => readOptions(["--smoke", "--save"])).toThrow("--save");
  });
});

describe("progress", () => {
  const written = (isTTY: boolean): string[] => {
    const texts: string[] = [];
    const out = { isTTY, columns: 80, write: (text: string) => texts.push(text) };
    const progress = new Progress(out, 2);
    progress.at("one", 3);
    progress.done("one", "one: caught");
    progress.end();
    return texts;
  };

  it("a terminal: a line that changes, and one that stays per control", () => {
    expect(written(true).join("")).toContain("one at seed 3");
  });

  it("elsewhere: only what is done", () => {
    expect(written(false)).toEqual(["one: caught\n"]);
  });
});
