// Settings of a topic: one table gives name, type, range, default and meaning. Values travel and are stored as text;
// parseTopicSettings turns them into what brokers use.
import type { Acks, Flush } from "./durability.ts";
import { BrokerError } from "./errors.ts";
import { BATCH_BYTES_MAX, MESSAGE_BYTES_MAX_DEFAULT } from "./limits.ts";

/** Effective settings of a topic. */
export interface TopicSettings {
  readonly acks: Acks;
  readonly minAcks: Acks;
  readonly flush: Flush;
  readonly messageBytesMax: number;
  /** −1: forever. */
  readonly retentionMs: number;
  /** Per partition; −1: unlimited. */
  readonly retentionBytes: number;
  /** What all subscriptions of the topic have settled may be dropped, whatever its age. */
  readonly retentionAcked: boolean;
  readonly segmentBytes: number;
}

export interface SettingRow {
  readonly name: string;
  readonly field: keyof TopicSettings;
  readonly default: string;
  /** Words of a choice, or an inclusive range. */
  readonly allowed: readonly string[] | readonly [min: number, max: number];
  readonly about: string;
}

const ACKS = ["all", "leader", "none"];
const TRUTH = ["true", "false"];
const MAX = Number.MAX_SAFE_INTEGER;

export const TOPIC_SETTINGS: readonly SettingRow[] = [
  row("acks", "acks", "all", ACKS, "What a send waits for unless it says otherwise."),
  row(
    "min.acks",
    "minAcks",
    "none",
    ACKS,
    "Sends that wait for less are refused with ACKS_TOO_WEAK.",
  ),
  row(
    "flush",
    "flush",
    "sync",
    ["sync", "async"],
    "Whether acknowledgements include the disk; a send may ask for sync on an async topic.",
  ),
  row(
    "message.bytes.max",
    "messageBytesMax",
    String(MESSAGE_BYTES_MAX_DEFAULT),
    [1, BATCH_BYTES_MAX],
    "Largest record batch of one message, bytes; larger ones are refused with RECORD_TOO_LARGE. Of raw batches the mean is bounded: bytes of the batch by its count of messages.",
  ),
  row(
    "retention.ms",
    "retentionMs",
    String(7 * 24 * 3600 * 1000),
    [-1, MAX],
    "Age at which messages may be dropped, ms; -1: never.",
  ),
  row(
    "retention.bytes",
    "retentionBytes",
    "-1",
    [-1, MAX],
    "Bytes per partition beyond which the oldest segments may be dropped; -1: never.",
  ),
  row(
    "retention.acked",
    "retentionAcked",
    "false",
    TRUTH,
    "Whether messages may be dropped, before age and size allow it, when all subscriptions of the topic have settled them; without a subscription nothing is.",
  ),
  row(
    "segment.bytes",
    "segmentBytes",
    String(128 * 1024 * 1024),
    [64 * 1024, 1024 * 1024 * 1024],
    "Size of a segment file, bytes: the unit of retention. Applies to replicas opened afterwards.",
  ),
];

const BY_NAME = new Map(TOPIC_SETTINGS.map((setting) => [setting.name, setting]));

/** @throws BrokerError INVALID_REQUEST naming the setting, what is allowed, and a similar name for an unknown one */
export function parseTopicSettings(texts: Readonly<Record<string, string>>): TopicSettings {
  const parsed: Record<string, string | number | boolean> = {};
  for (const setting of TOPIC_SETTINGS)
    parsed[setting.field] = settingValue(setting, setting.default);
  for (const [name, text] of Object.entries(texts)) {
    const setting = BY_NAME.get(name);
    if (setting === undefined) throw unknownSetting(name);
    parsed[setting.field] = settingValue(setting, text);
  }
  return parsed as unknown as TopicSettings;
}

/** Every setting with its effective text, in table order. */
export function describeTopicSettings(
  texts: Readonly<Record<string, string>>,
): readonly { readonly name: string; readonly value: string; readonly isDefault: boolean }[] {
  return TOPIC_SETTINGS.map(({ name, default: fallback }) => {
    const value = texts[name];
    return { name, value: value ?? fallback, isDefault: value === undefined };
  });
}

function settingValue(setting: SettingRow, text: string): string | number | boolean {
  const { allowed, name } = setting;
  const [min, max] = allowed;
  if (typeof min === "string") {
    if ((allowed as readonly string[]).includes(text))
      return allowed === TRUTH ? text === "true" : text;
    throw invalid(name, text, `one of ${allowed.join(", ")}`);
  }
  const value = Number(text);
  const isNumber = /^-?\d+$/.test(text) && Number.isSafeInteger(value);
  if (isNumber && value >= Number(min) && value <= Number(max)) return value;
  throw invalid(name, text, `a whole number from ${min} to ${max}`);
}

function invalid(name: string, text: string, limit: string): BrokerError {
  return new BrokerError(
    "INVALID_REQUEST",
    `setting ${name} is "${text.slice(0, 80)}", must be ${limit}`,
    {
      field: `settings.${name}`,
      limit,
    },
  );
}

function unknownSetting(name: string): BrokerError {
  const known = TOPIC_SETTINGS.map((setting) => setting.name);
  const similar = known.find(
    (candidate) => candidate.replace(/[.\-_]/g, "") === name.toLowerCase().replace(/[.\-_]/g, ""),
  );
  const hint = similar === undefined ? "" : `; did you mean "${similar}"?`;
  return new BrokerError("INVALID_REQUEST", `no setting is called "${name.slice(0, 80)}"${hint}`, {
    field: `settings.${name.slice(0, 80)}`,
    limit: known.join(", "),
  });
}

function row(
  name: string,
  field: keyof TopicSettings,
  fallback: string,
  allowed: SettingRow["allowed"],
  about: string,
): SettingRow {
  return { name, field, default: fallback, allowed, about };
}
