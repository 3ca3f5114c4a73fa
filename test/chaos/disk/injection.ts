// Faults of system calls, injected into a running broker by strace for a while: calls that take longer, or fail. Every call
// that was touched stands in strace's output, which is the proof that the fault bit.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { pause } from "../../support/local-cluster.ts";
import { waitUntil } from "../waiting.ts";

const ATTACH_TIMEOUT_MS = 5000;
const DETACH_TIMEOUT_MS = 3000;

export interface InjectionOptions {
  readonly pid: number;
  /** Names of system calls. */
  readonly calls: readonly string[];
  /** As strace says it: "delay_enter=300000" (microseconds), "error=EIO". */
  readonly what: string;
  /** Only calls on these files; default: on all. */
  readonly paths?: readonly string[];
  /** Gets strace's output; must not exist. */
  readonly file: string;
}

export class Injection {
  readonly #strace: ChildProcess;
  readonly #file: string;

  private constructor(strace: ChildProcess, file: string) {
    this.#strace = strace;
    this.#file = file;
  }

  /** Resolves when every thread of the process is under it. */
  static async attach({
    calls,
    file,
    paths = [],
    pid,
    what,
  }: InjectionOptions): Promise<Injection> {
    const names = calls.join(",");
    const filters = paths.flatMap((path) => ["-P", path]);
    const args = ["-f", "-p", String(pid), "-e", `trace=${names}`, "-e", `inject=${names}:${what}`];
    const strace = spawn("strace", [...args, ...filters, "-o", file], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    strace.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    strace.on("error", (error) => {
      said += error.message;
    });
    const injection = new Injection(strace, file);
    await waitUntil("strace attached", ATTACH_TIMEOUT_MS, () => {
      if (strace.exitCode !== null && !said.includes("attached")) throw new Error(said.trim());
      return said.includes("attached");
    });
    return injection;
  }

  /** Calls that were delayed or made to fail so far. */
  count(): number {
    if (!existsSync(this.#file)) return 0;
    return readFileSync(this.#file, "utf8").split(/\((?:DELAYED|INJECTED)\)/).length - 1;
  }

  /** The process goes on without it. */
  async detach(): Promise<void> {
    if (this.#strace.exitCode !== null || this.#strace.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#strace.once("exit", () => resolve()));
    this.#strace.kill("SIGINT");
    await Promise.race([ended, pause(DETACH_TIMEOUT_MS)]);
    this.#strace.kill("SIGKILL");
  }
}

/** Why nothing can be injected here; undefined when it can. */
export function injectionProblem(): string | undefined {
  const args = ["-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
  const probe = spawnSync("strace", [...args, "true"], { encoding: "utf8" });
  if (probe.error !== undefined) return "there is no strace";
  return probe.status === 0 ? undefined : probe.stderr.trim();
}
