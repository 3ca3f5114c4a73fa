// From a definition to a test of one message. Compiled once per subscription and node, called for every message.
import { tagHash } from "../model/batch-hints.ts";
import { headersFilter, routingKeyFilter, topicFilter } from "./exchange.ts";
import type { Filter } from "./filter-definition.ts";
import type { MessageTest } from "./message-view.ts";
import { evaluatorOf } from "./sql-evaluate.ts";
import { parseSql } from "./sql-parser.ts";
import { tagsFilter } from "./tags.ts";

export interface CompiledFilter {
  /** Whether the subscription wants the message. Never throws. */
  readonly matches: MessageTest;
  /** Everything matches: batches need not be decoded at all. */
  readonly isEverything: boolean;
  /** A message matches only with one of these tags (as hashes, tags.ts); undefined: tags do not decide. */
  readonly tagHashes: ReadonlySet<number> | undefined;
}

/** @throws BrokerError INVALID_REQUEST with `field`, `limit` and, for expressions, `position` */
export function compileFilter(filter: Filter): CompiledFilter {
  switch (filter.kind) {
    case "all":
    case "fanout":
      return { matches: () => true, isEverything: true, tagHashes: undefined };
    case "tags":
      return {
        matches: tagsFilter(filter.tags),
        isEverything: false,
        tagHashes: new Set(filter.tags.map(tagHash)),
      };
    case "direct":
      return selective(routingKeyFilter(filter.keys));
    case "topic":
      return selective(topicFilter(filter.patterns));
    case "headers":
      return selective(headersFilter(filter.match, filter.headers));
    case "sql":
      return selective(evaluatorOf(parseSql(filter.expression)));
  }
}

function selective(matches: MessageTest): CompiledFilter {
  return { matches, isEverything: false, tagHashes: undefined };
}
