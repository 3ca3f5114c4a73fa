// Generates what must agree with the protocol and the error table: `npm run generate` writes the files,
// `npm run generate:check` (--check) fails when one of them differs or the protocol broke compatibility.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { renderConfigDocs } from "../src/config/config-docs.ts";
import { renderMetricsDocs } from "../src/observe/metrics-docs.ts";
import { errorsDocument } from "./generate/errors-document.ts";
import { loadProtos } from "./generate/proto-files.ts";
import { typescriptOf } from "./generate/typescript.ts";
import { BASELINE_FILE, breakingChanges, contractOf, readBaseline } from "./proto-breaking.ts";

const ROOT = path.join(import.meta.dirname, "..");

/** Path relative to the repository → text. */
export function generatedFiles(): Map<string, string> {
  const root = loadProtos();
  return new Map([
    ["src/rpc/generated/flotilla-v1.ts", typescriptOf(root, "flotilla.v1")],
    ["src/rpc/generated/flotilla-internal-v1.ts", typescriptOf(root, "flotilla.internal.v1")],
    ["docs/ERRORS.md", errorsDocument()],
    ["docs/CONFIG.md", renderConfigDocs()],
    ["docs/METRICS.md", renderMetricsDocs()],
  ]);
}

/** What `--check` finds wrong; empty when all is well. */
export function findings(): string[] {
  const found: string[] = [];
  for (const [file, text] of generatedFiles()) {
    const target = path.join(ROOT, file);
    if (!existsSync(target)) found.push(`${file} is missing: run npm run generate`);
    else if (readFileSync(target, "utf8") !== text)
      found.push(`${file} is stale: run npm run generate`);
  }
  for (const change of breakingChanges(readBaseline(), contractOf(loadProtos()))) {
    found.push(`breaking change against ${BASELINE_FILE}: ${change}`);
  }
  return found;
}

function main(): void {
  if (process.argv.includes("--check")) {
    const found = findings();
    for (const line of found) process.stderr.write(`${line}\n`);
    process.exitCode = found.length === 0 ? 0 : 1;
    return;
  }
  for (const [file, text] of generatedFiles()) {
    const target = path.join(ROOT, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
    process.stdout.write(`wrote ${file}\n`);
  }
}

if (process.argv[1] === import.meta.filename) main();
