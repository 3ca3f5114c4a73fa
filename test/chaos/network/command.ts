// Runs a system tool to its end. For the parts that need iproute2, strace or mount.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** @returns its standard output @throws Error with what it said on standard error */
export async function runTool(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(program, [...args]);
  return stdout;
}

/** A line of words, split at blanks: `runWords("ip link add …")`. */
export function runWords(line: string): Promise<string> {
  const [program = "", ...args] = line.split(" ").filter((word) => word !== "");
  return runTool(program, args);
}

export function firstLineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.at(-1) ?? text;
}
