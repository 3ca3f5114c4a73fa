// Compiled trees to run seeds on: the twin, which is the present source, and for each control a copy of it in which only
// the patched files differ. Both lie in a directory of their own, which is removed in the end. Used by run.ts.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, transpile } from "../simulation/compile.ts";
import type { Control } from "./control.ts";
import { applyPatch } from "./patch.ts";

/** Below node_modules, where the compiled modules find their packages. */
const PLACE = "node_modules/.cache/controls";

export class Builds {
  /** The unpatched tree. */
  readonly twin: string;
  readonly #root: string;
  readonly #directory: string;

  constructor(root: string) {
    this.#root = root;
    mkdirSync(join(root, PLACE), { recursive: true });
    this.#directory = mkdtempSync(join(root, PLACE, "run-"));
    this.twin = join(this.#directory, "twin");
    cpSync(compile(root), this.twin, { recursive: true });
  }

  /**
   * @returns the directory of the patched tree
   * @throws Error when the patch does not fit the source
   */
  patched({ name, patch }: Control): string {
    const source = join(this.#root, "src");
    const changed = applyPatch(patch, (file) => readFileSync(join(source, file), "utf8"));
    const target = join(this.#directory, name);
    cpSync(this.twin, target, { recursive: true });
    for (const [file, text] of changed) {
      const out = join(target, "src", file.replace(/\.ts$/, ".js"));
      writeFileSync(out, transpile(file, text));
    }
    return target;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
