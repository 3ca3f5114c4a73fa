// Reads src with the compiler's own parser: imports, functions, and code without comments and strings.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";

export const ROOT: string = path.join(import.meta.dirname, "..", "..");
const SRC = path.join(ROOT, "src");

export interface ImportEdge {
  /** As written. */
  readonly specifier: string;
  /** Relative to src, for imports of own files. */
  readonly target: string | undefined;
  readonly line: number;
}

export interface FunctionSize {
  readonly name: string;
  readonly lines: number;
}

export interface SourceFile {
  /** Relative to src, with "/" between names. */
  readonly file: string;
  /** First part of the path. */
  readonly room: string;
  readonly text: string;
  readonly lineCount: number;
  readonly imports: readonly ImportEdge[];
  readonly functions: readonly FunctionSize[];
  readonly hasDefaultExport: boolean;
  /** Same length and lines as `text`, comments and string contents replaced by blanks. */
  readonly code: string;
}

export function readSources(): SourceFile[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .map((file) => parseSource(file, readFileSync(path.join(SRC, file), "utf8")));
}

/** Exported so that the checks themselves can be tested on text. */
export function parseSource(file: string, text: string): SourceFile {
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  const imports: ImportEdge[] = [];
  const functions: FunctionSize[] = [];
  let hasDefaultExport = false;
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) {
      const target = specifier.startsWith(".")
        ? path.posix.join(path.posix.dirname(file), specifier)
        : undefined;
      imports.push({ specifier, target, line: lineOf(tree, node.getStart(tree)) });
    }
    if (isFunctionWithBody(node)) {
      const lines = lineOf(tree, node.end) - lineOf(tree, node.getStart(tree)) + 1;
      functions.push({ name: functionName(node, tree), lines });
    }
    hasDefaultExport ||= isDefaultExport(node);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  const room = file.split("/")[0] ?? "";
  const lineCount = text.split("\n").length - 1;
  return {
    file,
    room,
    text,
    lineCount,
    imports,
    functions,
    hasDefaultExport,
    code: blanked(text, tree),
  };
}

/** Static imports and re-exports, import("x") as a call and as a type. */
function specifierOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    const from = node.moduleSpecifier;
    return from !== undefined && ts.isStringLiteral(from) ? from.text : undefined;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    return argument !== undefined && ts.isStringLiteralLike(argument)
      ? argument.text
      : "(computed)";
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    const { literal } = node.argument;
    return ts.isStringLiteral(literal) ? literal.text : undefined;
  }
  return undefined;
}

function isFunctionWithBody(node: ts.Node): node is ts.FunctionLikeDeclaration {
  return ts.isFunctionLike(node) && "body" in node && node.body !== undefined;
}

function functionName(node: ts.FunctionLikeDeclaration, tree: ts.SourceFile): string {
  if (node.name !== undefined) return node.name.getText(tree);
  if (ts.isConstructorDeclaration(node)) return "constructor";
  const { parent } = node;
  if (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent))
    return parent.name.getText(tree);
  return "(anonymous)";
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword) ?? false;
}

function lineOf(tree: ts.SourceFile, position: number): number {
  return tree.getLineAndCharacterOfPosition(position).line + 1;
}

/** Comments are what lies between tokens; string and template texts are blanked too. */
function blanked(text: string, tree: ts.SourceFile): string {
  const kept = new Array<string>(text.length).fill(" ");
  for (let i = 0; i < text.length; i += 1) if (text[i] === "\n") kept[i] = "\n";
  const visit = (node: ts.Node): void => {
    if (node.getChildCount(tree) > 0) {
      for (const child of node.getChildren(tree)) visit(child);
      return;
    }
    if (isTextLiteral(node) || node.kind >= ts.SyntaxKind.FirstJSDocNode) return;
    for (let i = node.getStart(tree); i < node.end; i += 1) kept[i] = text[i] ?? " ";
  };
  visit(tree);
  return kept.join("");
}

function isTextLiteral(node: ts.Node): boolean {
  return (
    ts.isStringLiteralLike(node) ||
    ts.isTemplateHead(node) ||
    ts.isTemplateMiddle(node) ||
    ts.isTemplateTail(node) ||
    node.kind === ts.SyntaxKind.RegularExpressionLiteral
  );
}

/** Lines of `code` that match, 1-based. */
export function matchingLines(code: string, pattern: RegExp): number[] {
  return code.split("\n").flatMap((line, position) => (pattern.test(line) ? [position + 1] : []));
}
