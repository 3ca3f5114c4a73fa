// Real processes, because that is what this file is about: a stand-in program is started in place of the broker.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  forgetPid,
  isAlive,
  logTail,
  runFiles,
  runningPid,
  signalBroker,
  spawnBroker,
  waitForExit,
} from "../../src/cli/node-process.ts";
import type { NodeConfig } from "../../src/config/cluster-config.ts";
import { parseConfig } from "../../src/config/parse-config.ts";

const RUNS = "setInterval(() => {}, 1000);";
let folder = "";
let node: NodeConfig;
/** Node 7 of another cluster; its data directory is next to the first one's. */
let neighbour: NodeConfig;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "flotilla-run-"));
  node = nodeIn("data/7");
  neighbour = nodeIn("data/other-7");
});

afterEach(() => {
  signalBroker(node, "SIGKILL");
  signalBroker(neighbour, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function nodeIn(dataDir: string): NodeConfig {
  const text = `cluster: t\nnodes: [{ id: 7, dataDir: ${dataDir}, client: "127.0.0.1:1", peer: "127.0.0.1:2", admin: "127.0.0.1:3" }]\n`;
  const config = parseConfig({
    text,
    fileName: "c",
    environment: {},
    resolvePath: (path) => join(folder, path),
  });
  const [first] = config.nodes;
  if (first === undefined) throw new Error("no node");
  return first;
}

function start(program: string, of: NodeConfig = node, configFile = "c"): void {
  const main = join(folder, "main.mjs");
  writeFileSync(main, program);
  spawnBroker(of, { configPath: join(folder, configFile), main, environment: process.env });
}

describe("node-process", () => {
  it("life: started with its flags, found by its pid file, stopped by a signal, forgotten", async () => {
    start(
      `console.log(process.argv.slice(2).join(" "), process.env.UV_THREADPOOL_SIZE); setInterval(() => {}, 1000);`,
    );
    const pid = runningPid(node);
    expect(pid).toBeGreaterThan(1);
    await expect
      .poll(() => logTail(node, 1))
      .toBe(`broker --config ${join(folder, "c")} --node 7 8`);
    expect(signalBroker(node, "SIGTERM")).toBe(pid);
    expect(await waitForExit(pid ?? 0, 5000)).toBe(true);
    expect(runningPid(node)).toBeUndefined();
    forgetPid(node);
    expect(() => readFileSync(runFiles(node).pid)).toThrow();
  });

  it("exit: a process that does not go is reported after the timeout", async () => {
    start(RUNS);
    expect(await waitForExit(runningPid(node) ?? 0, 60)).toBe(false);
  });

  it("pid file: a number that now belongs to another program is never signalled", () => {
    start("process.exit(0);");
    writeFileSync(runFiles(node).pid, `${process.pid}\n`);
    expect(isAlive(process.pid)).toBe(true);
    expect(runningPid(node)).toBeUndefined();
    expect(signalBroker(node, "SIGTERM")).toBeUndefined();
  });

  it("neighbours: clusters with data directories side by side find their own brokers only", async () => {
    start(RUNS);
    expect(runningPid(neighbour)).toBeUndefined();
    start(RUNS, neighbour, "d");
    const [own, others] = [runningPid(node), runningPid(neighbour)];
    expect(own).toBeGreaterThan(1);
    expect(others).toBeGreaterThan(1);
    expect(others).not.toBe(own);
    expect(signalBroker(node, "SIGKILL")).toBe(own);
    expect(await waitForExit(own ?? 0, 5000)).toBe(true);
    expect(runningPid(node)).toBeUndefined();
    expect(runningPid(neighbour)).toBe(others);
  });

  it("pid file: a number that now belongs to a broker of another configuration is never signalled", () => {
    start(RUNS);
    const own = String(runningPid(node));
    start(RUNS, neighbour, "d");
    const file = runFiles(node).pid;
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace(own, String(runningPid(neighbour))));
    expect(signalBroker(node, "SIGTERM")).toBeUndefined();
    writeFileSync(file, text);
    expect(String(runningPid(node))).toBe(own);
  });

  it.each(["", "x", "-1", "1", "0"])("pid file: %j is no process", (text) => {
    start("process.exit(0);");
    writeFileSync(runFiles(node).pid, text);
    expect(runningPid(node)).toBeUndefined();
  });
});
