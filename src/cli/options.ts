// Values of command line options: parsed strictly, refused with the form that would be right. Pure.
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../config/units.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";

/** Where a reader begins. */
/** Without acknowledgements everything is held until the end; a consumer must not keep more than this from others. */
export const UNACKED_MAX = 10_000;

export type StartAt =
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "time"; readonly timeMs: number };

export interface HeaderOption {
  readonly name: string;
  readonly value: string;
}

/** Commander reports what its parsers throw in its own way, with the option's name. */
export function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : "");
    }
  };
}

export function parseWhole(option: string, min: number, max = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `${min} to ${max}`;
      throw usage(`${option} must be a whole number ${range}, not "${text}"`);
    }
    return value;
  };
}

/** "30s" → 30000. */
export function parseTimeout(text: string): number {
  return parseDurationOf("--timeout")(text);
}

export function parseDurationOf(option: string) {
  return (text: string): number => {
    const parsed = parseDuration(text);
    if ("problem" in parsed) throw usage(`${option}: ${parsed.problem}`);
    return parsed.value;
  };
}

/** "1s,10s,1m" → ms each. */
export function parseDurations(option: string) {
  return (text: string): readonly number[] => parseList(text).map(parseDurationOf(option));
}

/** "a,b" → texts; blanks around them do not count. */
export function parseList(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** "1.5", between the bounds. */
export function parseNumber(option: string, min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+(?:\.\d+)?$/.test(text) && value >= min && value <= max) return value;
    throw usage(`${option} must be a number from ${min} to ${max}, not "${text}"`);
  };
}

/** earliest | latest | OFFSET | @TIME, where TIME is ISO 8601, ms since 1970, or -5m for five minutes ago. */
export function parseFrom(text: string, nowMs: number, option = "--from"): StartAt {
  if (text === "earliest" || text === "start") return { kind: "earliest" };
  if (text === "latest" || text === "end") return { kind: "latest" };
  if (/^\d+$/.test(text)) {
    const offset = Number(text);
    if (!Number.isSafeInteger(offset)) throw usage(`${option}: offset ${text} is too large`);
    return { kind: "offset", offset };
  }
  if (text.startsWith("@")) {
    return { kind: "time", timeMs: parseTime(text.slice(1), nowMs, option) };
  }
  throw usage(`${option} must be earliest, latest, an offset, or @time, not "${text}"`);
}

function parseTime(text: string, nowMs: number, option: string): number {
  if (text.startsWith("-")) {
    const parsed = parseDuration(text.slice(1));
    if ("value" in parsed) return Math.max(0, nowMs - parsed.value);
  } else if (/^\d+$/.test(text)) {
    return Number(text);
  } else {
    const timeMs = Date.parse(text);
    if (Number.isFinite(timeMs) && timeMs >= 0) return timeMs;
  }
  throw usage(
    `${option}: "@${text}" is no time; write @2026-11-23T10:00:00Z, @1700000000000 or @-5m`,
  );
}

/** "name=value", repeatable: for commander's option parser. */
export function collectHeader(
  text: string,
  before: readonly HeaderOption[],
): readonly HeaderOption[] {
  const { name, value } = splitPair("--header", text);
  return [...before, { name, value }];
}

/** "setting=value", repeatable; an empty value restores the default. */
export function collectSetting(
  text: string,
  before: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const { name, value } = splitPair("--set", text);
  if (Object.hasOwn(before, name)) throw usage(`--set ${name} is given twice`);
  return { ...before, [name]: value };
}

function splitPair(
  option: string,
  text: string,
): { readonly name: string; readonly value: string } {
  const at = text.indexOf("=");
  if (at < 1) throw usage(`${option} must be name=value, not "${text}"`);
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

/** "host:port,host:port". */
export function parseBootstrap(text: string): readonly string[] {
  const endpoints = parseList(text);
  const bad = endpoints.find((endpoint) => !/^(?:\[[^\]\s]+\]|[^:\s]+):\d{1,5}$/.test(endpoint));
  if (bad !== undefined || endpoints.length === 0) {
    throw usage(`--bootstrap must be host:port[,host:port…], not "${bad ?? text}"`);
  }
  return endpoints;
}

/** "KILL", "SIGKILL", "term" → "SIGKILL" … among the signals that make sense for a broker. */
export function parseSignal(text: string): NodeJS.Signals {
  const name = text.toUpperCase().replace(/^(?!SIG)/, "SIG");
  const allowed: readonly NodeJS.Signals[] = [
    "SIGKILL",
    "SIGTERM",
    "SIGINT",
    "SIGSTOP",
    "SIGCONT",
    "SIGQUIT",
    "SIGABRT",
  ];
  const signal = allowed.find((candidate) => candidate === name);
  if (signal === undefined)
    throw usage(`--signal must be one of ${allowed.join(", ")}, not "${text}"`);
  return signal;
}

export function usage(message: string): CliError {
  return new CliError(EXIT.USAGE, message, "see --help");
}
