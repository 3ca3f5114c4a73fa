// Sizes and durations as people write them. A bare number is refused, because nobody can see whether 512 means
// bytes or kilobytes. Called by the schema and by the command line's options.

const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
};

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** What a value is, or why it is none: the text follows the name of the key in an error line. */
export type Parsed = { readonly value: number } | { readonly problem: string };

/** "512KiB" → bytes, an integer. Units: B, KiB … TiB (powers of 1024), KB … TB (powers of 1000). */
export function parseSize(input: unknown): Parsed {
  return parseQuantity(input, SIZE_UNITS, "size", "512KiB or 64MiB");
}

/** "100ms" → milliseconds, an integer. Units: ms, s, m, h, d. */
export function parseDuration(input: unknown): Parsed {
  return parseQuantity(input, DURATION_UNITS, "duration", "100ms or 7d");
}

/** The shortest exact text of a size, e.g. 65536 → "64KiB". */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, ["TiB", "GiB", "MiB", "KiB"], SIZE_UNITS, "B");
}

/** The shortest exact text of a duration, e.g. 1500 → "1500ms", 60000 → "1m". */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, ["d", "h", "m", "s"], DURATION_UNITS, "ms");
}

function parseQuantity(
  input: unknown,
  units: Readonly<Record<string, number>>,
  kind: string,
  examples: string,
): Parsed {
  if (typeof input === "number") {
    return { problem: `${input} has no unit; write a ${kind} such as ${examples}` };
  }
  if (typeof input !== "string") return { problem: `must be a ${kind} such as ${examples}` };
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(input.trim());
  const amount = match?.[1];
  const unit = match?.[2];
  if (amount === undefined || unit === undefined) {
    return { problem: `"${input}" is not a ${kind}; write for example ${examples}` };
  }
  if (unit === "") {
    return { problem: `${amount} has no unit; write a ${kind} such as ${examples}` };
  }
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (factor === undefined) {
    return {
      problem: `unknown unit "${unit}"; a ${kind} ends in ${Object.keys(units).join(", ")}`,
    };
  }
  const value = Number(amount) * factor;
  if (!Number.isSafeInteger(value)) {
    return {
      problem: `"${input}" is not a whole number of ${kind === "size" ? "bytes" : "milliseconds"}`,
    };
  }
  return { value };
}

function formatQuantity(
  value: number,
  descending: readonly string[],
  units: Readonly<Record<string, number>>,
  base: string,
): string {
  for (const unit of descending) {
    const factor = units[unit] ?? 1;
    if (value >= factor && value % factor === 0) return `${value / factor}${unit}`;
  }
  return `${value}${base}`;
}
