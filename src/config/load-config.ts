// Reads cluster.yaml from disk. Called by the command line, which passes its environment on.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { ClusterConfig, NodeConfig } from "./cluster-config.ts";
import { ConfigError } from "./config-error.ts";
import type { Environment } from "./environment.ts";
import { parseConfig } from "./parse-config.ts";

/** The file's configuration. @throws ConfigError (unreadable file, or all problems in it). */
export function loadConfig(path: string, environment: Environment = {}): ClusterConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    const message =
      code === "ENOENT" ? "no such file; name one with --config" : `cannot be read (${code})`;
    throw new ConfigError([{ where: path, key: "", message }]);
  }
  const folder = dirname(resolve(path));
  return parseConfig({
    text,
    fileName: path,
    environment,
    resolvePath: (relative) => resolve(folder, relative),
  });
}

/** The node with this id. @throws ConfigError naming the ids there are. */
export function nodeOf(config: ClusterConfig, nodeId: number): NodeConfig {
  const node = config.nodes.find((candidate) => candidate.id === nodeId);
  if (node !== undefined) return node;
  const known = config.nodes.map((candidate) => candidate.id).join(", ");
  throw new ConfigError([
    { where: "nodes", key: "", message: `no node ${nodeId}; there are ${known}` },
  ]);
}

/** Where this node's log lines go; undefined: standard output. `%n` in the name stands for the node's id. */
export function logFileOf(config: ClusterConfig, nodeId: number): string | undefined {
  return config.logging.file?.replaceAll("%n", String(nodeId));
}
