// Three brokers in .flotilla/quickstart: their own configuration, fresh data, real processes. Whatever happens, every
// process that was started here is ended here, by its pid.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { foundCluster } from "../../src/cli/format-cluster.ts";
import { probeHealth } from "../../src/cli/health-probe.ts";
import {
  forgetPid,
  logTail,
  pause,
  runningPid,
  signalBroker,
  spawnBroker,
  waitForExit,
} from "../../src/cli/node-process.ts";
import {
  type ClusterConfig,
  formatHostPort,
  type NodeConfig,
} from "../../src/config/cluster-config.ts";
import { loadConfig, nodeOf } from "../../src/config/load-config.ts";
import { choosePorts } from "./ports.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const FOLDER = join(ROOT, ".flotilla", "quickstart");
const MAIN = join(ROOT, "dist", "src", "cli", "main.js");
const NODES = 3;
const READY_TIMEOUT_MS = 30_000;
const EXIT_TIMEOUT_MS = 10_000;

export class LocalCluster {
  readonly config: ClusterConfig;
  readonly #configPath: string;
  #isStopped = false;

  private constructor(config: ClusterConfig, configPath: string) {
    this.config = config;
    this.#configPath = configPath;
  }

  /** Removes what an earlier run left, writes a configuration, formats the directories. Starts nothing yet. */
  static async prepare(): Promise<LocalCluster> {
    const configPath = join(FOLDER, "cluster.yaml");
    await endLeftovers(configPath);
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(configPath, configText(await choosePorts(NODES * 3)));
    const config = loadConfig(configPath);
    await foundCluster(config);
    return new LocalCluster(config, configPath);
  }

  get bootstrap(): readonly string[] {
    return this.config.nodes.map((node) => formatHostPort(node.client));
  }

  startAll(): void {
    for (const node of this.config.nodes) this.start(node.id);
  }

  /** Does nothing after stop(): a restart that was planned before must not leave a process behind. */
  start(nodeId: number): void {
    if (this.#isStopped) return;
    const command = { configPath: this.#configPath, main: MAIN, environment: process.env };
    spawnBroker(nodeOf(this.config, nodeId), command);
  }

  /** SIGKILL: no goodbye, no flush. */
  kill(nodeId: number): void {
    const pid = signalBroker(nodeOf(this.config, nodeId), "SIGKILL");
    if (pid === undefined)
      throw new Error(`node ${nodeId} was not running when it should be killed`);
  }

  async waitUntilReady(signal: AbortSignal): Promise<void> {
    const end = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      signal.throwIfAborted();
      const health = await Promise.all(this.config.nodes.map((node) => probeHealth(node.admin)));
      if (health.every((one) => one.state === "ready")) return;
      const dead = this.config.nodes.find((node) => runningPid(node) === undefined);
      if (dead !== undefined)
        throw new Error(`node ${dead.id} stopped while starting:\n${logTail(dead, 8)}`);
      if (performance.now() > end)
        throw new Error(`not ready after 30 s: ${JSON.stringify(health)}`);
      await pause(100);
    }
  }

  /** Ends all brokers, politely first. Safe to call at any time, also twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.config.nodes.map(endNode));
  }

  /** The last resort when this process ends in another way. */
  stopNow(): void {
    this.#isStopped = true;
    for (const node of this.config.nodes) signalBroker(node, "SIGKILL");
  }
}

async function endNode(node: NodeConfig): Promise<void> {
  const pid = signalBroker(node, "SIGTERM");
  if (pid === undefined) return;
  if (!(await waitForExit(pid, EXIT_TIMEOUT_MS))) {
    signalBroker(node, "SIGKILL");
    await waitForExit(pid, EXIT_TIMEOUT_MS);
  }
  forgetPid(node);
}

/** A run that was itself killed may have left brokers behind. */
async function endLeftovers(configPath: string): Promise<void> {
  let config: ClusterConfig;
  try {
    config = loadConfig(configPath);
  } catch {
    return;
  }
  await Promise.all(config.nodes.map(endNode));
}

function configText(ports: readonly number[]): string {
  const nodes = Array.from({ length: NODES }, (_, position) => {
    const at = (kind: number): string => `127.0.0.1:${ports[kind * NODES + position]}`;
    return `  - id: ${position + 1}
    dataDir: data/${position + 1}
    client: ${at(0)}
    peer: ${at(1)}
    admin: ${at(2)}`;
  });
  return `# Written by scripts/quickstart.\ncluster: quickstart\nnodes:\n${nodes.join("\n")}\n`;
}
