// Whether a subscription that was found can be the one that was asked for, when the answer to its creation was lost. What
// was left out is not compared: the broker chose it. Used by subscription-admin.ts.
import type { Filter } from "../model/filter.ts";
import type { TopicSelection } from "../model/subscription.ts";
import type * as wire from "../rpc/generated/flotilla-v1.ts";
import type { RetryPlan, Subscription } from "./subscription-definition.ts";

export function isAsAsked(asked: wire.SubscriptionDefinition, found: Subscription): boolean {
  const { ackDeadlineMs, mode, onFailure, pausedUntilMs, start } = asked;
  return (
    mode === found.mode &&
    start?.kind === found.start.kind &&
    (found.start.kind !== "time" || start.timeMs === found.start.timeMs) &&
    pausedUntilMs === found.pausedUntilMs &&
    (onFailure ?? found.onFailure) === found.onFailure &&
    (ackDeadlineMs === 0 || ackDeadlineMs === found.ackDeadlineMs) &&
    isSameSelection(asked.topics, found.topics) &&
    isSameDeadLetter(asked.deadLetter, found.deadLetterTopic) &&
    isSameRetry(asked.retry, found.retry) &&
    isSameFilter(asked.filter, found.filter)
  );
}

function isSameSelection(asked: wire.TopicSelection | undefined, found: TopicSelection): boolean {
  const { names = [], patterns = [], regex = "" } = asked ?? {};
  switch (found.kind) {
    case "names":
      return isSameSet(names, found.names) && patterns.length === 0 && regex === "";
    case "patterns":
      return isSameSet(patterns, found.patterns) && names.length === 0 && regex === "";
    case "regex":
      return regex === found.regex && names.length === 0 && patterns.length === 0;
  }
}

function isSameDeadLetter(
  asked: wire.DeadLetterPolicy | undefined,
  found: string | undefined,
): boolean {
  if (asked === undefined) return true;
  if (!asked.enabled) return found === undefined;
  return asked.topic === "" ? found !== undefined : asked.topic === found;
}

/** 0 on the wire: left out. */
function isSameRetry(asked: wire.RetryPolicy | undefined, found: RetryPlan): boolean {
  if (asked === undefined) return true;
  const { attemptsMax, delaysMs, initialMs, jitterPercent, maxMs, multiplierPercent } = asked;
  const isSame = (wanted: number, is: number): boolean => wanted === 0 || wanted === is;
  return (
    isSame(attemptsMax, found.attempts) &&
    isSame(initialMs, found.initialMs) &&
    isSame(maxMs, found.maxMs) &&
    isSame(multiplierPercent, Math.round(found.multiplier * 100)) &&
    (jitterPercent === undefined || jitterPercent === Math.round(found.jitter * 100)) &&
    (delaysMs.length === 0 || normal(delaysMs, false) === normal(found.delaysMs, false))
  );
}

/** The broker keeps lists without their order, and writes out what a form leaves out. */
function isSameFilter(json: string, found: Filter): boolean {
  const asked = json === "" ? { kind: "all" } : parsed(json);
  if (typeof asked !== "object" || asked === null) return false;
  const fields = new Map<string, unknown>(Object.entries(found));
  const isSame = ([name, value]: [string, unknown]): boolean =>
    normal(value) === normal(fields.get(name));
  return "kind" in asked && Object.entries(asked).every(isSame);
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** One text for all ways to write a value. */
function normal(value: unknown, isSet = true): string {
  if (Array.isArray(value)) {
    const texts = value.map((one) => normal(one, isSet));
    return `[${(isSet ? [...new Set(texts)].sort() : texts).join()}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "";
  const fields = Object.entries(value).map(([name, one]) => `${name}:${normal(one, isSet)}`);
  return `{${fields.sort().join()}}`;
}

function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return normal(some) === normal(others);
}
