// Every example of examples/subscriptions, as a process of its own, against three brokers. Each checks itself what it shows
// and ends with 0. They run at the same time, each with a topic and subscriptions of its own, and leave nothing behind.
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.ts";
import { InProcessCluster } from "../support/in-process-cluster.ts";

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL("../../examples/subscriptions/", import.meta.url));
const EXAMPLES = readdirSync(FOLDER).filter(
  (file) => file.endsWith(".ts") && file !== "support.ts",
);

let cluster: InProcessCluster | undefined;

beforeAll(async () => {
  cluster = await InProcessCluster.start();
});

afterAll(async () => {
  await cluster?.close();
});

describe("examples of subscriptions", () => {
  it("there is one for each mode and each form of filter", () => {
    const names = EXAMPLES.map((file) => file.replace(/\.ts$/, ""));
    const modes = ["shared", "keyed", "fifo", "exclusive"];
    const filters = ["tags", "sql", "direct", "topic", "headers", "fanout"];
    expect(names.sort()).toEqual([...modes, ...filters].sort());
  });

  it.concurrent.each(EXAMPLES)("%s: shows what it says", async (file) => {
    const bootstrap = cluster?.nodes.map(({ client }) => client).join(",") ?? "";
    const { stdout } = await run(process.execPath, ["--import", "tsx", `${FOLDER}${file}`], {
      env: { ...process.env, FLOTILLA_BOOTSTRAP: bootstrap },
      timeout: 60_000,
    });
    expect(stdout).not.toBe("");
  });

  it("nothing is left behind", async () => {
    await expect.poll(leftBehind, { timeout: 10_000 }).toEqual([]);
  });
});

/** What is in the cluster besides the examples: nothing. */
async function leftBehind(): Promise<string[]> {
  const client = createClient({ bootstrap: cluster?.nodes.map((node) => node.client) ?? [] });
  const names: string[] = [];
  for await (const { name } of client.admin().listTopics()) names.push(name);
  for await (const { name } of client.admin().subscriptions.list()) names.push(name);
  await client.close();
  return names;
}
