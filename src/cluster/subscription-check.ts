// What a definition of a subscription may hold, and what stands for what it leaves out. The frontend checks with it what
// clients send; apply does not, because these rules may change between versions of the software.
import { canonicalFilter } from "../filter/canonical-filter.ts";
import { checkTopicSelection } from "../filter/topic-selection.ts";
import { BrokerError } from "../model/errors.ts";
import {
  DEAD_LETTER_PREFIX,
  SUBSCRIPTION_DEFAULTS as DEFAULTS,
  type FailurePolicy,
  SUBSCRIPTION_LIMITS as LIMITS,
  type RetryPolicy,
  type SubscriptionDefinition,
  type SubscriptionMode,
  type SubscriptionStart,
  type TopicSelection,
} from "../model/subscription.ts";
import { topicNameProblem } from "../model/topic-name.ts";

/** A definition as it is sent, with the field names of the protocol: 0, "" and undefined stand for defaults. */
export interface DefinitionWish {
  readonly name: string;
  readonly topics?:
    | {
        readonly names: readonly string[];
        readonly patterns: readonly string[];
        readonly regex: string;
      }
    | undefined;
  readonly filter: string;
  readonly mode?: SubscriptionMode | undefined;
  readonly retry?: RetryWish | undefined;
  readonly deadLetter?: { readonly enabled: boolean; readonly topic: string } | undefined;
  readonly onFailure?: FailurePolicy | undefined;
  readonly ackDeadlineMs: number;
  readonly start?: StartWish | undefined;
  readonly pausedUntilMs: number;
}

export interface RetryWish {
  readonly attemptsMax: number;
  readonly delaysMs: readonly number[];
  readonly initialMs: number;
  readonly maxMs: number;
  readonly multiplierPercent: number;
  readonly jitterPercent?: number | undefined;
}

export interface StartWish {
  readonly kind?: "earliest" | "latest" | "time" | "offset" | undefined;
  readonly timeMs: number;
}

/** The complete definition. @throws BrokerError INVALID_REQUEST with `field` and `limit` */
export function checkDefinition(wish: DefinitionWish): SubscriptionDefinition {
  const name = checkName(wish.name, "name", "subscription name");
  const topics = checkTopicSelection(selectionOf(wish.topics));
  if (wish.mode === undefined) throw wrong("mode", "shared, keyed, fifo or exclusive");
  return {
    name,
    topics,
    filter: canonicalFilter(wish.filter),
    mode: wish.mode,
    retry: retryOf(wish.retry),
    deadLetterTopic: deadLetterTopicOf(name, topics, wish.deadLetter),
    onFailure: onFailureOf(wish.mode, wish.onFailure),
    ackDeadlineMs: within(
      wish.ackDeadlineMs === 0 ? DEFAULTS.ackDeadlineMs : wish.ackDeadlineMs,
      "ackDeadlineMs",
      LIMITS.ackDeadlineMinMs,
      LIMITS.ackDeadlineMaxMs,
    ),
    start: startOf(wish.start),
    pausedUntilMs: within(wish.pausedUntilMs, "pausedUntilMs", 0, Number.MAX_SAFE_INTEGER),
  };
}

function checkName(name: string, field: string, what: string): string {
  const problem = topicNameProblem(name);
  if (problem === undefined) return name;
  throw new BrokerError("INVALID_REQUEST", `${what} "${name.slice(0, 80)}" ${problem}`, {
    field,
    limit: problem,
  });
}

function selectionOf(wish: DefinitionWish["topics"]): TopicSelection {
  const forms: TopicSelection[] = [];
  if (wish !== undefined && wish.names.length > 0) forms.push({ kind: "names", names: wish.names });
  if (wish !== undefined && wish.patterns.length > 0)
    forms.push({ kind: "patterns", patterns: wish.patterns });
  if (wish !== undefined && wish.regex !== "") forms.push({ kind: "regex", regex: wish.regex });
  const [form] = forms;
  if (form !== undefined && forms.length === 1) return form;
  throw wrong("topics", "exactly one of names, patterns and regex");
}

function retryOf(wish: RetryWish | undefined): RetryPolicy {
  const delaysMs = wish?.delaysMs ?? [];
  if (delaysMs.length > LIMITS.delays)
    throw wrong("retry.delaysMs", `at most ${LIMITS.delays} delays`);
  for (const [at, delayMs] of delaysMs.entries())
    within(delayMs, `retry.delaysMs[${at}]`, 0, LIMITS.delayMs);
  return {
    attemptsMax: within(
      given(wish?.attemptsMax) ?? DEFAULTS.attemptsMax,
      "retry.attemptsMax",
      1,
      LIMITS.attemptsMax,
    ),
    delaysMs,
    ...boundsOf(given(wish?.initialMs), given(wish?.maxMs)),
    multiplierPercent: within(
      given(wish?.multiplierPercent) ?? DEFAULTS.multiplierPercent,
      "retry.multiplierPercent",
      100,
      1000,
    ),
    jitterPercent: within(
      wish?.jitterPercent ?? DEFAULTS.jitterPercent,
      "retry.jitterPercent",
      0,
      100,
    ),
  };
}

/** One that is given alone moves the other one's default. */
function boundsOf(
  initial: number | undefined,
  max: number | undefined,
): Pick<RetryPolicy, "initialMs" | "maxMs"> {
  const initialMs = initial ?? Math.min(DEFAULTS.initialMs, max ?? DEFAULTS.initialMs);
  const maxMs = max ?? Math.max(DEFAULTS.maxMs, initialMs);
  within(maxMs, "retry.maxMs", 1, LIMITS.delayMs);
  within(initialMs, "retry.initialMs", 1, maxMs);
  return { initialMs, maxMs };
}

/** 0 is what the protocol says for a number that is left out. */
function given(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

/**
 * Dead letters of dead letters are not made: whoever processes a dead letter topic tries again until it works, or settles.
 * Other subscriptions never meet their own dead letters: patterns and expressions do not select them.
 */
function deadLetterTopicOf(
  name: string,
  topics: TopicSelection,
  wish: DefinitionWish["deadLetter"],
): string | undefined {
  const isOfDeadLetters =
    topics.kind === "names" && topics.names.some((topic) => topic.startsWith(DEAD_LETTER_PREFIX));
  if (wish?.enabled === false && wish.topic !== "")
    throw wrong("deadLetter.topic", "no topic where dead letters are disabled");
  if (wish?.enabled === false || (wish === undefined && isOfDeadLetters)) return undefined;
  if (isOfDeadLetters)
    throw wrong(
      "deadLetter.enabled",
      "disabled: dead letters of dead letters are not made, and this selects a topic of dead letters",
    );
  const topic =
    wish === undefined || wish.topic === "" ? `${DEAD_LETTER_PREFIX}${name}` : wish.topic;
  checkName(topic, "deadLetter.topic", "dead letter topic");
  if (topic.startsWith(DEAD_LETTER_PREFIX)) return topic;
  throw wrong("deadLetter.topic", `a name that begins with "${DEAD_LETTER_PREFIX}"`);
}

function onFailureOf(mode: SubscriptionMode, wish: FailurePolicy | undefined): FailurePolicy {
  if (mode !== "shared") return wish ?? (mode === "exclusive" ? "stop" : "park");
  if (wish === undefined || wish === "skip") return "skip";
  throw wrong("onFailure", "skip in shared mode: it has no order that could stop");
}

function startOf(wish: StartWish | undefined): SubscriptionStart {
  switch (wish?.kind) {
    case undefined:
      return { kind: "earliest" };
    case "earliest":
    case "latest":
      return { kind: wish.kind };
    case "time":
      return {
        kind: "time",
        timeMs: within(wish.timeMs, "start.timeMs", 0, Number.MAX_SAFE_INTEGER),
      };
    case "offset":
      throw wrong("start.kind", "earliest, latest or time");
  }
}

function within(value: number, field: string, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw wrong(field, `${min} to ${max}`);
}

function wrong(field: string, limit: string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `${field} is not valid: ${limit}`, { field, limit });
}
