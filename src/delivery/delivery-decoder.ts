// Reads replicated commands about subscriptions, strictly: whatever this release would not have written itself stops the
// replica (architecture §7.12), because ignoring it would let replicas diverge. Work is bounded by the counts that
// splitUpdates keeps to. Called by DeliveryState.
import { FrameError } from "../model/entry-frame.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import { CONSUMER_HASH_END, type ConsumerHash } from "./consumer-hash.ts";
import {
  DELIVER_ITEMS_MAX,
  DELIVER_RANGES_MAX,
  DELIVER_UPDATES_MAX,
  type DeadUpdate,
  type DeliveryCommand,
  type FailedAttempt,
  type FailUpdate,
  type FailureCause,
  type OffsetRange,
  type ParkUpdate,
  type ReleaseUpdate,
  type SubscriptionUpdate,
} from "./delivery-commands.ts";

export const DELIVERY_COMMAND_TYPES: ReadonlySet<string> = new Set([
  "attach",
  "detach",
  "seek",
  "deliver",
]);

type Fields = Readonly<Record<string, unknown>>;

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const UPDATE_FIELDS = "id seeks settle release fail dead park left joined complete".split(" ");

/** What the lists of one command add up to. */
interface Count {
  ranges: number;
  items: number;
}

/** @throws FrameError "unknown-section" */
export function decodeDeliveryCommand(fields: Fields): DeliveryCommand {
  switch (fields["type"]) {
    case "attach":
      only(fields, ["v", "type", "id", "version", "startOffset", "createdIndex"]);
      return {
        type: "attach",
        id: id(fields),
        version: whole(fields, "version"),
        startOffset: whole(fields, "startOffset"),
        createdIndex: whole(fields, "createdIndex"),
      };
    case "detach":
      only(fields, ["v", "type", "id"]);
      return { type: "detach", id: id(fields) };
    case "seek":
      only(fields, ["v", "type", "id", "offset"]);
      return { type: "seek", id: id(fields), offset: whole(fields, "offset") };
    case "deliver": {
      only(fields, ["v", "type", "updates"]);
      const updates = list(fields, "updates", DELIVER_UPDATES_MAX);
      const count: Count = { ranges: 0, items: 0 };
      return { type: "deliver", updates: updates.map((update) => updateOf(update, count)) };
    }
    default:
      throw unknown(`type ${String(fields["type"])}`);
  }
}

function updateOf(value: unknown, count: Count): SubscriptionUpdate {
  const fields = record(value);
  only(fields, UPDATE_FIELDS);
  return {
    id: id(fields),
    ...(fields["seeks"] === undefined ? {} : { seeks: number(fields["seeks"], 1, "seeks") }),
    ...(fields["settle"] === undefined ? {} : { settle: ranges(fields, count) }),
    ...items(fields, "release", count, release),
    ...items(fields, "fail", count, fail),
    ...items(fields, "dead", count, dead),
    ...items(fields, "park", count, park),
    ...hashes(fields, "left", count),
    ...hashes(fields, "joined", count),
    ...complete(fields),
  };
}

function ranges(fields: Fields, count: Count): readonly OffsetRange[] {
  const values = list(fields, "settle", 2 * (DELIVER_RANGES_MAX - count.ranges));
  if (values.length === 0 || values.length % 2 !== 0) throw unknown("settle");
  count.ranges += values.length / 2;
  const decoded: OffsetRange[] = [];
  let end = 0;
  for (let at = 0; at < values.length; at += 2) {
    const from = end + number(values[at], at === 0 ? 0 : 1, "settle");
    end = from + number(values[at + 1], 1, "settle");
    if (!Number.isSafeInteger(end)) throw unknown("settle");
    decoded.push([from, end]);
  }
  return decoded;
}

function items<Name extends string, Item>(
  fields: Fields,
  name: Name,
  count: Count,
  decode: (item: Fields) => Item,
): { readonly [name in Name]?: readonly Item[] } {
  if (fields[name] === undefined) return {};
  const values = list(fields, name, DELIVER_ITEMS_MAX - count.items);
  if (values.length === 0) throw unknown(name);
  count.items += values.length;
  const decoded = values.map((value) => decode(record(value)));
  const named: { [name in Name]?: readonly Item[] } = {};
  named[name] = decoded;
  return named;
}

function hashes<Name extends "left" | "joined">(
  fields: Fields,
  name: Name,
  count: Count,
): { readonly [name in Name]?: readonly ConsumerHash[] } {
  if (fields[name] === undefined) return {};
  const values = list(fields, name, DELIVER_ITEMS_MAX - count.items);
  if (values.length === 0) throw unknown(name);
  count.items += values.length;
  let end = 0;
  const decoded = values.map((value) => {
    const hash = number(value, end, name);
    if (hash >= CONSUMER_HASH_END) throw unknown(name);
    end = hash + 1;
    return hash;
  });
  const named: { [name in Name]?: readonly ConsumerHash[] } = {};
  named[name] = decoded;
  return named;
}

function complete(fields: Fields): { readonly complete?: true } {
  const value = fields["complete"];
  if (value !== undefined && value !== true) throw unknown("complete");
  return value === true ? { complete: value } : {};
}

function release(fields: Fields): ReleaseUpdate {
  only(fields, ["offset", "action"]);
  const { action } = fields;
  if (action !== "retry" && action !== "dead" && action !== "settle") throw unknown("action");
  return { offset: whole(fields, "offset"), action };
}

function fail(fields: Fields): FailUpdate {
  only(fields, ["offset", "notBeforeMs", "timeMs", "cause", "error"]);
  const [offset, notBeforeMs] = [whole(fields, "offset"), whole(fields, "notBeforeMs")];
  return { offset, notBeforeMs, attempt: attempt(fields) };
}

function dead(fields: Fields): DeadUpdate {
  only(fields, ["offset", "timeMs", "cause", "error"]);
  const hasAttempt = ["timeMs", "cause", "error"].some((name) => fields[name] !== undefined);
  return { offset: whole(fields, "offset"), attempt: hasAttempt ? attempt(fields) : undefined };
}

function attempt(fields: Fields): FailedAttempt {
  const error = fields["error"] ?? "";
  if (typeof error !== "string" || error.length > SUBSCRIPTION_LIMITS.errorCharacters) {
    throw unknown("error");
  }
  // Half a surrogate pair has no UTF-8: what is kept in memory would differ from what is stored.
  const text = Buffer.from(error, "utf8").toString("utf8");
  return { timeMs: whole(fields, "timeMs"), cause: cause(fields["cause"]), error: text };
}

function cause(value: unknown): FailureCause {
  switch (value) {
    case "nack":
    case "reject":
    case "deadline":
    case "session-lost":
      return value;
    default:
      throw unknown("cause");
  }
}

function park(fields: Fields): ParkUpdate {
  only(fields, ["offset", "sinceMs", "key", "partition"]);
  const { key, partition } = fields;
  if (partition !== undefined && partition !== true) throw unknown("partition");
  return {
    offset: whole(fields, "offset"),
    key: key === undefined ? undefined : bytes(key),
    scope: partition === true ? "partition" : "key",
    sinceMs: whole(fields, "sinceMs"),
  };
}

/** Exactly what the encoder writes: base64 forgives much otherwise. */
function bytes(value: unknown): Buffer {
  if (typeof value !== "string") throw unknown("key");
  const decoded = Buffer.from(value, "base64");
  if (decoded.toString("base64") !== value) throw unknown("key");
  return decoded;
}

function id(fields: Fields): string {
  const value = fields["id"];
  if (typeof value !== "string" || !ID.test(value)) throw unknown("id");
  return value;
}

function whole(fields: Fields, name: string): number {
  return number(fields[name], 0, name);
}

function number(value: unknown, min: number, name: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min) throw unknown(name);
  return value;
}

function list(fields: Fields, name: string, lengthMax: number): readonly unknown[] {
  const value: unknown = fields[name];
  if (!Array.isArray(value) || value.length > lengthMax) throw unknown(name);
  return value;
}

function record(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unknown("item");
  return value as Fields;
}

function only(fields: Fields, known: readonly string[]): void {
  for (const name of Object.keys(fields)) if (!known.includes(name)) throw unknown(name);
}

function unknown(detail: string): FrameError {
  return new FrameError({
    problem: "unknown-section",
    position: 0,
    detail: `unknown delivery command: ${detail}`,
  });
}
