// Runs examples/python against running brokers. Needs python3 and, unless grpcio-tools and grpcio-status are installed
// for it, pip with a package index. FLOTILLA_PYTHON names another interpreter.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = path.join(import.meta.dirname, "..", "..");
const EXAMPLE = path.join(ROOT, "examples", "python");
const VENV = path.join(ROOT, "node_modules", ".cache", "python-example");

export interface PythonSummary {
  readonly partition: number;
  readonly offset: number;
  readonly hintsFollowed: number;
  readonly checks: Readonly<Record<string, boolean>>;
}

export type PythonRun =
  | { readonly skipped: string }
  | { readonly summary: PythonSummary; readonly output: string };

type Found = { readonly python: string } | { readonly skipped: string };

let found: Promise<Found> | undefined;

/** An interpreter that has the packages, or why there is none. Looked for once: each look starts interpreters. */
export function findPython(): Promise<Found> {
  found ??= lookForPython();
  return found;
}

async function lookForPython(): Promise<Found> {
  const candidates = [process.env["FLOTILLA_PYTHON"], path.join(VENV, "bin", "python"), "python3"];
  for (const python of candidates) {
    if (python !== undefined && (await hasPackages(python))) return { python };
  }
  try {
    if (!existsSync(VENV)) await run("python3", ["-m", "venv", VENV]);
    const python = path.join(VENV, "bin", "python");
    await run(python, ["-m", "pip", "install", "-q", "-r", path.join(EXAMPLE, "requirements.txt")]);
    return { python };
  } catch (error) {
    const text = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    return { skipped: `python3 with grpcio-tools and grpcio-status is not available: ${text}` };
  }
}

/**
 * Publishes and fetches through the example. Rejects when it failed; its output is in the error.
 * @param endpoints host:port of brokers
 */
export async function runPythonExample(
  endpoints: readonly string[],
  topic: string,
  options: { readonly create?: boolean } = {},
): Promise<PythonRun> {
  const interpreter = await findPython();
  if ("skipped" in interpreter) {
    process.stderr.write(`SKIPPED: ${interpreter.skipped}\n`);
    return interpreter;
  }
  const args = [
    path.join(EXAMPLE, "publish_and_fetch.py"),
    ...endpoints.flatMap((endpoint) => ["--endpoint", endpoint]),
    "--topic",
    topic,
    ...(options.create === true ? ["--create"] : []),
  ];
  const { stdout } = await run(interpreter.python, ["-B", ...args], { timeout: 60_000 });
  const lastLine = stdout.trimEnd().split("\n").at(-1) ?? "{}";
  return { summary: JSON.parse(lastLine) as PythonSummary, output: stdout };
}

export interface PythonConsumption {
  readonly handled: number;
  readonly confirmed: number;
  readonly checks: Readonly<Record<string, boolean>>;
}

/** Sends so many messages and consumes them by a subscription, both created unless they exist. Rejects as runPythonExample. */
export async function runPythonConsumer(
  endpoints: readonly string[],
  topic: string,
  count: number,
): Promise<{ readonly skipped: string } | { readonly summary: PythonConsumption }> {
  const interpreter = await findPython();
  if ("skipped" in interpreter) {
    process.stderr.write(`SKIPPED: ${interpreter.skipped}\n`);
    return interpreter;
  }
  const args = [
    path.join(EXAMPLE, "subscribe.py"),
    ...endpoints.flatMap((endpoint) => ["--endpoint", endpoint]),
    ...["--topic", topic, "--subscription", "from-python", "--create", "--send", `${count}`],
  ];
  const { stdout } = await run(interpreter.python, ["-B", ...args], { timeout: 60_000 });
  const lastLine = stdout.trimEnd().split("\n").at(-1) ?? "{}";
  return { summary: JSON.parse(lastLine) as PythonConsumption };
}

/** What the example's slot_of() says about each key. */
export async function pythonSlots(python: string, keys: readonly Buffer[]): Promise<number[]> {
  const program =
    "import json, sys; import flotilla_client as f;" +
    "print(json.dumps([f.slot_of(bytes.fromhex(k)) for k in json.loads(sys.argv[1])]))";
  const hex = JSON.stringify(keys.map((key) => key.toString("hex")));
  const { stdout } = await run(python, ["-B", "-c", program, hex], { cwd: EXAMPLE });
  return JSON.parse(stdout) as number[];
}

async function hasPackages(python: string): Promise<boolean> {
  try {
    await run(python, ["-c", "import grpc_tools, grpc_status"]);
    return true;
  } catch {
    return false;
  }
}
