// Plain messages from any client: checked, made into one record batch here and appended with their message ids. An id that
// the partition remembers, or that the request repeats, stores nothing and gets the original receipt (architecture §7.7).
import type { Acks, Flush } from "../model/durability.ts";
import { BrokerError } from "../model/errors.ts";
import { isForbiddenHeader } from "../model/headers.ts";
import { BATCH_BYTES_MAX, PAGE_SIZE_MAX } from "../model/limits.ts";
import type { Offset, Term } from "../model/positions.ts";
import { BatchBuilder, NO_PRODUCER, type RecordHeader } from "../model/record-batch-builder.ts";
import type { SendClass } from "./append-path.ts";
import type { StoredMessage } from "./message-id-table.ts";
import type { Partition } from "./partition.ts";
import type { AppendObserver, AppendReceipt } from "./ports.ts";

/** Messages per request, inclusive. More: INVALID_REQUEST. */
export const PUBLISH_MESSAGES_MAX: number = PAGE_SIZE_MAX;
/** Bytes of a message id, inclusive. More: INVALID_REQUEST. */
export const MESSAGE_ID_BYTES_MAX = 64;

/** Shape of the protocol's PublishMessage. */
export interface PlainMessage {
  readonly key?: Buffer | undefined;
  /** Absent: a tombstone. */
  readonly value?: Buffer | undefined;
  readonly headers: readonly RecordHeader[];
  /** 0: the broker's clock. */
  readonly timestampMs: number;
  /** "": none. */
  readonly messageId: string;
}

export interface PublishRequest {
  readonly messages: readonly PlainMessage[];
  /** Undefined: the topic's default. */
  readonly acks?: Acks | undefined;
  readonly flush?: Flush | undefined;
  /** From a broker: headers that are its own are allowed, and what is stored already is not too large to be stored here. */
  readonly isInternal?: boolean;
}

/** One per message, in request order. */
export interface MessageReceipt {
  readonly offset: Offset;
  readonly leaderEpoch: Term;
  readonly acks: Acks;
  readonly flush: Flush;
  readonly duplicate: boolean;
}

/** Where each message of a request stands or will stand. */
type Place =
  | { readonly kind: "stored"; readonly stored: StoredMessage }
  /** Record `record` of the new batch; `repeats`: an earlier message of the request has the same id. */
  | { readonly kind: "new"; readonly record: number; readonly repeats: boolean };

/**
 * Appends the messages that are not stored yet and answers when all are where `acks` and `flush` want them.
 *
 * @param nowMs wall clock, for messages without a time of their own
 * @throws BrokerError INVALID_REQUEST (`field`, `limit`), RECORD_TOO_LARGE, and as AppendPath.submit
 */
export async function publish(
  partition: Partition,
  request: PublishRequest,
  nowMs: number,
): Promise<readonly MessageReceipt[]> {
  const send = { acks: request.acks ?? partition.settings.acks, flush: request.flush };
  partition.appends.admit(send);
  checkCount(request.messages.length);
  const bytesMax =
    request.isInternal === true ? BATCH_BYTES_MAX : partition.settings.messageBytesMax;
  for (const message of request.messages) {
    checkMessage(message, bytesMax);
    if (request.isInternal !== true) checkHeaderNames(message);
  }
  const draft = draftBatch(partition, request.messages, nowMs);
  const stored = newestStored(draft.places);
  if (stored !== undefined) partition.appends.admitStored(stored, send);
  const [appended, original] = await Promise.all([
    draft.ids.length === 0
      ? undefined
      : acknowledged((observer) => {
          const { builder, ids } = draft;
          const finished = builder.finishIn(NO_PRODUCER, builder.bytes);
          partition.appends.submitMessages(finished, ids, send, observer);
        }),
    // Acknowledged are all up to the newest original: watermarks never leave one out.
    stored === undefined
      ? undefined
      : acknowledged((observer) => {
          partition.appends.acknowledgeStored(stored, send, observer);
        }),
  ]);
  return draft.places.map((place) => receiptOf(place, send, { appended, original }));
}

interface BatchDraft {
  readonly builder: BatchBuilder;
  /** Of the records in the builder. */
  readonly ids: readonly string[];
  readonly places: readonly Place[];
}

function draftBatch(
  partition: Partition,
  messages: readonly PlainMessage[],
  nowMs: number,
): BatchDraft {
  const builder = new BatchBuilder();
  const ids: string[] = [];
  const places: Place[] = [];
  const inRequest = new Map<string, number>();
  for (const message of messages) {
    const { messageId } = message;
    const stored = messageId === "" ? undefined : storedMessage(partition, messageId);
    const repeated = messageId === "" ? undefined : inRequest.get(messageId);
    if (stored !== undefined) places.push({ kind: "stored", stored });
    else if (repeated !== undefined) places.push({ kind: "new", record: repeated, repeats: true });
    else {
      const record = ids.length;
      if (messageId !== "") inRequest.set(messageId, record);
      places.push({ kind: "new", record, repeats: false });
      const { key, value, headers, timestampMs } = message;
      builder.append(key, value, headers, timestampMs === 0 ? nowMs : timestampMs);
      ids.push(messageId);
      if (builder.bytes > BATCH_BYTES_MAX) throw tooLarge(BATCH_BYTES_MAX);
    }
  }
  return { builder, ids, places };
}

function storedMessage(partition: Partition, messageId: string): StoredMessage | undefined {
  return partition.appends.overlay.message(messageId) ?? partition.state.messageIds.get(messageId);
}

function newestStored(places: readonly Place[]): StoredMessage | undefined {
  let newest: StoredMessage | undefined;
  for (const place of places) {
    if (place.kind !== "stored") continue;
    if (newest === undefined || place.stored.index > newest.index) newest = place.stored;
  }
  return newest;
}

function receiptOf(
  place: Place,
  { acks }: SendClass,
  receipts: {
    readonly appended: AppendReceipt | undefined;
    readonly original: AppendReceipt | undefined;
  },
): MessageReceipt {
  const { appended, original } = receipts;
  const flush = (appended ?? original)?.flush ?? "sync";
  if (place.kind === "stored") {
    const { offset, term } = place.stored;
    return { offset, leaderEpoch: term, acks, flush, duplicate: true };
  }
  const offset = (appended?.baseOffset ?? 0) + place.record;
  const leaderEpoch = appended?.leaderEpoch ?? 0;
  return { offset, leaderEpoch, acks, flush, duplicate: place.repeats };
}

function acknowledged(submit: (observer: AppendObserver) => void): Promise<AppendReceipt> {
  return new Promise((resolve, reject) => {
    submit({ onReceipt: resolve, onFailure: reject });
  });
}

function checkCount(count: number): void {
  if (count >= 1 && count <= PUBLISH_MESSAGES_MAX) return;
  throw new BrokerError("INVALID_REQUEST", `1 to ${PUBLISH_MESSAGES_MAX} messages per request`, {
    field: "messages",
    limit: PUBLISH_MESSAGES_MAX,
  });
}

/** Key, header count and header names are checked by the batch builder. */
function checkMessage(message: PlainMessage, messageBytesMax: number): void {
  if (Buffer.byteLength(message.messageId) > MESSAGE_ID_BYTES_MAX) {
    throw new BrokerError("INVALID_REQUEST", "the message id is too long", {
      field: "messages.messageId",
      limit: MESSAGE_ID_BYTES_MAX,
    });
  }
  const { timestampMs } = message;
  if (!Number.isSafeInteger(timestampMs) || timestampMs < 0) {
    throw new BrokerError("INVALID_REQUEST", "the timestamp is out of range", {
      field: "messages.timestampMs",
    });
  }
  let bytes = (message.key?.length ?? 0) + (message.value?.length ?? 0);
  for (const { name, value } of message.headers) bytes += name.length + value.length;
  if (bytes > messageBytesMax) throw tooLarge(messageBytesMax);
}

function checkHeaderNames({ headers }: PlainMessage): void {
  const forbidden = headers.find(({ name }) => isForbiddenHeader(name));
  if (forbidden === undefined) return;
  const name = forbidden.name.slice(0, 80);
  throw new BrokerError("INVALID_REQUEST", `header name "${name}" is reserved`, {
    field: "messages.headers.name",
  });
}

function tooLarge(bytesMax: number): BrokerError {
  return new BrokerError("RECORD_TOO_LARGE", `the messages exceed ${bytesMax} bytes`, { bytesMax });
}
