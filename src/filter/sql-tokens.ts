// Text of an expression → tokens, each with the place where it began (0-based character), for errors that can be found.
import { FILTER_LIMITS, wrong } from "./filter-definition.ts";

export const FIELD = "filter.expression";

const KEYWORDS = [
  "AND",
  "OR",
  "NOT",
  "BETWEEN",
  "IN",
  "LIKE",
  "ESCAPE",
  "IS",
  "NULL",
  "TRUE",
  "FALSE",
] as const;
export type Keyword = (typeof KEYWORDS)[number];

export type Token =
  | { readonly kind: "keyword"; readonly keyword: Keyword; readonly at: number }
  | {
      readonly kind: "name" | "system" | "text" | "symbol";
      readonly text: string;
      readonly at: number;
    }
  | { readonly kind: "number"; readonly value: number; readonly at: number }
  | { readonly kind: "end"; readonly at: number };

const SPACE = /\s+/y;
const WORD = /\$?[A-Za-z_][A-Za-z0-9_.]*/y;
const NUMBER = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const SYMBOL = /<>|!=|<=|>=|[=<>+\-*/%(),]/y;
// What closes is not one of two: else half of a doubled quote would close what nobody closed.
const QUOTED = /'((?:[^']|'')*)'(?!')/y;
const QUOTED_NAME = /"((?:[^"]|"")*)"(?!")/y;

/** @throws BrokerError INVALID_REQUEST */
export function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < expression.length) {
    const space = matchAt(SPACE, expression, at);
    if (space !== undefined) {
      at += space[0].length;
      continue;
    }
    if (tokens.length === FILTER_LIMITS.sqlTokens) {
      throw wrong(FIELD, `at most ${FILTER_LIMITS.sqlTokens} words and signs`, at);
    }
    const { token, length } = nextToken(expression, at);
    tokens.push(token);
    at += length;
  }
  tokens.push({ kind: "end", at });
  return tokens;
}

function nextToken(expression: string, at: number): { token: Token; length: number } {
  const number = matchAt(NUMBER, expression, at);
  if (number !== undefined) return { token: numberToken(number[0], at), length: number[0].length };
  const word = matchAt(WORD, expression, at);
  if (word !== undefined) return { token: wordToken(word[0], at), length: word[0].length };
  const quoted = matchAt(QUOTED, expression, at);
  if (quoted !== undefined) {
    const text = (quoted[1] ?? "").replaceAll("''", "'");
    return { token: { kind: "text", text, at }, length: quoted[0].length };
  }
  const name = matchAt(QUOTED_NAME, expression, at);
  if (name !== undefined) {
    const text = (name[1] ?? "").replaceAll('""', '"');
    if (text === "") throw wrong(FIELD, "a header name is not empty", at);
    return { token: { kind: "name", text, at }, length: name[0].length };
  }
  const symbol = matchAt(SYMBOL, expression, at);
  if (symbol !== undefined) {
    const text = symbol[0] === "!=" ? "<>" : symbol[0];
    return { token: { kind: "symbol", text, at }, length: symbol[0].length };
  }
  const character = expression[at] ?? "";
  if (character === "'" || character === '"')
    throw wrong(FIELD, `the ${character} is never closed`, at);
  throw wrong(
    FIELD,
    `unexpected ${JSON.stringify(String.fromCodePoint(expression.codePointAt(at) ?? 0))}`,
    at,
  );
}

function numberToken(text: string, at: number): Token {
  const value = Number(text);
  if (!Number.isFinite(value)) throw wrong(FIELD, "the number is too large", at);
  return { kind: "number", value, at };
}

function wordToken(word: string, at: number): Token {
  if (word.startsWith("$")) return { kind: "system", text: word.slice(1), at };
  const keyword = KEYWORDS.find((one) => one === word.toUpperCase());
  return keyword === undefined
    ? { kind: "name", text: word, at }
    : { kind: "keyword", keyword, at };
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}
