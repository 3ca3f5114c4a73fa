// docs/CONFIG.md, made from the schema. Called by scripts/generate.ts; a test fails when the file is out of step.
import { environmentName } from "./environment.ts";
import { type ConfigRow, configRows } from "./schema.ts";

const INTRODUCTION = `# Configuration

<!-- Generated from src/config/schema.ts by \`npm run generate\`. Do not edit. -->

One file, \`cluster.yaml\`, describes the whole cluster; every node reads the same file and is told its id
(\`flotilla broker --config cluster.yaml --node 1\`). The smallest one:

\`\`\`yaml
cluster: example
nodes:
  - { id: 1, dataDir: data/1, client: 127.0.0.1:7101, peer: 127.0.0.1:7201, admin: 127.0.0.1:7301 }
\`\`\`

- Unknown keys, duplicates and values out of range are refused, all at once, each as
  \`cluster.yaml:14:3: storage.diskFreMin: unknown key, did you mean "diskFreeMin"?\`, with exit code 78.
- Sizes carry a unit: \`B\`, \`KiB\`, \`MiB\`, \`GiB\`, \`TiB\` (powers of 1024), \`KB\` … \`TB\` (powers of 1000).
  Durations too: \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`. A bare number is refused.
- Listening anywhere but on loopback is refused unless \`insecure: true\` accepts clear text.
- No two nodes may share an id, an address or a data directory.
- An environment variable overrides one key: \`FLOTILLA_\`, then the path in capitals with \`__\` between its parts; a
  node is named by its id. A variable with \`__\` that names no key is an error.
- Scope *cluster*: keep it equal on all nodes. *node*: belongs to one node. *topic*: default of topics created later.
- Every key is read at start; a change needs a restart of the broker.
`;

/** The whole page. */
export function renderConfigDocs(): string {
  const groups = new Map<string, ConfigRow[]>();
  for (const row of configRows()) {
    const group = row.key.includes(".") ? row.key.slice(0, row.key.indexOf(".")) : "";
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  const sections = [...groups].map(([group, rows]) => {
    const title = group === "" ? "Top level" : `\`${group}\``;
    return `\n## ${title}\n\n${HEADER}\n${rows.map(line).join("\n")}\n`;
  });
  return INTRODUCTION + sections.join("");
}

const HEADER =
  "| Key | Type | Default | Range | Scope | Meaning | Variable |\n|---|---|---|---|---|---|---|";

function line(row: ConfigRow): string {
  const fallback =
    row.default === undefined ? (row.required ? "*required*" : "–") : `\`${row.default}\``;
  const range = row.range === "" ? "–" : row.range;
  const variable = row.key === "nodes[].id" ? "–" : `\`${environmentName(row.key)}\``;
  return `| \`${row.key}\` | ${row.type} | ${fallback} | ${range} | ${row.scope} | ${row.about} | ${variable} |`;
}
