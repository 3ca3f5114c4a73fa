// The exchange forms of AMQP 0-9-1 over the routing key and the headers of a message. A message that matches two bindings
// of one subscription is still one message: these are tests, not copies.
import { HEADER } from "../model/headers.ts";
import { type HeaderConditions, wrong } from "./filter-definition.ts";
import { isTooLong, type MessageTest } from "./message-view.ts";
import { matchesWords, wordPatternProblem } from "./word-pattern.ts";

/** direct: a message without routing key has the empty one. */
export function routingKeyFilter(keys: readonly string[]): MessageTest {
  const wanted = new Set(keys);
  return (message) => wanted.has(message.header(HEADER.ROUTING_KEY) ?? "");
}

/** topic. @throws BrokerError INVALID_REQUEST */
export function topicFilter(patterns: readonly string[]): MessageTest {
  const compiled = patterns.map((pattern, at) => {
    const words = wordsOf(pattern);
    const problem = wordPatternProblem(words);
    if (problem !== undefined) throw wrong(`filter.patterns[${at}]`, problem);
    return words;
  });
  return (message) => {
    const key = message.header(HEADER.ROUTING_KEY) ?? "";
    if (isTooLong(key)) return false;
    const words = wordsOf(key);
    return compiled.some((pattern) => matchesWords(pattern, words));
  };
}

/** headers: all of the conditions, or any. */
export function headersFilter(match: "all" | "any", headers: HeaderConditions): MessageTest {
  const conditions = Object.entries(headers);
  return (message) => {
    const holds = ([name, text]: readonly [string, string | null]): boolean => {
      const found = message.header(name);
      return found !== undefined && (text === null || found === text);
    };
    return match === "all" ? conditions.every(holds) : conditions.some(holds);
  };
}

/** No words at all in the empty key, so that "#" matches it and "*" does not. */
function wordsOf(key: string): string[] {
  return key === "" ? [] : key.split(".");
}
