// Temporary directories for tests on the real file system.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function temporaryDirectory(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "flotilla-log-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
