// One text per filter: what stands in a definition, and what consumers' expectations are compared with.
import { compileFilter } from "./compile-filter.ts";
import { type Filter, parseFilter, wrong } from "./filter-definition.ts";

/** Characters of a filter's JSON. What the forms allow fits in. */
const FILTER_JSON_CHARACTERS_MAX = 65_536;

/**
 * Checks a filter's JSON, its expressions too.
 * @param json "": every message
 * @returns JSON that is the same for all ways to write the filter; "" when every message is wanted
 * @throws BrokerError INVALID_REQUEST with `field` ("filter…"), `limit` and, for expressions, `position`
 */
export function canonicalFilter(json: string): string {
  if (json === "") return "";
  const filter = parseFilter(parsed(json));
  compileFilter(filter);
  return filter.kind === "all" ? "" : JSON.stringify(ordered(filter));
}

/** @param json as canonicalFilter returns it */
export function filterOf(json: string): Filter {
  return json === "" ? { kind: "all" } : parseFilter(parsed(json));
}

function parsed(json: string): unknown {
  const limit = `JSON of at most ${FILTER_JSON_CHARACTERS_MAX} characters`;
  if (json.length > FILTER_JSON_CHARACTERS_MAX) throw wrong("filter", limit);
  try {
    return JSON.parse(json);
  } catch {
    throw wrong("filter", limit);
  }
}

/** Lists in which order means nothing are sorted. */
function ordered(filter: Filter): Filter {
  switch (filter.kind) {
    case "tags":
      return { kind: "tags", tags: sorted(filter.tags) };
    case "direct":
      return { kind: "direct", keys: sorted(filter.keys) };
    case "topic":
      return { kind: "topic", patterns: sorted(filter.patterns) };
    case "headers": {
      const names = sorted(Object.keys(filter.headers));
      const headers = Object.fromEntries(names.map((name) => [name, filter.headers[name] ?? null]));
      return { kind: "headers", match: filter.match, headers };
    }
    default:
      return filter;
  }
}

function sorted(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
