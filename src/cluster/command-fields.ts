// Reads fields of a command's JSON, strictly: what is missing, of another type or out of range is refused before it
// gets into the log. Used by metadata-commands.ts.
import { BrokerError } from "../model/errors.ts";
import { type GroupId, NODE_ID_MAX, type NodeId } from "../model/ids.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The object that the bytes hold. @throws BrokerError INVALID_REQUEST */
export function parseObject(bytes: Uint8Array, bytesMax: number): Fields {
  if (bytes.byteLength > bytesMax) throw malformed("command");
  let value: unknown;
  try {
    value = JSON.parse(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"),
    );
  } catch (error) {
    throw malformed("command", error);
  }
  if (!isFields(value)) throw malformed("command");
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function malformed(field: string, cause?: unknown): BrokerError {
  return new BrokerError("INVALID_REQUEST", `metadata command: bad ${field}`, { field }, { cause });
}

export function integer(fields: Fields, name: string, first: number, last: number): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw malformed(name);
  if (value < first || value > last) throw malformed(name);
  return value;
}

export function text(fields: Fields, name: string, lengthMin: number, lengthMax: number): string {
  const value = fields[name];
  if (typeof value !== "string") throw malformed(name);
  if (value.length < lengthMin || value.length > lengthMax) throw malformed(name);
  return value;
}

export function truth(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== "boolean") throw malformed(name);
  return value;
}

export function object(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (!isFields(value)) throw malformed(name);
  return value;
}

export function texts(fields: Fields): Record<string, string> {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, text(fields, name, 0, 1024)]));
}

/** One of the words. */
export function word<Word extends string>(
  fields: Fields,
  name: string,
  words: readonly Word[],
): Word {
  const value = fields[name];
  const found = words.find((one) => one === value);
  if (found === undefined) throw malformed(name);
  return found;
}

export function list(
  fields: Fields,
  name: string,
  countMin: number,
  countMax: number,
): readonly unknown[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw malformed(name);
  if (value.length < countMin || value.length > countMax) throw malformed(name);
  return value;
}

export function nodeId(fields: Fields, name = "nodeId"): NodeId {
  return integer(fields, name, 1, NODE_ID_MAX) as NodeId;
}

/** 0 stands for none. */
export function nodeIdOrNone(fields: Fields, name: string): NodeId | 0 {
  return integer(fields, name, 0, NODE_ID_MAX) as NodeId | 0;
}

export function groupId(fields: Fields): GroupId {
  return integer(fields, "groupId", 1, Number.MAX_SAFE_INTEGER) as GroupId;
}
