// The broker processes of one machine: started detached, found again by their pid file, stopped by signal. A pid that
// now belongs to another program is never signalled. Called by the cluster commands and by scripts/quickstart.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ClusterConfig, NodeConfig } from "../config/cluster-config.ts";

/** Flushes and reads block threads of libuv's pool; four would be too few for several dirty partitions. */
const THREADS = "8";
/** A larger young generation would let buffers pile up to V8's limit for external memory: full collections (bench/README.md). MiB. */
const SEMI_SPACE_MIB = 16;

export interface RunFiles {
  readonly folder: string;
  readonly pid: string;
  readonly log: string;
}

/**
 * Next to the data directories, not inside: an emptied disk must not hide a running process. Called as the directory is, not
 * as the node: other clusters may have theirs there, too.
 */
export function runFiles(node: NodeConfig): RunFiles {
  const folder = join(dirname(node.dataDir), "run");
  const name = basename(node.dataDir);
  return { folder, pid: join(folder, `${name}.pid`), log: join(folder, `${name}.log`) };
}

export interface BrokerCommand {
  /** Absolute path of cluster.yaml. */
  readonly configPath: string;
  /** Absolute path of the command line's main module. */
  readonly main: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Starts a broker that outlives this process; its output goes to its log file. */
export function spawnBroker(node: NodeConfig, command: BrokerCommand): ChildProcess {
  const files = runFiles(node);
  mkdirSync(files.folder, { recursive: true });
  const log = openSync(files.log, "a");
  try {
    const child = spawn(process.execPath, brokerArguments(node, command), {
      detached: true,
      stdio: ["ignore", log, log],
      env: { UV_THREADPOOL_SIZE: THREADS, ...command.environment },
    });
    child.unref();
    if (child.pid !== undefined) {
      writePidFile(files.pid, { pid: child.pid, configPath: command.configPath });
    }
    return child;
  } finally {
    closeSync(log);
  }
}

export function brokerArguments(node: NodeConfig, command: BrokerCommand): string[] {
  // execArgv carries the loader when the sources run directly.
  const flags = process.execArgv.filter((flag) => !flag.startsWith("--inspect"));
  return [
    ...flags,
    `--max-semi-space-size=${SEMI_SPACE_MIB}`,
    command.main,
    "broker",
    "--config",
    command.configPath,
    "--node",
    String(node.id),
  ];
}

/** The pid of the node's running broker, or undefined. */
export function runningPid(node: NodeConfig): number | undefined {
  const started = readPidFile(runFiles(node).pid);
  return started !== undefined && isBroker(started, node.id) ? started.pid : undefined;
}

/** The process that was started, and not a stranger, or a broker of another cluster, that got its number. */
function isBroker({ configPath, pid }: StartedBroker, nodeId: number): boolean {
  if (!isAlive(pid)) return false;
  const command = commandOf(pid);
  if (command === undefined) return true;
  return `${command} `.includes(` broker --config ${configPath} --node ${nodeId} `);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // A killed child that nobody waited for still has its number.
  return processState(pid) !== "Z";
}

/** Waits until the process is gone. False when it is still there after `timeoutMs`. */
export async function waitForExit(pid: number, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isAlive(pid)) {
    if (performance.now() > end) return false;
    await pause(25);
  }
  return true;
}

/** Sends a signal to the node's broker. False when none runs. */
export function signalBroker(node: NodeConfig, signal: NodeJS.Signals): number | undefined {
  const pid = runningPid(node);
  if (pid !== undefined) process.kill(pid, signal);
  return pid;
}

export function forgetPid(node: NodeConfig): void {
  rmSync(runFiles(node).pid, { force: true });
}

/** The last lines of the node's log, for error messages. */
export function logTail(node: NodeConfig, lines: number): string {
  try {
    return readFileSync(runFiles(node).log, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}

export function nodesOf(config: ClusterConfig, id: number | undefined): readonly NodeConfig[] {
  return id === undefined ? config.nodes : config.nodes.filter((node) => node.id === id);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** What a pid file holds, a line each. */
interface StartedBroker {
  readonly pid: number;
  readonly configPath: string;
}

function writePidFile(path: string, { configPath, pid }: StartedBroker): void {
  writeFileSync(`${path}.tmp`, `${pid}\n${configPath}\n`);
  renameSync(`${path}.tmp`, path);
}

function readPidFile(path: string): StartedBroker | undefined {
  try {
    const [number = "", configPath = ""] = readFileSync(path, "utf8").split("\n");
    const pid = Number(number);
    return Number.isSafeInteger(pid) && pid > 1 ? { pid, configPath } : undefined;
  } catch {
    return undefined;
  }
}

/** Arguments joined by blanks; undefined when the system does not tell. */
function commandOf(pid: number): string | undefined {
  if (process.platform === "linux") {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trimEnd();
    } catch {
      return undefined;
    }
  }
  return askPs(pid, "command=");
}

function processState(pid: number): string | undefined {
  if (process.platform === "linux") {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      return text.slice(text.lastIndexOf(")") + 2, text.lastIndexOf(")") + 3);
    } catch {
      return undefined;
    }
  }
  return askPs(pid, "stat=")?.slice(0, 1);
}

function askPs(pid: number, field: string): string | undefined {
  try {
    return execFileSync("ps", ["-ww", "-o", field, "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}
