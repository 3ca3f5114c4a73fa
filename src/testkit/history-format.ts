// The saved form of a history: a header line, then one JSON object per line. Every line is checked against the table of
// events; what a later version adds is refused, not skipped: a judge that does not understand a line is blind.
import { DELIVERY_SHAPES } from "./delivery-format.ts";
import type { HistoryEvent, HistoryHeader } from "./events.ts";
import {
  flag,
  type Guard,
  isObject,
  listOf,
  number,
  oneOf,
  optional,
  type Shape,
  shaped,
  text,
  whole,
} from "./format-guards.ts";
import { DEFAULT_RULES } from "./rules.ts";

/** Version 2 added what consumers do; a history of version 1 is one of version 2 that says nothing of them. */
export const HISTORY_VERSION = 2;
const OLDEST_VERSION = 1;

/** A line that is no event of this version. */
export class HistoryFormatError extends Error {
  override readonly name = "HistoryFormatError";
  /** From 1. */
  readonly line: number;
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.line = line;
  }
}

/** One line, with its end. */
export function encodeEvent(event: HistoryEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** All lines; a header is put before them when the events bring none. */
export function* encodeHistory(events: Iterable<HistoryEvent>, name = ""): Generator<string> {
  let isFirst = true;
  for (const event of events) {
    if (isFirst && event.type !== "history") yield encodeEvent(headerOf(name));
    isFirst = false;
    yield encodeEvent(event);
  }
  if (isFirst) yield encodeEvent(headerOf(name));
}

/** A header of this version. */
export function headerOf(name: string, rules?: HistoryHeader["rules"]): HistoryHeader {
  const header = { type: "history", version: HISTORY_VERSION, name } as const;
  return rules === undefined ? header : { ...header, rules };
}

/**
 * Events of a saved history, one at a time. Empty lines are passed over; a header is not demanded.
 * @throws HistoryFormatError
 */
export function* readHistory(lines: Iterable<string>): Generator<HistoryEvent> {
  let number = 0;
  for (const line of lines) {
    number += 1;
    if (line === "") continue;
    yield decodeEvent(line, number);
  }
}

/** @throws HistoryFormatError */
export function decodeEvent(line: string, number = 1): HistoryEvent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new HistoryFormatError(number, "it is not JSON (was the end of the file cut off?)");
  }
  if (isEvent(parsed)) return parsed;
  throw new HistoryFormatError(number, problemOf(parsed) ?? "it is no event");
}

type Shapes = {
  readonly [T in HistoryEvent["type"]]: Shape<Extract<HistoryEvent, { readonly type: T }>>;
};

const DURABILITY = oneOf("all/sync", "all/async", "leader/sync", "leader/async", "none");
const EFFECT = oneOf(
  ...[
    "crash",
    "power",
    "wipe",
    "pause",
    "cut",
    "slow",
    "disk",
    "restart",
    "blip",
    "unsafe",
    "other",
  ],
);
const PLACE = { topic: text, partition: whole, offset: whole };
const RECORD = { offset: whole, leaderEpoch: whole, key: optional(text), value: text };

const SHAPES: Shapes = {
  history: { version: isKnownVersion, name: text, rules: optional(isRules) },
  topic: {
    ...{ atMs: number, topic: text, partitions: whole, replicas: whole },
    ...{ flush: oneOf("sync", "async"), keepsAll: flag },
  },
  send: {
    ...{ atMs: number, producer: text, topic: text, key: optional(text), value: text },
    ...{ durability: DURABILITY, partition: optional(whole), idempotent: optional(flag) },
    marker: optional(text),
  },
  ack: {
    ...{ atMs: number, value: text, partition: whole, offset: whole, leaderEpoch: whole },
    ...{ duplicate: flag, node: optional(whole) },
  },
  fail: { atMs: number, value: text, outcome: oneOf("not-applied", "unknown"), reason: text },
  read: { atMs: number, reader: text, topic: text, partition: whole, ...RECORD },
  poll: {
    ...{ atMs: number, beganMs: number, reader: text, topic: text, partition: whole },
    ...{ from: whole, next: whole, highWatermark: optional(whole) },
    records: listOf(shaped(RECORD)),
  },
  seek: { atMs: number, reader: text, ...PLACE },
  scan: {
    ...{ atMs: number, beganMs: number, reader: text, topic: text, partition: whole },
    ...{ from: whole, to: whole },
  },
  bounds: {
    ...{ atMs: number, beganMs: number, topic: text, partition: whole, leaderEpoch: whole },
    ...{ logStartOffset: whole, highWatermark: whole },
  },
  outcome: {
    ...{ atMs: number, value: text, partition: whole, by: oneOf("position", "sequence") },
    outcome: oneOf("committed", "lost", "unknown"),
    ...{ offset: optional(whole), leaderEpoch: optional(whole) },
  },
  fault: {
    ...{ atMs: number, name: text, phase: oneOf("start", "bit", "stop") },
    ...{ nodes: listOf(whole), effect: optional(EFFECT) },
  },
  leader: { atMs: number, topic: text, partition: whole, node: whole, leaderEpoch: whole },
  digest: {
    ...{ atMs: number, topic: text, partition: whole, node: whole },
    ...{ firstIndex: whole, lastIndex: whole, digest: text },
  },
  metadata: { atMs: number, node: whole, index: whole, subject: text, state: text },
  log: {
    ...{ atMs: number, node: whole, message: text },
    level: oneOf("debug", "info", "warn", "error", "fatal"),
  },
  exit: { atMs: number, node: whole, code: optional(whole), signal: optional(text) },
  sample: {
    ...{ atMs: number, node: whole, phase: oneOf("baseline", "load", "idle") },
    values: (value) => isObject(value) && Object.values(value).every(number),
  },
  ...DELIVERY_SHAPES,
};

const FIELDS: ReadonlyMap<string, readonly [string, Guard][]> = new Map(
  Object.entries(SHAPES).map(([type, shape]) => [type, Object.entries(shape)]),
);

/** What keeps it from being an event, in words. */
function problemOf(value: unknown): string | undefined {
  if (!isObject(value)) return "it is not an object";
  const { type } = value;
  const fields = typeof type === "string" ? FIELDS.get(type) : undefined;
  if (fields === undefined) return `unknown type of event: ${String(type)}`;
  for (const [field, guard] of fields) {
    if (!guard(value[field])) return `${String(type)}: ${field} is ${JSON.stringify(value[field])}`;
  }
  return undefined;
}

function isEvent(value: unknown): value is HistoryEvent {
  return problemOf(value) === undefined;
}

function isKnownVersion(value: unknown): boolean {
  return typeof value === "number" && value >= OLDEST_VERSION && value <= HISTORY_VERSION;
}

/** Known names, each with a value of the kind that its default has. */
function isRules(value: unknown): boolean {
  if (!isObject(value)) return false;
  const defaults: Readonly<Record<string, unknown>> = { ...DEFAULT_RULES };
  return Object.entries(value).every(([name, rule]) => {
    if (name === "allowedLogLines") return listOf(shaped({ contains: text, reason: text }))(rule);
    return typeof rule === typeof defaults[name];
  });
}
