// The mixed faults run in an enclosure where the machine allows it: own network, mount and process namespaces. Nothing in it
// can touch the machine's network, and when its first process ends, however that happens, the kernel ends every process,
// unmounts every image and removes every interface in it. run.ts starts itself again in there.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { runWords } from "./command.ts";

const INSIDE = "FLOTILLA_CHAOS_ENCLOSED";
const NAMESPACES = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
const NAMES = "/run/netns";
const GRACE_MS = 5000;

/** This process is the first of an enclosure. */
export function isEnclosed(): boolean {
  return process.env[INSIDE] === "1";
}

/** Why no enclosure can be made here; undefined when it can. */
export function enclosureProblem(): string | undefined {
  if (process.platform !== "linux") return `${process.platform} has no network namespaces`;
  const script = `mkdir -p ${NAMES} && mount -t tmpfs none ${NAMES} && ip netns add a && ip netns add b &&
    ip link add x netns a type veth peer name y netns b && ip -n a rule add iif x lookup 100 &&
    nsenter --net=${NAMES}/a true`;
  const probe = spawnSync("unshare", [...NAMESPACES, "sh", "-c", script], { encoding: "utf8" });
  if (probe.error !== undefined) return probe.error.message;
  if (probe.status === 0) return undefined;
  return probe.stderr.trim().split("\n").at(-1) ?? `the probe ended with ${probe.status}`;
}

/** Runs this very command in an enclosure; resolves with its exit code. Signals are passed on. */
export async function runEnclosed(): Promise<number> {
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn("unshare", [...NAMESPACES, ...again], {
    stdio: "inherit",
    env: { ...process.env, [INSIDE]: "1" },
  });
  // A terminal signals the inner process too, which then ends by itself. When it does not, the kernel ends everything.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      setTimeout(() => child.kill("SIGKILL"), GRACE_MS).unref();
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** Inside: own names for namespaces, and a loopback that works. */
export async function furnish(): Promise<void> {
  mkdirSync(NAMES, { recursive: true });
  await runWords(`mount -t tmpfs none ${NAMES}`);
  await runWords("ip link set lo up");
}

/** For nsenter. */
export function namespacePath(name: string): string {
  return `${NAMES}/${name}`;
}
