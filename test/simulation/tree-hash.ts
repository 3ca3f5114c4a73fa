// The hash that git gives a directory: what evidence is tied to. Computed from the files themselves, so that it is right for
// a changed work tree and needs no repository. Used by shard.ts and compile.ts.
import { createHash } from "node:crypto";
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** As `git rev-parse HEAD:<directory>` prints it, provided that everything in there is tracked and unchanged. */
export function treeHash(directory: string): string {
  return hashOf(directory).toString("hex");
}

function hashOf(directory: string): Buffer {
  const entries = readdirSync(directory, { withFileTypes: true });
  const lines = entries
    .map((entry) => ({ entry, sortName: entry.isDirectory() ? `${entry.name}/` : entry.name }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.sortName), Buffer.from(b.sortName)))
    .map(({ entry }) => lineOf(directory, entry));
  return objectHash("tree", Buffer.concat(lines));
}

function lineOf(directory: string, entry: Dirent): Buffer {
  const path = join(directory, entry.name);
  const hash = entry.isDirectory() ? hashOf(path) : objectHash("blob", readFileSync(path));
  const mode = entry.isDirectory() ? "40000" : "100644";
  return Buffer.concat([Buffer.from(`${mode} ${entry.name}\0`), hash]);
}

function objectHash(type: "blob" | "tree", content: Buffer): Buffer {
  return createHash("sha1").update(`${type} ${content.length}\0`).update(content).digest();
}
