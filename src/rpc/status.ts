// BrokerError ↔ gRPC status. Both directions: the server turns a BrokerError into a status whose details carry
// google.rpc.ErrorInfo (reason, domain, fields) and RetryInfo (when a delay is known); the client turns a status back.
// A status without our ErrorInfo came from the transport or from a proxy: its outcome is unknown.
// The few google.rpc messages are encoded by hand here; their definitions are public (googleapis, google/rpc).
import { BrokerError, ERROR_TABLE, type ErrorFields, type ErrorReason } from "../model/errors.ts";
import { Reader } from "./wire/reader.ts";
import { prefixedSize, stringSize, varintSize, Writer } from "./wire/writer.ts";

/** gRPC status numbers (grpc.io, "Status codes"). */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type StatusName = keyof typeof STATUS;

/** Total by type: a reason without a status does not compile. */
export const STATUS_OF_REASON: Readonly<Record<ErrorReason, StatusName>> = {
  INVALID_REQUEST: "INVALID_ARGUMENT",
  UNKNOWN_TOPIC_OR_PARTITION: "NOT_FOUND",
  TOPIC_EXISTS: "ALREADY_EXISTS",
  RECORD_TOO_LARGE: "INVALID_ARGUMENT",
  UNSUPPORTED_VERSION: "UNIMPLEMENTED",
  CORRUPT_BATCH: "INVALID_ARGUMENT",
  MALFORMED_BATCH: "INVALID_ARGUMENT",
  ACKS_TOO_WEAK: "INVALID_ARGUMENT",
  NOT_LEADER: "FAILED_PRECONDITION",
  LEADER_UNKNOWN: "UNAVAILABLE",
  STALE_LEADER_EPOCH: "ABORTED",
  LEADERSHIP_LOST: "UNAVAILABLE",
  CLUSTER_MISMATCH: "FAILED_PRECONDITION",
  STALE_LAYOUT: "FAILED_PRECONDITION",
  STALE_REPLICA: "ABORTED",
  NOT_ENOUGH_REPLICAS: "UNAVAILABLE",
  REPLICATION_TIMEOUT: "DEADLINE_EXCEEDED",
  STORAGE_FAILED: "UNAVAILABLE",
  LOG_CORRUPT: "UNAVAILABLE",
  OFFSET_OUT_OF_RANGE: "OUT_OF_RANGE",
  DISK_FULL: "RESOURCE_EXHAUSTED",
  DIVERGED: "ABORTED",
  PRODUCER_FENCED: "FAILED_PRECONDITION",
  SEQUENCE_GAP: "FAILED_PRECONDITION",
  UNKNOWN_PRODUCER: "NOT_FOUND",
  LANE_CLOSED: "FAILED_PRECONDITION",
  DUPLICATE_OUT_OF_WINDOW: "FAILED_PRECONDITION",
  UNKNOWN_SUBSCRIPTION: "NOT_FOUND",
  SUBSCRIPTION_EXISTS: "ALREADY_EXISTS",
  FILTER_MISMATCH: "FAILED_PRECONDITION",
  STALE_DELIVERY: "FAILED_PRECONDITION",
  CONSUMER_REPLACED: "ABORTED",
  QUOTA_EXCEEDED: "RESOURCE_EXHAUSTED",
  OVERLOADED: "RESOURCE_EXHAUSTED",
  BACKLOG_FULL: "RESOURCE_EXHAUSTED",
  CHANGE_IN_PROGRESS: "FAILED_PRECONDITION",
  INVALID_REPLICATION_FACTOR: "FAILED_PRECONDITION",
  NODE_FENCED: "UNAVAILABLE",
  VERSION_CONFLICT: "ABORTED",
  NOT_ENOUGH_NODES: "FAILED_PRECONDITION",
  QUORUM_ANSWERS: "FAILED_PRECONDITION",
  INTERNAL: "INTERNAL",
  SHUTTING_DOWN: "UNAVAILABLE",
  DEADLINE: "DEADLINE_EXCEEDED",
  CANCELLED: "CANCELLED",
  UNREACHABLE: "UNAVAILABLE",
  BUFFER_FULL: "RESOURCE_EXHAUSTED",
  CLOSED: "CANCELLED",
};

/** Domain of our ErrorInfo. Reasons of other domains are not ours. */
export const ERROR_DOMAIN = "flotilla";
/** Trailer that carries google.rpc.Status. */
export const STATUS_DETAILS_KEY = "grpc-status-details-bin";

const TYPE_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const TYPE_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";
/** Trailers share the 64 KiB of an HTTP/2 header block; a longer text is cut. */
const TEXT_CHARACTERS_MAX = 1024;
const FIELDS_MAX = 32;

export interface WireStatus {
  readonly code: number;
  readonly message: string;
  /** google.rpc.Status, encoded. */
  readonly details: Buffer;
}

/** The status that says `error` on the wire. Field values travel as text; over-long ones are cut. */
export function statusOf(error: BrokerError): WireStatus {
  const code = STATUS[STATUS_OF_REASON[error.reason]];
  const message = cut(error.message);
  const anys = [any(TYPE_ERROR_INFO, errorInfo(error.reason, error.fields))];
  const { retryAfterMs } = error.fields;
  if (typeof retryAfterMs === "number") anys.push(any(TYPE_RETRY_INFO, retryInfo(retryAfterMs)));
  const head = [numberField(1, code), stringField(2, message)];
  return { code, message, details: Buffer.concat([...head, ...anys.map((a) => bytesField(3, a))]) };
}

/** A status as grpc-js reports it. */
export interface ReceivedStatus {
  readonly code: number;
  readonly message: string;
  readonly details: Buffer | undefined;
}

/**
 * The error that a received status means. Numbers and booleans in the metadata get their types back.
 * Without our ErrorInfo: DEADLINE, CANCELLED, UNREACHABLE (`refused: true` when nobody listened there) or INTERNAL.
 */
export function errorOfStatus(status: ReceivedStatus): BrokerError {
  const info = status.details === undefined ? undefined : readErrorInfo(status.details);
  if (info !== undefined) return new BrokerError(info.reason, status.message, info.fields);
  switch (status.code) {
    case STATUS.DEADLINE_EXCEEDED:
      return new BrokerError("DEADLINE", status.message);
    case STATUS.CANCELLED:
      return new BrokerError("CANCELLED", status.message);
    case STATUS.UNAVAILABLE:
      return unreachable(status.message);
    case STATUS.UNIMPLEMENTED:
      return new BrokerError("UNSUPPORTED_VERSION", status.message);
    case STATUS.RESOURCE_EXHAUSTED:
      return transportLimit(status.message);
    case STATUS.UNKNOWN:
    case STATUS.INTERNAL:
      // A stream that broke off without a status: the other process died or a proxy cut it.
      if (status.message.includes("RST_STREAM")) return unreachable(status.message);
      return new BrokerError("INTERNAL", status.message, { status: status.code });
    default:
      return new BrokerError("INTERNAL", status.message, { status: status.code });
  }
}

/** Fields of a refusal inside a stream (LaneRefusal, CursorError): the same texts as in ErrorInfo. */
export function metadataOf(fields: ErrorFields): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(fields).slice(0, FIELDS_MAX)) {
    metadata[key] = cut(String(value));
  }
  return metadata;
}

/** The opposite of {@link metadataOf}; an unknown reason (of a newer broker) becomes INTERNAL, outcome unknown. */
export function errorOfReason(
  reason: string,
  message: string,
  metadata: Readonly<Record<string, string>>,
): BrokerError {
  if (isErrorReason(reason)) return new BrokerError(reason, message, fieldsOf(metadata));
  return new BrokerError("INTERNAL", message, { ...fieldsOf(metadata), reason });
}

function isErrorReason(text: string): text is ErrorReason {
  return Object.hasOwn(ERROR_TABLE, text);
}

/** grpc-js tells a refused connection only in its text. */
function unreachable(message: string): BrokerError {
  const refused = message.includes("ECONNREFUSED");
  return new BrokerError("UNREACHABLE", message, refused ? { refused: true } : {});
}

/** grpc-js enforces the message size before any code of ours runs, so it cannot name our reason. */
function transportLimit(message: string): BrokerError {
  if (/larger than max|decompresses to a size/.test(message)) {
    return new BrokerError("RECORD_TOO_LARGE", message, { limit: "message" });
  }
  return new BrokerError("OVERLOADED", message);
}

function fieldsOf(metadata: Readonly<Record<string, string>>): ErrorFields {
  const fields: Record<string, string | number | boolean> = {};
  for (const [key, text] of Object.entries(metadata)) fields[key] = typed(text);
  return fields;
}

function typed(text: string): string | number | boolean {
  if (text === "true" || text === "false") return text === "true";
  const number = Number(text);
  return Number.isFinite(number) && String(number) === text ? number : text;
}

/** Also replaces lone surrogates: grpc-js percent-encodes the message and would throw. */
function cut(text: string): string {
  const short =
    text.length <= TEXT_CHARACTERS_MAX ? text : `${text.slice(0, TEXT_CHARACTERS_MAX - 1)}…`;
  return Buffer.from(short).toString();
}

/** ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; } */
function errorInfo(reason: ErrorReason, fields: ErrorFields): Buffer {
  const entries = Object.entries(metadataOf(fields)).map(([key, value]) =>
    bytesField(3, Buffer.concat([stringField(1, key), stringField(2, value)])),
  );
  return Buffer.concat([stringField(1, reason), stringField(2, ERROR_DOMAIN), ...entries]);
}

/** RetryInfo { Duration retry_delay = 1; }, Duration { int64 seconds = 1; int32 nanos = 2; } */
function retryInfo(delayMs: number): Buffer {
  const whole = Math.max(0, Math.round(delayMs));
  const seconds = numberField(1, Math.floor(whole / 1000));
  return bytesField(1, Buffer.concat([seconds, numberField(2, (whole % 1000) * 1_000_000)]));
}

/** Any { string type_url = 1; bytes value = 2; } */
function any(typeUrl: string, value: Buffer): Buffer {
  return Buffer.concat([stringField(1, typeUrl), bytesField(2, value)]);
}

function numberField(field: number, value: number): Buffer {
  if (value === 0) return Buffer.alloc(0);
  const bytes = Buffer.alloc(1 + varintSize(value));
  const writer = new Writer(bytes, 0);
  writer.varint(field * 8);
  writer.varint(value);
  return bytes;
}

function stringField(field: number, value: string): Buffer {
  const bytes = Buffer.alloc(1 + stringSize(value));
  const writer = new Writer(bytes, 0);
  writer.varint(field * 8 + 2);
  writer.string(value);
  return bytes;
}

function bytesField(field: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(1 + prefixedSize(value.length));
  const writer = new Writer(bytes, 0);
  writer.varint(field * 8 + 2);
  writer.bytes(value);
  return bytes;
}

interface ErrorInfo {
  readonly reason: ErrorReason;
  readonly fields: ErrorFields;
}

/** Undefined when the bytes are malformed, or no detail is ours: then the plain status decides. */
function readErrorInfo(details: Buffer): ErrorInfo | undefined {
  try {
    for (const value of fieldValues(details, 3)) {
      const [typeUrl] = fieldValues(value, 1);
      const [content] = fieldValues(value, 2);
      if (typeUrl?.toString() !== TYPE_ERROR_INFO || content === undefined) continue;
      return parseErrorInfo(content);
    }
    return undefined;
  } catch {
    return undefined;
  }
}

function parseErrorInfo(content: Buffer): ErrorInfo | undefined {
  const reason = fieldValues(content, 1)[0]?.toString() ?? "";
  if (fieldValues(content, 2)[0]?.toString() !== ERROR_DOMAIN) return undefined;
  const metadata: Record<string, string> = {};
  const reader = new Reader(content, FIELDS_MAX * 2);
  while (reader.more) {
    const tag = reader.tag();
    if (tag === 26) {
      reader.element();
      reader.entry(metadata);
    } else reader.skip(tag);
  }
  if (!isErrorReason(reason))
    return { reason: "INTERNAL", fields: { ...fieldsOf(metadata), reason } };
  return { reason, fields: fieldsOf(metadata) };
}

/** All values of one length-delimited field. */
function fieldValues(bytes: Buffer, field: number): Buffer[] {
  const reader = new Reader(bytes, FIELDS_MAX * 2);
  const values: Buffer[] = [];
  while (reader.more) {
    const tag = reader.tag();
    if (tag === field * 8 + 2) values.push(reader.bytes());
    else reader.skip(tag);
  }
  return values;
}
