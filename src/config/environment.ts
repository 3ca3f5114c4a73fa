// Environment variables override single keys by a mechanical name: FLOTILLA_ + the path in capitals, "__" between
// its parts. A node is named by its id. Pure: the caller passes the variables in. Called by parse-config.
import type { ConfigProblem } from "./config-error.ts";
import type { ConfigRow } from "./schema.ts";
import { suggest } from "./suggest.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "FLOTILLA_";

/** "raft.electionTimeout" → FLOTILLA_RAFT__ELECTION_TIMEOUT; "nodes[].dataDir" → FLOTILLA_NODES__<ID>__DATA_DIR. */
export function environmentName(key: string): string {
  const parts = key.replace("[]", ".<ID>").split(".");
  return (
    PREFIX + parts.map((part) => part.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()).join("__")
  );
}

export interface Override {
  readonly variable: string;
  readonly path: readonly (string | number)[];
  readonly value: unknown;
}

/**
 * What the variables say. Names without "__" that fit no key are left alone (they may belong to the command line);
 * all others must name a key, because a mistyped override that is silently ignored is worse than none.
 */
export function readOverrides(
  environment: Environment,
  rows: readonly ConfigRow[],
  nodeIds: readonly unknown[],
): { readonly overrides: readonly Override[]; readonly problems: readonly ConfigProblem[] } {
  const targets = overrideTargets(rows, nodeIds);
  const overrides: Override[] = [];
  const problems: ConfigProblem[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !variable.startsWith(PREFIX)) continue;
    const target = targets.get(variable);
    if (target !== undefined) {
      overrides.push({ variable, path: target.path, value: scalar(value, target.row) });
    } else if (variable.includes("__")) {
      const near = suggest(variable, targets.keys());
      const hint = near === undefined ? "" : `, did you mean ${near}?`;
      problems.push({ where: `environment ${variable}`, key: "", message: `no such key${hint}` });
    }
  }
  return { overrides, problems };
}

interface Target {
  readonly path: readonly (string | number)[];
  readonly row: ConfigRow;
}

function overrideTargets(
  rows: readonly ConfigRow[],
  nodeIds: readonly unknown[],
): Map<string, Target> {
  const targets = new Map<string, Target>();
  for (const row of rows) {
    const name = environmentName(row.key);
    if (!row.key.startsWith("nodes[].")) {
      targets.set(name, { path: row.key.split("."), row });
      continue;
    }
    if (row.key === "nodes[].id") continue;
    for (const [position, id] of nodeIds.entries()) {
      const path = ["nodes", position, ...row.key.slice("nodes[].".length).split(".")];
      targets.set(name.replace("<ID>", String(id)), { path, row });
    }
  }
  return targets;
}

function scalar(value: string, row: ConfigRow): unknown {
  if (row.type === "integer" && /^\d+$/.test(value)) return Number(value);
  if (row.type.startsWith("true")) {
    if (value === "true" || value === "1") return true;
    if (value === "false" || value === "0") return false;
  }
  return value;
}

/** Sets `value` at `path` in a parsed file, making groups that are missing. `root` must be an own copy. */
export function applyOverride(root: unknown, override: Override): void {
  let at: unknown = root;
  for (const [depth, part] of override.path.entries()) {
    if (!isGroup(at)) return;
    if (depth === override.path.length - 1) {
      at[part] = override.value;
      return;
    }
    at[part] ??= {};
    at = at[part];
  }
}

function isGroup(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null;
}
