// What the headers of a dead letter say: where it came from, why it died, what was tried. Pure. Whatever is not as brokers write
// it is passed over: everybody may send to a topic of dead letters.
import { DEAD_HEADER } from "../model/headers.ts";
import type { PartitionIndex } from "../model/ids.ts";
import type { Offset } from "../model/positions.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";
import { ATTEMPTS_KEPT } from "./failure-table.ts";

/** Where a message stood when it died for the first time. */
export interface DeadOrigin {
  readonly topic: string;
  readonly partition: PartitionIndex;
  readonly offset: Offset;
  /** Of the message, ms since 1970. */
  readonly timestampMs: number;
}

export interface DeadAttempt {
  readonly timeMs: number;
  readonly cause: string;
  readonly error: string;
}

export interface DeadFacts {
  readonly origin: DeadOrigin;
  /** Of the subscription that it died in; "": it is tried again. */
  readonly subscription: string;
  /** "attempts", "rejected" or "skipped". */
  readonly reason: string;
  readonly error: string;
  /** Failures since it was redriven last. */
  readonly failed: number;
  /** The newest ones, newest last; those before it was redriven, too. */
  readonly attempts: readonly DeadAttempt[];
  /** How often it was redriven. */
  readonly redriven: number;
}

/** Undefined: no dead letter. */
export function deadFactsOf(headers: readonly RecordHeader[]): DeadFacts | undefined {
  const texts = new Map<string, string>();
  for (const { name, value } of headers) {
    if (name.startsWith(PREFIX)) texts.set(name, Buffer.from(value).toString("utf8"));
  }
  const text = (name: string): string => texts.get(name) ?? "";
  const topic = text(DEAD_HEADER.TOPIC);
  const partition = numberOf(text(DEAD_HEADER.PARTITION));
  const offset = numberOf(text(DEAD_HEADER.OFFSET));
  if (topic === "" || partition === undefined || offset === undefined) return undefined;
  const timestampMs = numberOf(text(DEAD_HEADER.TIMESTAMP_MS)) ?? 0;
  return {
    origin: { topic, partition, offset, timestampMs },
    subscription: text(DEAD_HEADER.SUBSCRIPTION),
    reason: text(DEAD_HEADER.REASON),
    error: text(DEAD_HEADER.ERROR),
    failed: numberOf(text(DEAD_HEADER.ATTEMPTS)) ?? 0,
    attempts: attemptsOf(text(DEAD_HEADER.HISTORY)),
    redriven: numberOf(text(DEAD_HEADER.REDRIVEN)) ?? 0,
  };
}

/** The headers that the message had before it died. */
export function ownHeaders(headers: readonly RecordHeader[]): readonly RecordHeader[] {
  return headers.filter(({ name }) => !NAMES.has(name));
}

/** Headers of the message that is tried again: its own, where it died first, and what was tried. */
export function redrivenHeaders(
  headers: readonly RecordHeader[],
  facts: DeadFacts,
): RecordHeader[] {
  const kept = headers.filter(({ name }) => !NAMES.has(name) || KEPT.has(name));
  return [...kept, { name: DEAD_HEADER.REDRIVEN, value: Buffer.from(`${facts.redriven + 1}`) }];
}

const PREFIX = "flotilla-dead-";
const NAMES: ReadonlySet<string> = new Set(Object.values(DEAD_HEADER));
const KEPT: ReadonlySet<string> = new Set([
  DEAD_HEADER.TOPIC,
  DEAD_HEADER.PARTITION,
  DEAD_HEADER.OFFSET,
  DEAD_HEADER.TIMESTAMP_MS,
  DEAD_HEADER.HISTORY,
  DEAD_HEADER.CUT,
]);

function numberOf(text: string): number | undefined {
  const value = Number(text);
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(value) ? value : undefined;
}

function attemptsOf(json: string): readonly DeadAttempt[] {
  let items: unknown;
  try {
    items = JSON.parse(json);
  } catch {
    return [];
  }
  return Array.isArray(items) ? items.filter(isAttempt).slice(-ATTEMPTS_KEPT) : [];
}

function isAttempt(item: unknown): item is DeadAttempt {
  if (typeof item !== "object" || item === null) return false;
  const { cause, error, timeMs }: { cause?: unknown; error?: unknown; timeMs?: unknown } = item;
  return typeof cause === "string" && typeof error === "string" && Number.isSafeInteger(timeMs);
}
