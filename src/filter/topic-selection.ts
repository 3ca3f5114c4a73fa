// Which topics a subscription wants, by their names. Checked when a subscription is defined (cluster room), compiled once
// per definition and broker, and asked for every topic. Regular expressions run in linear time (re2js, a port of RE2):
// nobody can write one that holds a broker up.
import { RE2JS, RE2JSException, RE2JSSyntaxException } from "re2js";
import {
  DEAD_LETTER_PREFIX,
  REDRIVE_PREFIX,
  redriveTopicOf,
  SUBSCRIPTION_LIMITS,
  type TopicSelection,
} from "../model/subscription.ts";
import { checkTopicName, RESERVED_TOPIC_PREFIX } from "../model/topic-name.ts";
import { wrong } from "./filter-definition.ts";
import { matchesWords, wordPatternProblem } from "./word-pattern.ts";

/** Characters of one pattern. */
const PATTERN_CHARACTERS_MAX = 200;
const OF_ITS_SUBSCRIPTION = `no topic under "${REDRIVE_PREFIX}": each belongs to the subscription that it names`;
const PATTERN_PART = /^(?:\*|#|[A-Za-z0-9._-]+)$/;
/**
 * Steps of a compiled expression: each is tried at most once per character of a name. Repetitions are written out, so
 * (a?){100} has 200 of them.
 */
const REGEX_STEPS_MAX = 300;

/** Whether a topic of that name is selected. Never throws; time is at most the size of the selection times the name's. */
export type TopicTest = (name: string) => boolean;

/**
 * What the subscription of that name selects: its own topic of redriven messages too, and nobody else's.
 * @throws BrokerError as compileTopicSelection
 */
export function compileTopicsOf(subscription: string, selection: TopicSelection): TopicTest {
  const wants = compileTopicSelection(selection);
  const redriven = redriveTopicOf(subscription);
  return (name) => (name.startsWith(REDRIVE_PREFIX) ? name === redriven : wants(name));
}

/** @throws BrokerError INVALID_REQUEST for a regular expression that this software can not read */
export function compileTopicSelection(selection: TopicSelection): TopicTest {
  switch (selection.kind) {
    case "names": {
      const names = new Set(selection.names);
      return (name) => names.has(name);
    }
    case "patterns": {
      const patterns = selection.patterns.map((pattern) => pattern.split("/"));
      return (name) => {
        if (!isSelectable(name)) return false;
        const parts = name.split("/");
        return patterns.some((pattern) => matchesWords(pattern, parts));
      };
    }
    case "regex": {
      const expression = compileRegex(selection.regex);
      return (name) => isSelectable(name) && expression.testExact(name);
    }
  }
}

/**
 * The selection without what is said twice.
 * @throws BrokerError INVALID_REQUEST with `field` ("topics…"), `limit` and, where it is known, `position`
 */
export function checkTopicSelection(selection: TopicSelection): TopicSelection {
  switch (selection.kind) {
    case "names":
      return { kind: "names", names: checkedNames(selection.names) };
    case "patterns":
      return { kind: "patterns", patterns: checkedPatterns(selection.patterns) };
    case "regex":
      checkRegex(selection.regex);
      return selection;
  }
}

/** Dead letters and topics of the product's own are selected by name only; redriven messages by nobody but their subscription. */
function isSelectable(name: string): boolean {
  const reserved = [DEAD_LETTER_PREFIX, REDRIVE_PREFIX, RESERVED_TOPIC_PREFIX];
  return !reserved.some((prefix) => name.startsWith(prefix));
}

function checkedNames(names: readonly string[]): readonly string[] {
  const limit = SUBSCRIPTION_LIMITS.namesMax;
  if (names.length === 0 || names.length > limit) throw wrong("topics.names", `1 to ${limit}`);
  for (const [at, name] of names.entries()) {
    checkTopicName(name, `topics.names[${at}]`);
    if (name.startsWith(REDRIVE_PREFIX)) throw wrong(`topics.names[${at}]`, OF_ITS_SUBSCRIPTION);
  }
  return [...new Set(names)];
}

function checkedPatterns(patterns: readonly string[]): readonly string[] {
  const limit = SUBSCRIPTION_LIMITS.patternsMax;
  if (patterns.length === 0 || patterns.length > limit) {
    throw wrong("topics.patterns", `1 to ${limit}`);
  }
  for (const [at, pattern] of patterns.entries()) checkPattern(pattern, `topics.patterns[${at}]`);
  return [...new Set(patterns)];
}

function checkPattern(pattern: string, field: string): void {
  if (pattern === "" || pattern.length > PATTERN_CHARACTERS_MAX) {
    throw wrong(field, `1 to ${PATTERN_CHARACTERS_MAX} characters`);
  }
  let position = 0;
  for (const part of pattern.split("/")) {
    const problem = partProblem(part);
    if (problem !== undefined) throw wrong(field, problem, position);
    position += part.length + 1;
  }
}

function partProblem(part: string): string | undefined {
  if (part === "") return 'no empty part before, between or after "/"';
  const problem = wordPatternProblem([part]);
  if (problem !== undefined) return problem;
  return PATTERN_PART.test(part) ? undefined : 'letters, digits, ".", "_", "-", "*" and "#" only';
}

function checkRegex(regex: string): void {
  const limit = SUBSCRIPTION_LIMITS.regexCharacters;
  if (regex === "" || regex.length > limit) throw wrong("topics.regex", `1 to ${limit} characters`);
  const steps = compileRegex(regex).programSize();
  if (steps <= REGEX_STEPS_MAX) return;
  throw wrong("topics.regex", `an expression of ${REGEX_STEPS_MAX} steps, this one has ${steps}`);
}

function compileRegex(regex: string): RE2JS {
  try {
    return RE2JS.compile(regex);
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) {
      throw wrong("topics.regex", error.getDescription(), placeOf(error.getPattern(), regex));
    }
    if (error instanceof RE2JSException) throw wrong("topics.regex", error.message);
    throw error;
  }
}

/** The engine tells the piece that it could not read, not where it stands. */
function placeOf(piece: string | null, regex: string): number | undefined {
  if (piece === null || piece === "") return undefined;
  const first = regex.indexOf(piece);
  return first >= 0 && first === regex.lastIndexOf(piece) ? first : undefined;
}
