// Text of cluster.yaml → resolved configuration, or every problem at once with its line and column. Pure: no file,
// no process; the caller passes text, environment and a way to resolve paths. Called by load-config and tests.
import { type Document, isMap, isNode, isPair, LineCounter, parseDocument } from "yaml";
import type { NodeId } from "../model/ids.ts";
import type { ClusterConfig, NodeConfig } from "./cluster-config.ts";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { applyOverride, type Environment, type Override, readOverrides } from "./environment.ts";
import { checkRelations } from "./relations.ts";
import { checkSchema, configRows, type FileConfig, type SchemaIssue } from "./schema.ts";
import { suggest } from "./suggest.ts";

export interface ConfigSource {
  readonly text: string;
  /** As shown in error lines. */
  readonly fileName: string;
  readonly environment: Environment;
  /** Absolute, normalised form of a path that is relative to the file's folder. */
  readonly resolvePath: (path: string) => string;
}

type Path = readonly (string | number)[];

/** @throws ConfigError with all problems found. */
export function parseConfig(source: ConfigSource): ClusterConfig {
  const lines = new LineCounter();
  const document = parseDocument(source.text, { lineCounter: lines, prettyErrors: false });
  const where = (position: number): string => {
    const { line, col } = lines.linePos(position);
    return `${source.fileName}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map((error) => ({
        where: where(error.pos[0]),
        key: "",
        message: error.message,
      })),
    );
  }
  if (!isMap(document.contents)) {
    throw new ConfigError([{ where: `${source.fileName}:1:1`, key: "", message: EMPTY_HELP }]);
  }
  return resolveDocument(source, document, where);
}

const EMPTY_HELP = "the file must be a group of keys, at least: cluster, nodes (docs/CONFIG.md)";

function resolveDocument(
  source: ConfigSource,
  document: Document,
  where: (position: number) => string,
): ClusterConfig {
  const value = plainValue(source, document);
  const { overrides, problems } = readOverrides(source.environment, configRows(), nodeIdsOf(value));
  for (const override of overrides) applyOverride(value, override);

  const place = (path: Path): string => placeOf(path, document, overrides, where);
  const checked = checkSchema(value);
  if (checked.config === undefined) {
    throw new ConfigError([
      ...problems,
      ...checked.issues.flatMap((issue) => explain(issue, place)),
    ]);
  }
  const related = checkRelations(checked.config, source.resolvePath).map((issue) => ({
    where: place(issue.path),
    key: formatPath(issue.path),
    message: issue.message,
  }));
  if (problems.length + related.length > 0) throw new ConfigError([...problems, ...related]);
  return resolve(checked.config, source.resolvePath);
}

/** @throws ConfigError for aliases without an anchor, and for too many */
function plainValue({ fileName }: ConfigSource, document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ where: `${fileName}:1:1`, key: "", message }]);
  }
}

function nodeIdsOf(value: unknown): unknown[] {
  const nodes = (value as { readonly nodes?: unknown }).nodes;
  if (!Array.isArray(nodes)) return [];
  return nodes.map((node: unknown, position) => {
    const id = (node as { readonly id?: unknown } | null)?.id;
    return typeof id === "number" ? id : `#${position}`;
  });
}

/** Where the value of `path` was written: a variable's name, or the nearest node of the file. */
function placeOf(
  path: Path,
  document: Document,
  overrides: readonly Override[],
  where: (position: number) => string,
): string {
  const name = formatPath(path);
  const override = overrides.find((candidate) => formatPath(candidate.path) === name);
  if (override !== undefined) return `environment ${override.variable}`;
  for (let length = path.length; length > 0; length -= 1) {
    const part = path.slice(0, length);
    const position = keyPosition(document, part) ?? valuePosition(document, part);
    if (position !== undefined) return where(position);
  }
  return where(0);
}

/** People look for the key, not for its value. */
function keyPosition(document: Document, path: Path): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const name = path.at(-1);
  const pair = parent.items.find(
    (item) => isPair(item) && isNode(item.key) && item.key.toJS(document) === name,
  );
  return pair !== undefined && isNode(pair.key) ? pair.key.range?.[0] : undefined;
}

function valuePosition(document: Document, path: Path): number | undefined {
  const node = document.getIn(path, true);
  return isNode(node) ? node.range?.[0] : undefined;
}

function explain(issue: SchemaIssue, place: (path: Path) => string): ConfigProblem[] {
  if (issue.unknownKeys.length === 0) {
    return [{ where: place(issue.path), key: formatPath(issue.path), message: issue.message }];
  }
  const known = keysAt(issue.path);
  return issue.unknownKeys.map((key) => {
    const near = suggest(key, known);
    const hint =
      near === undefined ? `; known here: ${known.join(", ")}` : `, did you mean "${near}"?`;
    const path = [...issue.path, key];
    return { where: place(path), key: formatPath(path), message: `unknown key${hint}` };
  });
}

/** Names of the keys that a group may have. */
function keysAt(path: Path): string[] {
  const prefix = path.map((part) => (typeof part === "number" ? "[]" : `.${part}`)).join("");
  const names = new Set<string>();
  for (const { key } of configRows()) {
    const full = `.${key}`;
    if (!full.startsWith(`${prefix}.`)) continue;
    const rest = full.slice(prefix.length + 1);
    names.add(rest.split(/[.[]/)[0] ?? rest);
  }
  return [...names];
}

function formatPath(path: Path): string {
  return path
    .map((part, depth) =>
      typeof part === "number" ? `[${part}]` : depth === 0 ? part : `.${part}`,
    )
    .join("");
}

function resolve(file: FileConfig, resolvePath: (path: string) => string): ClusterConfig {
  return deepFreeze({
    cluster: file.cluster,
    insecure: file.insecure,
    nodes: file.nodes.map((node) => resolveNode(node, resolvePath)),
    topics: file.topics,
    raft: {
      electionTimeoutMs: file.raft.electionTimeout,
      heartbeatMs: file.raft.heartbeat,
      tickMs: file.raft.tick,
    },
    storage: {
      diskFreeBytesMin: file.storage.diskFreeMin,
      trashRetentionMs: file.storage.trashRetention,
      scrubBytesPerSecond: file.storage.scrubRate,
      scrubIntervalMs: file.storage.scrubInterval,
    },
    limits: {
      memoryBudgetBytes: file.limits.memory.budget === 0 ? undefined : file.limits.memory.budget,
      connections: file.limits.connections,
      streamsPerConnection: file.limits.streamsPerConnection,
      produceInflightBytes: file.limits.produceInflight,
      parkedFetches: file.limits.parkedFetches,
    },
    logging: {
      level: file.logging.level,
      file: file.logging.file === undefined ? undefined : resolvePath(file.logging.file),
    },
    shutdownTimeoutMs: file.shutdownTimeout,
  });
}

function resolveNode(
  node: FileConfig["nodes"][number],
  resolvePath: (path: string) => string,
): NodeConfig {
  return {
    id: node.id as NodeId,
    dataDir: resolvePath(node.dataDir),
    client: node.client,
    peer: node.peer,
    admin: node.admin,
    advertised: {
      client: node.advertised?.client ?? node.client,
      peer: node.advertised?.peer ?? node.peer,
      admin: node.advertised?.admin ?? node.admin,
    },
  };
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) {
    if (typeof child === "object" && child !== null) deepFreeze(child);
  }
  return Object.freeze(value);
}
