// What came of a run of controls, as a table for the terminal, as JSON for programs and as a page for docs/evidence. Pure.
import Table from "cli-table3";
import type { Hunted } from "./hunt.ts";

export interface ControlReport extends Hunted {
  /** The twin violates nothing in the seeds up to the one that caught the control. */
  readonly isTwinGood: boolean;
}

export interface Report {
  /** Git's hashes of the directories src and test/simulation that ran. */
  readonly src: string;
  readonly simulation: string;
  readonly seeds: number;
  /** Left out: open findings about the unpatched source. */
  readonly skipped: readonly number[];
  readonly controls: readonly ControlReport[];
  readonly twin: {
    readonly seeds: readonly number[];
    /** What it violates, by seed. */
    readonly failed: ReadonlyMap<number, string>;
  };
}

export function isGood({ controls, twin }: Report): boolean {
  return (
    twin.failed.size === 0 &&
    controls.every(({ caught, isTwinGood }) => caught !== undefined && isTwinGood)
  );
}

export function tableOf(report: Report): string {
  const table = new Table({
    head: ["control", "caught by", "violation", "seed", "seeds", "seconds", "twin"],
    style: { head: [], border: [], compact: true },
    colWidths: [25, 30, 62],
    wordWrap: true,
  });
  for (const control of report.controls) table.push(rowOf(control));
  return table.toString();
}

export function summaryOf(report: Report): string[] {
  const { controls, twin } = report;
  const caught = controls.filter((control) => control.caught !== undefined);
  const lines = [
    `${caught.length} of ${controls.length} controls caught`,
    `the unpatched twin: ${twin.seeds.length} seeds, ${twin.failed.size} violations`,
  ];
  for (const { control, failures } of controls) {
    for (const failure of failures) lines.push(`${control.name}: no result: ${failure}`);
  }
  for (const [seed, problem] of twin.failed) lines.push(`twin, seed ${seed}: ${problem}`);
  return lines;
}

/** Plain data, the same as the page. */
export function jsonOf(report: Report): string {
  const { controls, seeds, simulation, skipped, src, twin } = report;
  const rows = controls.map(({ caught, control, failures, isTwinGood, seconds, seedsRun }) => {
    const { breaks, name } = control;
    const effort = { seedsRun, seconds: Math.round(seconds) };
    return { name, breaks, caught: caught ?? null, ...effort, isTwinGood, failures };
  });
  const twinRow = { seeds: twin.seeds.length, failed: Object.fromEntries(twin.failed) };
  return JSON.stringify({ src, simulation, seeds, skipped, controls: rows, twin: twinRow });
}

export function pageOf(report: Report): string {
  const { seeds, simulation, skipped, src } = report;
  const left = skipped.length === 0 ? "" : `, without ${skipped.join(", ")} (KNOWN-LIMITS.md)`;
  const lines = [
    "# Positive controls",
    "",
    "Deliberately broken builds, and which check of the simulator or checker noticed each of them. Written by",
    "`npm run test:controls -- --save`; what a control is: [test/controls/README.md](../../test/controls/README.md).",
    "",
    `- source: \`src\` ${src.slice(0, 12)}, \`test/simulation\` ${simulation.slice(0, 12)}`,
    `- seeds 1 to ${seeds} in ascending order${left}, until one is violated`,
    ...summaryOf(report).map((line) => `- ${line}`),
    "",
    "| Control | What the build does wrong | Caught by | Violation | Seed | Seeds run | Seconds | Twin |",
    "|---|---|---|---|---|---|---|---|",
    ...report.controls.map((control) => {
      const [name = "", check = "", violation = "", ...rest] = rowOf(control);
      return `| ${[name, control.control.breaks, check, violation, ...rest].map(cell).join(" | ")} |`;
    }),
  ];
  return `${lines.join("\n")}\n`;
}

function rowOf({ caught, control, isTwinGood, seconds, seedsRun }: ControlReport): string[] {
  const effort = [String(seedsRun), seconds.toFixed(0)];
  if (caught === undefined) return [control.name, "NOT CAUGHT", "", "–", ...effort, "–"];
  const { check, isExpected, seed, title, violation } = caught;
  const by = `${check}: ${title}${isExpected ? "" : " (not one of those expected)"}`;
  const twin = isTwinGood ? "passed" : "FAILED";
  return [control.name, by, violation, String(seed), ...effort, twin];
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
