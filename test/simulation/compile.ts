// Turns src and the simulator into plain JavaScript, once per content, into node_modules/.cache: workers start at once and
// run faster than through a loader. Types are not checked here. Called by pool.ts and by the positive controls.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { treeHash } from "./tree-hash.ts";

const DIRECTORIES = ["src", "test/simulation", "test/support"];
const CACHE = "node_modules/.cache/simulation";
const BUILDS_KEPT = 4;

/** @returns the directory that holds the compiled tree */
export function compile(root: string): string {
  const cache = join(root, CACHE);
  const name = DIRECTORIES.map((directory) => treeHash(join(root, directory)).slice(0, 12)).join(
    "-",
  );
  const target = join(cache, name);
  if (existsSync(target)) return target;
  const temporary = `${target}.${process.pid}.tmp`;
  for (const directory of DIRECTORIES) {
    for (const file of sourcesIn(join(root, directory))) {
      const out = join(temporary, relative(root, file)).replace(/\.ts$/, ".js");
      mkdirSync(dirname(out), { recursive: true });
      writeFileSync(out, transpile(file, readFileSync(file, "utf8")));
    }
  }
  try {
    renameSync(temporary, target);
  } catch {
    // Another run was quicker.
    rmSync(temporary, { recursive: true, force: true });
  }
  removeOldBuilds(cache);
  return target;
}

function* sourcesIn(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* sourcesIn(path);
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts")) yield path;
  }
}

/** One module, as `compile` does it. */
export function transpile(fileName: string, source: string): string {
  return ts.transpileModule(source, {
    fileName,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ES2022,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
    transformers: { before: [spreadsBehindNothing] },
  }).outputText;
}

/**
 * `{ ...a, b }` becomes `{ ...undefined, ...a, b }`, which is the same. V8 of Node 20 gives every object that is written the
 * first way a hidden class of its own: making it takes 2 to 15 µs instead of 0.3 to 1.5, and no code that reads it is ever
 * fast. Only objects that begin with a spread and have more behind it are made that way.
 */
function spreadsBehindNothing(
  context: ts.TransformationContext,
): (file: ts.SourceFile) => ts.SourceFile {
  const { factory } = context;
  const nothing = factory.createSpreadAssignment(factory.createIdentifier("undefined"));
  const visit = (node: ts.Node): ts.Node => {
    const seen = ts.visitEachChild(node, visit, context);
    if (!ts.isObjectLiteralExpression(seen)) return seen;
    const [first, ...rest] = seen.properties;
    if (first === undefined || !ts.isSpreadAssignment(first) || rest.length === 0) return seen;
    return factory.updateObjectLiteralExpression(seen, [nothing, first, ...rest]);
  };
  return (file) => ts.visitEachChild(file, visit, context);
}

function removeOldBuilds(cache: string): void {
  const ageOf = (name: string): number => statSync(join(cache, name)).mtimeMs;
  const builds = readdirSync(cache)
    .filter((name) => !name.endsWith(".tmp"))
    .sort((a, b) => ageOf(b) - ageOf(a));
  for (const name of builds.slice(BUILDS_KEPT)) {
    rmSync(join(cache, name), { recursive: true, force: true });
  }
}
