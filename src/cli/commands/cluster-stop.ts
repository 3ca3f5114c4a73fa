// Taking brokers down: politely (down, restart) or not at all (kill).
import type { NodeConfig } from "../../config/cluster-config.ts";
import { type Context, configPath, type GlobalOptions, timeoutOf } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { forgetPid, runFiles, runningPid, signalBroker, waitForExit } from "../node-process.ts";
import { startNodes, waitUntilReady } from "./cluster-up.ts";

/** Signals after which the process is expected to go away. */
const ENDING: ReadonlySet<NodeJS.Signals> = new Set([
  "SIGKILL",
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGABRT",
]);
const GRACE_MS = 10_000;

export interface DownOptions extends GlobalOptions {
  readonly force?: boolean;
}

export async function clusterDown(options: DownOptions, context: Context): Promise<void> {
  const config = await context.loadConfig(configPath(options, context.environment));
  const running = config.nodes.filter((node) => runningPid(node) !== undefined);
  const timeoutMs = config.shutdownTimeoutMs + GRACE_MS;
  context.terminal.status(`stopping ${running.length} brokers …`);
  const results = await Promise.allSettled(
    running.map((node) => stopNode(node, timeoutMs, options.force === true)),
  );
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason as Error;
  const ids = running.map((node) => node.id);
  if (options.output === "json") context.terminal.line(JSON.stringify({ stopped: ids }));
  else
    context.terminal.note(
      ids.length === 0 ? "no broker was running" : `stopped node ${ids.join(", ")}`,
    );
}

async function stopNode(node: NodeConfig, timeoutMs: number, force: boolean): Promise<void> {
  const pid = signalBroker(node, "SIGTERM");
  if (pid === undefined) return;
  // A stopped (SIGSTOP) process cannot see the request.
  signalBroker(node, "SIGCONT");
  if (!(await waitForExit(pid, timeoutMs))) {
    if (!force) {
      throw new CliError(
        EXIT.FAILED,
        `node ${node.id} (pid ${pid}) is still running after ${timeoutMs / 1000} s`,
        `see ${runFiles(node).log}; end it anyway with: flotilla cluster down --force`,
      );
    }
    signalBroker(node, "SIGKILL");
    await waitForExit(pid, GRACE_MS);
  }
  forgetPid(node);
}

export interface KillOptions extends GlobalOptions {
  readonly signal: NodeJS.Signals;
}

export async function clusterKill(
  nodeId: number,
  options: KillOptions,
  context: Context,
): Promise<void> {
  const node = await findNode(nodeId, options, context);
  const pid = signalBroker(node, options.signal);
  if (pid === undefined) {
    throw new CliError(
      EXIT.FAILED,
      `node ${nodeId} is not running`,
      "start it with: flotilla cluster up",
    );
  }
  const hasEnded = ENDING.has(options.signal) && (await waitForExit(pid, GRACE_MS));
  if (hasEnded) forgetPid(node);
  if (options.output === "json") {
    context.terminal.line(JSON.stringify({ nodeId, pid, signal: options.signal, ended: hasEnded }));
    return;
  }
  context.terminal.note(
    `sent ${options.signal} to node ${nodeId} (pid ${pid})${hasEnded ? "; it has ended" : ""}`,
  );
  if (hasEnded) context.terminal.note(`bring it back with: flotilla cluster restart ${nodeId}`);
}

export async function clusterRestart(
  nodeId: number,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  const node = await findNode(nodeId, options, context);
  const config = await context.loadConfig(configPath(options, context.environment));
  context.terminal.status(`stopping node ${nodeId} …`);
  await stopNode(node, config.shutdownTimeoutMs + GRACE_MS, false);
  await startNodes([node], options, context);
  await waitUntilReady([node], timeoutOf(options), context);
  if (options.output === "json")
    context.terminal.line(JSON.stringify({ nodeId, pid: runningPid(node) }));
  else context.terminal.note(`node ${nodeId} is ready (pid ${runningPid(node)})`);
}

async function findNode(
  nodeId: number,
  options: GlobalOptions,
  context: Context,
): Promise<NodeConfig> {
  const config = await context.loadConfig(configPath(options, context.environment));
  const { nodeOf } = await import("../../config/load-config.ts");
  return nodeOf(config, nodeId);
}
