// Bringing brokers up: start what is not running, wait until every node is ready, say why when it is not.
import { resolve } from "node:path";
import type { ClusterConfig, NodeConfig } from "../../config/cluster-config.ts";
import { formatHostPort } from "../../config/cluster-config.ts";
import { type Context, configPath, type GlobalOptions, timeoutOf } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { foundCluster, isFormatted } from "../format-cluster.ts";
import { type NodeHealth, probeHealth } from "../health-probe.ts";
import { logTail, pause, runFiles, runningPid, spawnBroker } from "../node-process.ts";

const PROBE_EVERY_MS = 150;
const TAIL_LINES = 5;

export interface UpOptions extends GlobalOptions {
  readonly init?: boolean;
}

export async function clusterUp(options: UpOptions, context: Context): Promise<void> {
  const config = await context.loadConfig(configPath(options, context.environment));
  if (!config.nodes.some(isFormatted)) {
    if (options.init !== true) {
      throw new CliError(
        EXIT.CONFIG,
        "the data directories are not formatted",
        "format them once with: flotilla cluster init, or start with: flotilla cluster up --init",
      );
    }
    const clusterId = await foundCluster(config);
    context.terminal.note(
      `formatted ${config.nodes.length} data directories, cluster ${clusterId}`,
    );
  }
  const started = await startNodes(config.nodes, options, context);
  await waitUntilReady(config.nodes, timeoutOf(options), context);
  reportUp(config, started, options, context);
}

/** Starts those that do not run; returns them. Refuses before starting anything when an address is taken. */
export async function startNodes(
  nodes: readonly NodeConfig[],
  options: GlobalOptions,
  context: Context,
): Promise<readonly NodeConfig[]> {
  const idle = nodes.filter((node) => runningPid(node) === undefined);
  const unformatted = idle.find((node) => !isFormatted(node));
  if (unformatted !== undefined) {
    throw new CliError(
      EXIT.CONFIG,
      `node ${unformatted.id}: ${unformatted.dataDir} is not formatted, while others are`,
      `if its disk was lost or it is new: flotilla cluster init --join ${unformatted.id}`,
    );
  }
  for (const node of idle) await refuseTakenAddress(node);
  const configFile = resolve(configPath(options, context.environment));
  const main = process.argv[1] ?? "";
  for (const node of idle) {
    spawnBroker(node, { configPath: configFile, main, environment: context.environment });
  }
  return idle;
}

async function refuseTakenAddress(node: NodeConfig): Promise<void> {
  if ((await probeHealth(node.admin)).state === "down") return;
  throw new CliError(
    EXIT.CONFIG,
    `node ${node.id}: another program answers at ${formatHostPort(node.admin)}`,
    "stop it, or change the address in cluster.yaml",
  );
}

export async function waitUntilReady(
  nodes: readonly NodeConfig[],
  timeoutMs: number,
  context: Context,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const health = await Promise.all(nodes.map((node) => probeHealth(node.admin)));
    if (health.every((one) => one.state === "ready")) return;
    // Looked at after the probe: one that has just died would else count as starting.
    const dead = nodes.find((node) => runningPid(node) === undefined);
    if (dead !== undefined) throw died(dead);
    context.signal.throwIfAborted();
    if (performance.now() > end) throw notReady(nodes, health, timeoutMs);
    const readyCount = health.filter((one) => one.state === "ready").length;
    context.terminal.status(`${readyCount} of ${nodes.length} brokers ready …`);
    await pause(PROBE_EVERY_MS);
  }
}

function died(node: NodeConfig): CliError {
  const tail = logTail(node, TAIL_LINES);
  const shown = tail === "" ? "" : `; its last words:\n${tail}`;
  return new CliError(
    EXIT.FAILED,
    `node ${node.id} stopped while starting${shown}`,
    `all of it: ${runFiles(node).log}`,
  );
}

function notReady(
  nodes: readonly NodeConfig[],
  health: readonly NodeHealth[],
  timeoutMs: number,
): CliError {
  const lines = nodes.flatMap((node, position) => {
    const one = health[position];
    if (one === undefined || one.state === "ready") return [];
    const reasons =
      one.state === "starting" ? one.reasons.join("; ") : "its admin listener does not answer";
    return [`node ${node.id}: ${reasons}`];
  });
  return new CliError(
    EXIT.TRY_AGAIN,
    `not ready after ${timeoutMs / 1000} s: ${lines.join(", ")}`,
    "watch with: flotilla cluster status --watch; --timeout waits longer",
  );
}

function reportUp(
  config: ClusterConfig,
  started: readonly NodeConfig[],
  options: GlobalOptions,
  context: Context,
): void {
  const { terminal } = context;
  const bootstrap = config.nodes.map((node) => formatHostPort(node.advertised.client)).join(",");
  if (options.output === "json") {
    terminal.line(JSON.stringify({ started: started.map((node) => node.id), bootstrap }));
    return;
  }
  const { acks, flush } = config.topics;
  terminal.note(
    started.length === 0
      ? "all brokers were running already"
      : `started node ${started.map((node) => node.id).join(", ")}; all ${config.nodes.length} brokers are ready`,
  );
  terminal.note(`new topics acknowledge ${acks}/${flush}; clients connect to ${bootstrap}`);
  terminal.note(
    "next: flotilla topic create NAME · flotilla produce NAME · flotilla consume NAME --from earliest",
  );
}
