// `npm run test:package`: packs the package, installs the tarball into an empty folder with nothing of this repository
// around it, and uses what it exports: the command line, the SDK and the testkit from JavaScript, and their types.
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "../support/free-ports.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TIMEOUT_MS = 300_000;
/** What nobody needs who installs the package. */
const UNWANTED = /^(test|bench|scripts|examples|\.ci|node_modules)\//;

const JAVASCRIPT = `
import assert from "node:assert/strict";
import { createClient, FlotillaError } from "flotilla/client";
import * as testkit from "flotilla/testkit";

const client = createClient({ bootstrap: ["127.0.0.1:1"] });
const producer = client.producer({ deliveryTimeoutMs: 300 });
await assert.rejects(producer.send({ topic: "t", value: "x" }), (error) => {
  assert.ok(error instanceof FlotillaError);
  assert.equal(typeof error.reason, "string");
  return true;
});
await client.close({ timeoutMs: 100 });
assert.ok(Object.keys(testkit).length > 0);
assert.throws(() => createClient({ bootstrap: [] }), FlotillaError);
console.log("javascript ok");
`;

const TYPESCRIPT = `
import { type Client, createClient, json, type Receipt, Reject } from "flotilla/client";
import * as testkit from "flotilla/testkit";

export async function sendOne(bootstrap: readonly string[]): Promise<Receipt> {
  const client: Client = createClient({ bootstrap });
  const receipt = await client.producer().send({ topic: "t", key: "k", value: "v" });
  for await (const message of client.reader({ topic: "t", until: "end" })) {
    const offset: number = message.offset;
    console.log(offset, message.value?.toString());
  }
  // @ts-expect-error: types are checked, not any
  const wrong: string = receipt.offset;
  console.log(wrong, testkit);
  const serializer = json<{ readonly n: number }>();
  const consumer = client.consumer({ subscription: "s", serializer });
  consumer.closeOn("SIGTERM");
  await consumer.run(
    async (message) => {
      const n: number | undefined = message.data?.n;
      if (n === undefined) throw new Reject("no number");
      await message.ack();
    },
    { concurrency: 4, signal: AbortSignal.timeout(1000) },
  );
  await client.close();
  return receipt;
}
`;

const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2023", "ESNext.Disposable"],
    module: "NodeNext",
    moduleResolution: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    types: ["node"],
  },
  files: ["use.ts"],
};

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "flotilla-package-"));
  try {
    const tarball = await pack(folder);
    await checkContents(tarball);
    await install(folder, tarball);
    await useCommandLine(folder);
    await useFromJavaScript(folder);
    await useFromTypeScript(folder);
    say("package ok");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function pack(folder: string): Promise<string> {
  await run("npm", ["pack", "--pack-destination", folder], { cwd: ROOT, timeout: TIMEOUT_MS });
  const name = readdirSync(folder).find((candidate) => candidate.endsWith(".tgz"));
  if (name === undefined) throw new Error("npm pack made no tarball");
  say(`packed ${name}`);
  return join(folder, name);
}

async function checkContents(tarball: string): Promise<void> {
  const { stdout } = await run("tar", ["-tzf", tarball], { maxBuffer: 16 * 1024 * 1024 });
  const files = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^package\//, ""));
  const unwanted = files.filter((file) => UNWANTED.test(file));
  if (unwanted.length > 0) throw new Error(`the tarball holds ${unwanted.join(", ")}`);
  for (const wanted of ["dist/src/cli/main.js", "proto/flotilla/v1/common.proto", "LICENSE"]) {
    if (!files.includes(wanted)) throw new Error(`the tarball lacks ${wanted}`);
  }
  say(`${files.length} files`);
}

async function install(folder: string, tarball: string): Promise<void> {
  const manifest = { name: "user", version: "1.0.0", private: true, type: "module" };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const args = [
    "install",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    tarball,
    "@types/node@20",
  ];
  await run("npm", args, { cwd: folder, timeout: TIMEOUT_MS });
  say("installed into an empty folder");
}

async function useCommandLine(folder: string): Promise<void> {
  const { stdout } = await run("npx", ["--no-install", "flotilla", "--help"], { cwd: folder });
  for (const word of ["broker", "cluster", "topic", "produce", "consume"]) {
    if (!stdout.includes(word))
      throw new Error(`flotilla --help does not name ${word}:\n${stdout}`);
  }
  await startCluster(folder);
  say("npx flotilla works");
}

/** Formats and starts one broker from the tarball alone, and looks at it. */
async function startCluster(folder: string): Promise<void> {
  const flotilla = async (...args: readonly string[]): Promise<string> => {
    const options = { cwd: folder, timeout: 60_000 };
    return (await run("npx", ["--no-install", "flotilla", ...args], options)).stdout;
  };
  const [client, peer, admin] = await freePorts(3);
  writeFileSync(
    join(folder, "cluster.yaml"),
    [
      "cluster: packed",
      "nodes:",
      "  - id: 1",
      "    dataDir: data/node-1",
      `    client: 127.0.0.1:${client}`,
      `    peer: 127.0.0.1:${peer}`,
      `    admin: 127.0.0.1:${admin}`,
      "",
    ].join("\n"),
  );
  await flotilla("cluster", "init");
  try {
    await flotilla("cluster", "up");
    await flotilla("topic", "create", "from-a-tarball");
    const listed = await flotilla("topic", "list");
    if (!listed.includes("from-a-tarball")) throw new Error(`no topic:\n${listed}`);
  } finally {
    await flotilla("cluster", "down");
  }
}

async function useFromJavaScript(folder: string): Promise<void> {
  writeFileSync(join(folder, "use.js"), JAVASCRIPT);
  const { stdout } = await run(process.execPath, ["use.js"], { cwd: folder, timeout: 60_000 });
  if (!stdout.includes("javascript ok")) throw new Error(stdout);
  say("flotilla/client and flotilla/testkit can be imported");
}

async function useFromTypeScript(folder: string): Promise<void> {
  writeFileSync(join(folder, "use.ts"), TYPESCRIPT);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(TSCONFIG));
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  await run(process.execPath, [compiler, "-p", "."], { cwd: folder, timeout: 120_000 });
  say("types check");
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

main().catch((error: unknown) => {
  const { stdout, stderr } = error as { stdout?: string; stderr?: string };
  process.stderr.write(`package test failed: ${String(error)}\n${stdout ?? ""}${stderr ?? ""}\n`);
  process.exitCode = 1;
});
