// Finds the package's own files (proto/), from src/ as well as from dist/src/.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));

/** Directory of the package.json that names this package. @throws Error when there is none above `start` */
export function packageRoot(start: string = HERE): string {
  for (let directory = start; ; directory = path.dirname(directory)) {
    if (isOurs(path.join(directory, "package.json"))) return directory;
    if (path.dirname(directory) === directory) {
      throw new Error(`no package.json of flotilla above ${start}`);
    }
  }
}

export function protoDirectory(): string {
  return path.join(packageRoot(), "proto");
}

function isOurs(file: string): boolean {
  if (!existsSync(file)) return false;
  const { name } = JSON.parse(readFileSync(file, "utf8")) as { name?: unknown };
  return name === "flotilla";
}
