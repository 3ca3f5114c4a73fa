// Kinds of values in cluster.yaml, each with its documentation attached: sizes, durations, counts, choices, addresses.
// Called by schema.ts, which says what keys there are.
import { z } from "zod";
import { formatDuration, formatSize, type Parsed, parseDuration, parseSize } from "./units.ts";

/** cluster: must be equal on all nodes. node: belongs to one node. topic: default of new topics. */
export type Scope = "cluster" | "node" | "topic";

export interface KeyMeta {
  readonly type: string;
  readonly scope: Scope;
  readonly about: string;
  readonly range?: string;
  readonly default?: string;
}

export interface QuantityOptions {
  readonly about: string;
  readonly scope?: Scope;
  readonly default: string;
  readonly min: number;
  readonly max: number;
  /** The word `auto` is allowed and becomes 0: the process works it out. */
  readonly auto?: boolean;
}

/** Optional in the file: the default's text goes through the same checks. */
export type Defaulted<T> = z.ZodPrefault<z.ZodType<T>>;

export const META: z.core.$ZodRegistry<KeyMeta> = z.registry<KeyMeta>();

export function documented<T extends z.ZodType>(schema: T, meta: KeyMeta): T {
  META.add(schema, meta);
  return schema;
}

function quantity(
  options: QuantityOptions,
  type: string,
  parse: (input: unknown) => Parsed,
  format: (value: number) => string,
): Defaulted<number> {
  const schema: Defaulted<number> = z
    .unknown()
    .transform((input, context): number => {
      if (options.auto === true && input === "auto") return 0;
      const parsed = parse(input);
      if ("problem" in parsed) {
        context.addIssue({ code: "custom", message: parsed.problem });
        return z.NEVER;
      }
      if (parsed.value < options.min || parsed.value > options.max) {
        const range = `${format(options.min)} … ${format(options.max)}`;
        context.addIssue({ code: "custom", message: `${String(input)} is outside ${range}` });
        return z.NEVER;
      }
      return parsed.value;
    })
    .prefault(options.default);
  return documented(schema, {
    type,
    scope: options.scope ?? "cluster",
    about: options.about,
    default: options.default,
    range: `${format(options.min)} … ${format(options.max)}`,
  });
}

export const duration = (options: QuantityOptions): Defaulted<number> =>
  quantity(options, "duration", parseDuration, formatDuration);
export const size = (options: QuantityOptions): Defaulted<number> =>
  quantity(options, "size", parseSize, formatSize);

export function count(options: {
  readonly about: string;
  readonly scope?: Scope;
  readonly default: number;
  readonly min: number;
  readonly max: number;
}): Defaulted<number> {
  const { min, max } = options;
  const schema = z.int().min(min).max(max);
  const defaulted: Defaulted<number> = schema.prefault(options.default);
  return documented(defaulted, {
    type: "integer",
    scope: options.scope ?? "cluster",
    about: options.about,
    default: String(options.default),
    range: `${min} … ${max}`,
  });
}

export function choice<const T extends readonly [string, ...string[]]>(
  words: T,
  options: { readonly about: string; readonly scope?: Scope; readonly default: T[number] },
): Defaulted<T[number]> {
  const schema: z.ZodType<T[number]> = z.literal([...words]);
  return documented(schema.prefault(options.default), {
    type: words.join(" \\| "),
    scope: options.scope ?? "cluster",
    about: options.about,
    default: options.default,
  });
}

export interface AddressValue {
  readonly host: string;
  readonly port: number;
}

export function address(about: string): z.ZodType<AddressValue> {
  const schema = z.unknown().transform((input, context): AddressValue => {
    const match =
      typeof input === "string" ? /^(?:\[([^\]\s]+)\]|([^:\s]+)):(\d{1,5})$/.exec(input) : null;
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port < 1 || port > 65535) {
      context.addIssue({
        code: "custom",
        message: "must be host:port, for example 127.0.0.1:7101",
      });
      return z.NEVER;
    }
    return { host, port };
  });
  return documented(schema, { type: "address", scope: "node", about });
}

export function text(
  meta: Omit<KeyMeta, "type">,
  pattern: RegExp,
  rule: string,
): z.ZodType<string> {
  const message = { error: rule };
  return documented(z.string(message).regex(pattern, message), { type: "text", ...meta });
}
