// A real cluster on loopback for tests and benchmarks: formats data directories, starts broker processes from dist/,
// waits for health, kills, pauses, restarts, and always ends what it started, by process id.
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "./free-ports.ts";

const MAIN = join(packageRoot(), "dist/src/cli/main.js");

export interface LocalNode {
  readonly id: number;
  readonly client: string;
  readonly peer: string;
  readonly admin: string;
  readonly dataDir: string;
}

export interface LocalClusterOptions {
  readonly nodes?: number;
  /** Kept afterwards when given; otherwise a temporary directory that close() removes. */
  readonly directory?: string;
  /** YAML appended to the generated configuration. */
  readonly extraYaml?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Data directory per node id, for tests that mount something there. */
  readonly dataDir?: (nodeId: number) => string;
  readonly execArgv?: readonly string[];
  /** Each broker in a session of its own, as `cluster up` starts them: kernels share processor time by session. */
  readonly detached?: boolean;
  /** Host per node id; default: loopback. Others need `insecure: true` in the configuration. */
  readonly host?: (nodeId: number) => string;
  /** How one broker is started, beyond what all are. Asked at every start. */
  readonly launch?: (nodeId: number) => Launch;
  /** Told whenever a broker's process has ended. */
  readonly onEnd?: (nodeId: number, end: ProcessEnd) => void;
}

export interface Launch {
  /** A command that runs the command after it in its own place, such as nsenter. */
  readonly prefix?: readonly string[];
  readonly execArgv?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class LocalCluster {
  readonly directory: string;
  readonly configPath: string;
  #nodes: readonly LocalNode[];
  readonly #options: LocalClusterOptions;
  readonly #processes = new Map<number, ChildProcess>();
  readonly #exits = new Map<number, Promise<void>>();

  private constructor(
    directory: string,
    nodes: readonly LocalNode[],
    options: LocalClusterOptions,
  ) {
    this.directory = directory;
    this.#nodes = nodes;
    this.#options = options;
    this.configPath = join(directory, "cluster.yaml");
  }

  static async create(options: LocalClusterOptions = {}): Promise<LocalCluster> {
    if (!existsSync(MAIN)) throw new Error("there is no dist/: run `npm run build` first");
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), "flotilla-"));
    mkdirSync(directory, { recursive: true });
    const count = options.nodes ?? 3;
    const ports = await freePorts(count * 3);
    const nodes = Array.from({ length: count }, (_, place) =>
      makeNode(place + 1, ports.slice(place * 3), directory, options),
    );
    const cluster = new LocalCluster(directory, nodes, options);
    cluster.#writeConfig();
    await cluster.command(["cluster", "init", "--config", cluster.configPath]);
    return cluster;
  }

  get nodes(): readonly LocalNode[] {
    return this.#nodes;
  }

  get bootstrap(): string[] {
    return this.nodes.map((node) => node.client);
  }

  /**
   * Adds a node to the configuration, gives it its identity in the cluster and starts it.
   * @param prepare runs before the node is started
   */
  async addNode(id: number, prepare?: (node: LocalNode) => Promise<void>): Promise<LocalNode> {
    const node = makeNode(id, await freePorts(3), this.directory, this.#options);
    this.#nodes = [...this.#nodes, node];
    this.#writeConfig();
    await this.command(["cluster", "init", "--join", String(id), "--config", this.configPath]);
    await prepare?.(node);
    this.start(id);
    return node;
  }

  /** Takes a node that is not a member any more out of the configuration; ends its process if it has not ended. */
  async forgetNode(id: number): Promise<void> {
    await this.kill(id);
    this.#nodes = this.#nodes.filter((node) => node.id !== id);
    this.#writeConfig();
  }

  /** Starts every broker that is not running and waits until all report ready. */
  async up(timeoutMs = 30_000): Promise<void> {
    for (const node of this.nodes) this.start(node.id);
    await Promise.all(this.nodes.map((node) => this.waitHealthy(node.id, timeoutMs)));
  }

  start(nodeId: number): void {
    if (this.isRunning(nodeId)) return;
    const log = openSync(join(this.directory, `node-${nodeId}.log`), "a");
    const launch = this.#options.launch?.(nodeId) ?? {};
    const broker = [MAIN, "broker", "--config", this.configPath, "--node", String(nodeId)];
    const execArgv = [...(this.#options.execArgv ?? []), ...(launch.execArgv ?? [])];
    const [program = process.execPath, ...args] = [
      ...(launch.prefix ?? []),
      process.execPath,
      ...execArgv,
      ...broker,
    ];
    const child = spawn(program, args, {
      stdio: ["ignore", log, log],
      detached: this.#options.detached === true,
      env: { ...process.env, UV_THREADPOOL_SIZE: "8", ...this.#options.env, ...launch.env },
    });
    closeSync(log);
    this.#processes.set(nodeId, child);
    this.#exits.set(
      nodeId,
      new Promise((resolve) => {
        child.once("exit", (code, signal) => {
          this.#options.onEnd?.(nodeId, { code, signal });
          resolve();
        });
        child.once("error", () => resolve());
      }),
    );
  }

  isRunning(nodeId: number): boolean {
    const child = this.#processes.get(nodeId);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** How the broker's last process ended; undefined while it runs, or when there was none. */
  endOf(nodeId: number): ProcessEnd | undefined {
    const child = this.#processes.get(nodeId);
    if (child === undefined || this.isRunning(nodeId)) return undefined;
    return { code: child.exitCode, signal: child.signalCode };
  }

  /** Resolves when the broker's process has ended. */
  async ended(nodeId: number): Promise<void> {
    await this.#exits.get(nodeId);
  }

  pid(nodeId: number): number {
    return this.#processes.get(nodeId)?.pid ?? 0;
  }

  signal(nodeId: number, signal: NodeJS.Signals): void {
    this.#processes.get(nodeId)?.kill(signal);
  }

  async kill(nodeId: number): Promise<void> {
    this.signal(nodeId, "SIGKILL");
    await this.#exits.get(nodeId);
  }

  /** Graceful stop; SIGKILL after the timeout. Returns the exit code. */
  async stop(nodeId: number, timeoutMs = 15_000): Promise<number | null> {
    const child = this.#processes.get(nodeId);
    if (child === undefined || !this.isRunning(nodeId)) return child?.exitCode ?? null;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    await this.#exits.get(nodeId);
    clearTimeout(timer);
    return child.exitCode;
  }

  async waitHealthy(nodeId: number, timeoutMs = 30_000): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      if (await this.isReady(nodeId)) return;
      if (performance.now() > endMs || !this.isRunning(nodeId)) {
        throw new Error(`broker ${nodeId} did not become ready:\n${this.logTail(nodeId)}`);
      }
      await pause(50);
    }
  }

  async isReady(nodeId: number): Promise<boolean> {
    const node = this.node(nodeId);
    try {
      const answer = await fetch(`http://${node.admin}/health/ready`, {
        signal: AbortSignal.timeout(2000),
      });
      await answer.text();
      return answer.ok;
    } catch {
      return false;
    }
  }

  node(nodeId: number): LocalNode {
    const node = this.nodes.find((candidate) => candidate.id === nodeId);
    if (node === undefined) throw new Error(`no node ${nodeId}`);
    return node;
  }

  logTail(nodeId: number, lines = 20): string {
    try {
      const text = readFileSync(join(this.directory, `node-${nodeId}.log`), "utf8");
      return text.split("\n").slice(-lines).join("\n");
    } catch {
      return "(no log)";
    }
  }

  /** User and system CPU seconds of the running brokers (Linux only, else 0). */
  cpuSeconds(): number {
    let total = 0;
    for (const node of this.nodes) total += cpuSecondsOf(this.pid(node.id));
    return total;
  }

  /** Runs the command line tool; resolves with its standard output, rejects with both outputs when it fails. */
  async command(args: readonly string[]): Promise<string> {
    return (await this.commandOutputs(args)).out;
  }

  /** The same, with what it said on standard error. */
  commandOutputs(args: readonly string[]): Promise<{ readonly out: string; readonly err: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
      let out = "";
      let err = "";
      child.stdout.on("data", (chunk: Buffer) => {
        out += chunk.toString();
      });
      child.stderr.on("data", (chunk: Buffer) => {
        err += chunk.toString();
      });
      child.on("error", reject);
      child.on("close", (code) => {
        if (code === 0) resolve({ out, err });
        else reject(new Error(`flotilla ${args.join(" ")} ended with ${code}:\n${out}${err}`));
      });
    });
  }

  /** Stops everything, at once unless `graceful`, and removes a temporary directory. */
  async close(options: { readonly graceful?: boolean } = {}): Promise<void> {
    await Promise.all(
      this.nodes.map((node) => {
        this.signal(node.id, "SIGCONT");
        return options.graceful === true ? this.stop(node.id) : this.kill(node.id);
      }),
    );
    if (this.#options.directory === undefined) {
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  #writeConfig(): void {
    writeFileSync(this.configPath, this.#yaml());
  }

  #yaml(): string {
    const lines = ["cluster: test", "nodes:"];
    for (const node of this.nodes) {
      lines.push(
        `  - id: ${node.id}`,
        `    dataDir: ${node.dataDir}`,
        `    client: ${node.client}`,
        `    peer: ${node.peer}`,
        `    admin: ${node.admin}`,
      );
    }
    return `${lines.join("\n")}\n${this.#options.extraYaml ?? ""}`;
  }
}

function makeNode(
  id: number,
  ports: readonly number[],
  directory: string,
  options: LocalClusterOptions,
): LocalNode {
  const host = options.host?.(id) ?? "127.0.0.1";
  const address = (slot: number): string => `${host}:${ports[slot]}`;
  const dataDir = options.dataDir?.(id) ?? join(directory, `node-${id}`);
  return { id, client: address(0), peer: address(1), admin: address(2), dataDir };
}

/** This file runs from the sources and compiled into dist/. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
}

/** User plus system CPU seconds of a process, from /proc; 0 where there is none. */
export function cpuSecondsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
