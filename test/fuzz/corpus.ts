// Inputs that once found something (or nearly did), one file each: corpus/<subject>/<name>. Every run replays them.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Failure } from "./fuzz.ts";

const FOLDER = fileURLToPath(new URL("./corpus/", import.meta.url));

export function corpusOf(subject: string): { readonly name: string; readonly bytes: Buffer }[] {
  let names: string[];
  try {
    names = readdirSync(join(FOLDER, subject)).sort();
  } catch {
    return [];
  }
  return names.map((name) => ({ name, bytes: readFileSync(join(FOLDER, subject, name)) }));
}

/** Returns where it was put. */
export function keep({ input, subject }: Failure): string {
  const folder = join(FOLDER, subject);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, createHash("sha256").update(input).digest("hex").slice(0, 12));
  writeFileSync(path, input);
  return path;
}
