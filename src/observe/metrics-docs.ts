// docs/METRICS.md, made from the table of instruments. Called by scripts/generate.ts; a test fails on drift.
import { INSTRUMENTS, type InstrumentRow } from "./instruments.ts";

const INTRODUCTION = `# Metrics

<!-- Generated from src/observe/instruments.ts by \`npm run generate\`. Do not edit. -->

Every broker answers \`GET /metrics\` on its admin listener in Prometheus' text format.

- Names are \`flotilla_<room>_<noun>_<unit>\`; counters end in \`_total\` and never go down while a process lives.
- Units are seconds, bytes, or plain counts.
- An instrument has at most 1,000 series; further label values share the series \`other\`, and
  \`flotilla_observe_series_overflow_total\` grows.
- Next to it: \`/health\` (200 when live and ready, else 503; \`?verbose\` lists every check), \`/health/live\`,
  \`/health/ready\`, \`/health/safe-to-stop\`.
- Instruments are registered before every room fills them in: one that stays at 0 or has no series may not be fed yet.
`;

/** The whole page. */
export function renderMetricsDocs(): string {
  const groups = new Map<string, InstrumentRow[]>();
  for (const row of Object.values(INSTRUMENTS) as InstrumentRow[]) {
    const room = row.name.split("_")[1] ?? "";
    groups.set(room, [...(groups.get(room) ?? []), row]);
  }
  const sections = [...groups].map(
    ([room, rows]) => `\n## ${room}\n\n${HEADER}\n${rows.map(line).join("\n")}\n`,
  );
  return INTRODUCTION + sections.join("");
}

const HEADER = "| Name | Kind | Labels | Meaning |\n|---|---|---|---|";

function line(row: InstrumentRow): string {
  const labels = (row.labels ?? []).map((label) => `\`${label}\``).join(", ");
  return `| \`${row.name}\` | ${row.kind} | ${labels === "" ? "–" : labels} | ${row.help} |`;
}
