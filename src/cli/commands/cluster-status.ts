// `cluster status`: what runs on this machine, and what the cluster says of itself.
import { formatHostPort, type NodeConfig } from "../../config/cluster-config.ts";
import type { ClusterDetails } from "../client-port.ts";
import { type Context, configPath, type GlobalOptions, withClient } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { type NodeHealth, probeHealth } from "../health-probe.ts";
import { pause, runningPid } from "../node-process.ts";
import { printRows } from "../table.ts";

const WATCH_EVERY_MS = 1000;
const CLEAR_SCREEN = "\u001b[H\u001b[J";

export interface StatusOptions extends GlobalOptions {
  readonly watch?: boolean;
}

interface NodeRow {
  readonly nodeId: number;
  readonly client: string;
  readonly pid: number | undefined;
  readonly role: string;
  readonly leaders: number | undefined;
  readonly replicas: number | undefined;
  readonly health: string;
  readonly reasons: readonly string[];
}

interface Status {
  readonly cluster: ClusterDetails | undefined;
  readonly nodes: readonly NodeRow[];
}

export async function clusterStatus(options: StatusOptions, context: Context): Promise<void> {
  const config = await context.loadConfig(configPath(options, context.environment));
  for (;;) {
    const status = await collect(config.nodes, options, context);
    if (options.watch === true && context.terminal.isInteractive)
      await context.terminal.write(CLEAR_SCREEN);
    print(status, options, context);
    if (options.watch !== true) {
      if (status.nodes.every((node) => node.health === "ready")) return;
      throw new CliError(
        EXIT.FAILED,
        summary(status.nodes),
        "start what is down with: flotilla cluster up",
      );
    }
    await pause(WATCH_EVERY_MS);
    if (context.signal.aborted) return;
  }
}

async function collect(
  nodes: readonly NodeConfig[],
  options: GlobalOptions,
  context: Context,
): Promise<Status> {
  const health = await Promise.all(nodes.map((node) => probeHealth(node.admin)));
  const anyReady = health.some((one) => one.state === "ready");
  const cluster = anyReady ? await describeCluster(options, context) : undefined;
  return {
    cluster,
    nodes: nodes.map((node, position) => nodeRow(node, health[position], cluster)),
  };
}

/** The table is worth showing without it. */
async function describeCluster(
  options: GlobalOptions,
  context: Context,
): Promise<ClusterDetails | undefined> {
  try {
    return await withClient(context, options, (client) => client.admin.describeCluster());
  } catch {
    return undefined;
  }
}

function nodeRow(
  node: NodeConfig,
  health: NodeHealth | undefined,
  cluster: ClusterDetails | undefined,
): NodeRow {
  const known = cluster?.nodes.find((other) => other.nodeId === node.id);
  const pid = runningPid(node);
  const role =
    known?.fenced === true ? "fenced" : cluster?.controllerId === node.id ? "controller" : "broker";
  const isStopped = pid === undefined && health?.state === "down";
  return {
    nodeId: node.id,
    client: formatHostPort(node.client),
    pid,
    role: isStopped ? "–" : role,
    leaders: known?.leaders,
    replicas: known?.replicas,
    health: isStopped
      ? "down"
      : health?.state === "down"
        ? "not answering"
        : (health?.state ?? "unknown"),
    reasons: health?.state === "starting" ? health.reasons : [],
  };
}

function print(status: Status, options: GlobalOptions, context: Context): void {
  const { terminal } = context;
  if (options.output === "json") {
    terminal.line(JSON.stringify(status));
    return;
  }
  printRows(
    terminal,
    "table",
    status.nodes,
    [
      { title: "NODE", text: (row) => row.nodeId, align: "right" },
      { title: "ROLE", text: (row) => row.role },
      { title: "PID", text: (row) => row.pid ?? "–", align: "right" },
      { title: "CLIENT", text: (row) => row.client },
      { title: "LEADS", text: (row) => row.leaders ?? "–", align: "right" },
      { title: "REPLICAS", text: (row) => row.replicas ?? "–", align: "right" },
      { title: "HEALTH", text: (row) => [row.health, ...row.reasons].join("; ") },
    ],
    "no nodes",
  );
  const { cluster } = status;
  if (cluster === undefined) return;
  terminal.note(
    `cluster ${cluster.clusterId}, metadata term ${cluster.metadataTerm}: ${cluster.leaderlessPartitions} partitions without leader, ${cluster.underReplicatedPartitions} under-replicated (as node ${cluster.controllerId === 0 ? "?" : cluster.controllerId} leads)`,
  );
}

function summary(nodes: readonly NodeRow[]): string {
  const bad = nodes.filter((node) => node.health !== "ready");
  return `${bad.length} of ${nodes.length} brokers are not ready`;
}
