// How consumed messages look: a template with % fields, or JSON lines. Pure. Called by the consume command.
import type { ReadMessage } from "./client-port.ts";
import { usage } from "./options.ts";

/** With the number of the attempt, when a subscription gave it. */
type ShownMessage = ReadMessage & { readonly attempt?: number };
type Piece = string | ((message: ShownMessage) => string | Uint8Array);

const FIELDS: Readonly<Record<string, (message: ShownMessage) => string | Uint8Array>> = {
  k: (message) => message.key ?? "",
  v: (message) => message.value ?? "",
  o: (message) => String(message.offset),
  p: (message) => String(message.partition),
  t: (message) => message.topic,
  T: (message) => String(message.timestampMs),
  e: (message) => String(message.leaderEpoch),
  a: (message) => String(message.attempt ?? 1),
  h: (message) =>
    message.headers
      .map(({ name, value }) => `${name}=${Buffer.from(value).toString("utf8")}`)
      .join(","),
};

export const FORMAT_HELP =
  "%k key, %v value, %o offset, %p partition, %h headers, %t topic, %T time in ms, %e leader epoch, %a attempt, %% percent, \\n \\t";

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "0": "\0",
  "\\": "\\",
};

/** Compiles a template once. @throws CliError for an unknown field */
export function compileFormat(template: string): (message: ShownMessage) => Buffer {
  const pieces: Piece[] = [];
  for (let at = 0; at < template.length; at += 1) {
    const character = template[at] ?? "";
    const next = template[at + 1];
    if (character === "\\" && next !== undefined && Object.hasOwn(ESCAPES, next)) {
      pieces.push(ESCAPES[next] ?? "");
      at += 1;
    } else if (character === "%") {
      if (next !== "%" && (next === undefined || !Object.hasOwn(FIELDS, next))) {
        throw usage(`--format: unknown field "%${next ?? ""}"; there are ${FORMAT_HELP}`);
      }
      pieces.push(next === "%" ? "%" : (FIELDS[next] ?? ""));
      at += 1;
    } else {
      pieces.push(character);
    }
  }
  const parts = joinText(pieces);
  return (message) =>
    Buffer.concat(
      parts.map((piece) => {
        const value = typeof piece === "string" ? piece : piece(message);
        return typeof value === "string" ? Buffer.from(value, "utf8") : value;
      }),
    );
}

/** One JSON object per line. Bytes that are not UTF-8 are given as base64 under another name. */
export function formatJsonLine(message: ShownMessage): Buffer {
  const fields = {
    topic: message.topic,
    partition: message.partition,
    offset: message.offset,
    leaderEpoch: message.leaderEpoch,
    timestampMs: message.timestampMs,
    ...(message.attempt === undefined ? {} : { attempt: message.attempt }),
    ...bytesField("key", message.key),
    ...bytesField("value", message.value),
    headers: message.headers.map(({ name, value }) => ({ name, ...bytesField("value", value) })),
  };
  return Buffer.from(`${JSON.stringify(fields)}\n`, "utf8");
}

export function bytesField(
  name: string,
  bytes: Uint8Array | undefined,
): Readonly<Record<string, string | null>> {
  if (bytes === undefined) return { [name]: null };
  try {
    return { [name]: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes).toString("base64") };
  }
}

function joinText(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (typeof piece === "string" && typeof last === "string")
      joined[joined.length - 1] = last + piece;
    else joined.push(piece);
  }
  return joined;
}
