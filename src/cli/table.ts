// Plain tables: a header line, columns two blanks apart, no frames, so that they read well and can be cut by tools.
// Loaded only by commands that print one.
import Table from "cli-table3";
import pico from "picocolors";
import type { OutputFormat, Terminal } from "./terminal.ts";

/** Colours for people at a terminal only: a CI run or a pipe gets plain text, unless FORCE_COLOR asks for more. */
const colors = pico.createColors(
  pico.isColorSupported &&
    (process.stdout.isTTY === true || process.env["FORCE_COLOR"] !== undefined),
);

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string | number;
  readonly align?: "left" | "right";
}

const NO_FRAME = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const table = new Table({
    head: columns.map((column) => colors.bold(column.title)),
    colAligns: columns.map((column) => column.align ?? "left"),
    chars: NO_FRAME,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  for (const row of rows) table.push(columns.map((column) => String(column.text(row))));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** A list in the wanted form; `empty` is said when there is nothing, as talk. */
export function printRows<Row>(
  terminal: Terminal,
  format: OutputFormat,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  empty: string,
): void {
  if (format === "json") terminal.line(JSON.stringify(rows, undefined, 2));
  else if (rows.length === 0) terminal.note(empty);
  else terminal.line(renderTable(columns, rows));
}

/** "12.3 MiB": for reading, not for computing. */
export function humanBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** "12 s", "5 min 3 s": for reading, not for computing. */
export function humanDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}
