// Limits of filters, and the check of those that others send: they stand in the metadata and travel in requests.
import { BrokerError } from "../model/errors.ts";
import type { Filter, HeaderConditions } from "../model/filter.ts";

export type { Filter, HeaderConditions } from "../model/filter.ts";

export const FILTER_LIMITS = {
  sqlCharacters: 4096,
  sqlTokens: 512,
  sqlDepth: 32,
  /** Tags, keys, patterns or header conditions of one filter. */
  entries: 64,
  entryCharacters: 256,
  /** Characters of a header or key of a message. Longer ones are there, and that is all that is known of them. */
  textCharacters: 4096,
} as const;

/**
 * Checks the form; compileFilter() checks the text of expressions.
 * @throws BrokerError INVALID_REQUEST with `field` ("filter…") and `limit`
 */
export function parseFilter(value: unknown): Filter {
  if (!isObject(value)) throw wrong("filter", "must be an object with a kind");
  switch (value["kind"]) {
    case "all":
    case "fanout":
      onlyFields(value, ["kind"]);
      return { kind: value["kind"] };
    case "tags":
      onlyFields(value, ["kind", "tags"]);
      return { kind: "tags", tags: texts(value["tags"], "filter.tags") };
    case "direct":
      onlyFields(value, ["kind", "keys"]);
      return { kind: "direct", keys: texts(value["keys"], "filter.keys") };
    case "topic":
      onlyFields(value, ["kind", "patterns"]);
      return { kind: "topic", patterns: texts(value["patterns"], "filter.patterns") };
    case "sql":
      onlyFields(value, ["kind", "expression"]);
      return { kind: "sql", expression: expressionOf(value["expression"]) };
    case "headers":
      onlyFields(value, ["kind", "match", "headers"]);
      return {
        kind: "headers",
        match: matchOf(value["match"]),
        headers: conditionsOf(value["headers"]),
      };
    default:
      throw wrong("filter.kind", "all, tags, sql, fanout, direct, topic or headers");
  }
}

function expressionOf(value: unknown): string {
  const limit = `1 to ${FILTER_LIMITS.sqlCharacters} characters`;
  if (
    typeof value !== "string" ||
    value.trim() === "" ||
    value.length > FILTER_LIMITS.sqlCharacters
  ) {
    throw wrong("filter.expression", limit);
  }
  return value;
}

function matchOf(value: unknown): "all" | "any" {
  if (value === "all" || value === "any") return value;
  throw wrong("filter.match", "all or any");
}

function conditionsOf(value: unknown): HeaderConditions {
  const field = "filter.headers";
  if (!isObject(value)) throw wrong(field, "must be an object of header names");
  const entries = Object.entries(value);
  if (entries.length === 0 || entries.length > FILTER_LIMITS.entries) {
    throw wrong(field, `1 to ${FILTER_LIMITS.entries} headers`);
  }
  const checked: [string, string | null][] = entries.map(([name, text]) => {
    checkText(name, field);
    if (text !== null) checkText(text, `${field}.${name}`);
    return [name, text as string | null];
  });
  return Object.fromEntries(checked);
}

function texts(value: unknown, field: string): string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > FILTER_LIMITS.entries) {
    throw wrong(field, `a list of 1 to ${FILTER_LIMITS.entries} texts`);
  }
  const list: string[] = [];
  for (const [at, text] of value.entries()) list.push(checkText(text, `${field}[${at}]`));
  return list;
}

function checkText(value: unknown, field: string): string {
  if (typeof value !== "string" || value === "" || value.length > FILTER_LIMITS.entryCharacters) {
    throw wrong(field, `a text of 1 to ${FILTER_LIMITS.entryCharacters} characters`);
  }
  return value;
}

function onlyFields(value: Readonly<Record<string, unknown>>, names: readonly string[]): void {
  const stranger = Object.keys(value).find((name) => !names.includes(name));
  if (stranger !== undefined)
    throw wrong(`filter.${stranger.slice(0, 80)}`, `only ${names.join(", ")}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** For all files of this room. `position`: 0-based character of an expression. */
export function wrong(field: string, limit: string, position?: number): BrokerError {
  const at = position === undefined ? "" : ` at character ${position + 1}`;
  const fields = position === undefined ? { field, limit } : { field, limit, position };
  return new BrokerError("INVALID_REQUEST", `${field} is not valid${at}: ${limit}`, fields);
}
