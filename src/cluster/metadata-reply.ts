// What applying a metadata command answers: data, equal on every replica. Made by
// metadata-state.ts, unwrapped on the proposer's node, carried as JSON between nodes.
import { BrokerError, ERROR_TABLE, type ErrorFields, type ErrorReason } from "../model/errors.ts";

/** `ok` holds the result's fields; `error` a refusal that changed nothing. */
export type MetadataReply =
  | { readonly ok: Readonly<Record<string, string | number | boolean>>; readonly error?: never }
  | {
      readonly error: {
        readonly reason: ErrorReason;
        readonly message: string;
        readonly fields: ErrorFields;
      };
      readonly ok?: never;
    };

export function refused(
  reason: ErrorReason,
  message: string,
  fields: ErrorFields = {},
): MetadataReply {
  return { error: { reason, message, fields } };
}

export function encodeMetadataReply(reply: MetadataReply): Buffer {
  return Buffer.from(JSON.stringify(reply), "utf8");
}

/** @throws BrokerError INTERNAL when the bytes are no reply */
export function decodeMetadataReply(bytes: Uint8Array): MetadataReply {
  try {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
    return checkedReply(JSON.parse(text));
  } catch (error) {
    throw new BrokerError(
      "INTERNAL",
      "the metadata leader's reply is unreadable",
      {},
      { cause: error },
    );
  }
}

/** The reply's result. @throws BrokerError as the refusal says */
export function resultOf(reply: unknown): Readonly<Record<string, string | number | boolean>> {
  const checked = checkedReply(reply);
  if (checked.error === undefined) return checked.ok;
  const { reason, message, fields } = checked.error;
  throw new BrokerError(reason, message, fields);
}

/**
 * One field of a result. @throws TypeError when it has another type: the two sides disagree about
 * the protocol
 */
export function numberOf(result: Readonly<Record<string, unknown>>, name: string): number {
  const value = result[name];
  if (typeof value !== "number") throw new TypeError(`metadata reply without ${name}`);
  return value;
}

function checkedReply(value: unknown): MetadataReply {
  if (typeof value !== "object" || value === null) throw new TypeError("no metadata reply");
  if ("error" in value) {
    const { reason } = (value.error ?? {}) as { readonly reason?: unknown };
    if (typeof reason !== "string" || !Object.hasOwn(ERROR_TABLE, reason)) {
      throw new TypeError("metadata reply with an unknown reason");
    }
    return value as MetadataReply;
  }
  if (!("ok" in value)) throw new TypeError("metadata reply without result");
  return value as MetadataReply;
}
