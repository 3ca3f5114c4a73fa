// Options that say which messages a subscription wants, and how filters are shown. Pure.
import type { Filter } from "../model/filter.ts";
import { usage } from "./options.ts";

export interface FilterOptions {
  readonly tags?: readonly string[];
  readonly sql?: string;
  readonly routingKey?: readonly string[];
  readonly routingPattern?: readonly string[];
  /** Of "name=value", or "name" alone: it only has to be there. */
  readonly header?: readonly string[];
  readonly match?: "all" | "any";
  /** JSON; false: every message. */
  readonly filter?: string | false;
}

/** The filter that the options ask for; undefined: none of them was given. */
export function filterOf(options: FilterOptions): Filter | string | undefined {
  const { filter, header, match, routingKey, routingPattern, sql, tags } = options;
  if (match !== undefined && header === undefined) throw usage("--match goes with --header");
  const forms: (Filter | string)[] = [];
  if (tags !== undefined) forms.push({ kind: "tags", tags });
  if (sql !== undefined) forms.push({ kind: "sql", expression: sql });
  if (routingKey !== undefined) forms.push({ kind: "direct", keys: routingKey });
  if (routingPattern !== undefined) forms.push({ kind: "topic", patterns: routingPattern });
  if (header !== undefined) {
    forms.push({ kind: "headers", match: match ?? "all", headers: conditionsOf(header) });
  }
  if (filter !== undefined) forms.push(filter === false ? { kind: "all" } : filter);
  if (forms.length > 1) {
    throw usage(
      "one kind of filter only: --tags, --sql, --routing-key, --routing-pattern, --header or --filter",
    );
  }
  return forms[0];
}

function conditionsOf(headers: readonly string[]): Readonly<Record<string, string | null>> {
  const conditions: [string, string | null][] = [];
  for (const text of headers) {
    const at = text.indexOf("=");
    const name = at < 0 ? text : text.slice(0, at);
    if (name === "") throw usage(`--header must be name=value or name, not "${text}"`);
    if (conditions.some(([other]) => other === name))
      throw usage(`--header ${name} is given twice`);
    conditions.push([name, at < 0 ? null : text.slice(at + 1)]);
  }
  return Object.fromEntries(conditions);
}

/** For people: what is wanted, in one line. */
export function filterText(filter: Filter): string {
  switch (filter.kind) {
    case "all":
    case "fanout":
      return "everything";
    case "tags":
      return `tags ${filter.tags.join(", ")}`;
    case "sql":
      return `sql ${filter.expression}`;
    case "direct":
      return `routing key ${filter.keys.join(", ")}`;
    case "topic":
      return `routing pattern ${filter.patterns.join(", ")}`;
    case "headers": {
      const conditions = Object.entries(filter.headers).map(([name, text]) =>
        text === null ? name : `${name}=${text}`,
      );
      return `headers ${conditions.join(filter.match === "all" ? " and " : " or ")}`;
    }
  }
}
