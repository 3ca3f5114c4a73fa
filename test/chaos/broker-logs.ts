// What the judge must see of the brokers' logs: that they were read, errors, fatal ones, and what a dying process wrote without our logger.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LogLine } from "../../src/testkit/index.ts";
import type { LocalCluster } from "../support/local-cluster.ts";
import { linesOf } from "../support/save-history.ts";

export function brokerLogs(cluster: LocalCluster): LogLine[] {
  const atMs = performance.now();
  return cluster.nodes.flatMap(({ id: node }) => {
    const file = join(cluster.directory, `node-${node}.log`);
    if (!existsSync(file)) return [];
    const lines = [...linesOf(file)];
    const bad = lines.flatMap((line): LogLine[] => {
      const level = levelOf(line);
      return level === undefined ? [] : [{ type: "log", atMs, node, level, message: line }];
    });
    // Says in the history that the log was looked at.
    const message = `${lines.length} lines, ${bad.length} of them bad`;
    return [{ type: "log", atMs, node, level: "info", message }, ...bad];
  });
}

/** Undefined: harmless. */
function levelOf(line: string): "error" | "fatal" | undefined {
  if (!line.startsWith("{")) return /\b\w*Error\b|unhandled/i.test(line) ? "fatal" : undefined;
  const level = /"level":"(error|fatal)"/.exec(line)?.[1];
  return level === "error" || level === "fatal" ? level : undefined;
}
