// What a reader hands out: batches as they were stored, and messages that are decoded only as far as they are looked at.
import type { RecordHeader } from "../model/record-batch-builder.ts";
import { RecordWalker, readHeaders } from "../model/record-batch-decoder.ts";

/** Where a batch comes from. */
export interface BatchOrigin {
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly recordCount: number;
  readonly leaderEpoch: number;
  /** First offset that belongs to the reader, inclusive: a batch may begin before the offset asked for. */
  readonly firstOffset: number;
  /** Exclusive: a reader with an end may end inside a batch. */
  readonly endOffset: number;
  /** Of the partition when the batch was sent: exclusive end of what could be read. */
  readonly highWatermark: number;
}

/** Ownership: everything is a view of the received message, which stays in memory as long as any part of it is kept. */
export class ReceivedBatch implements BatchOrigin {
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly recordCount: number;
  readonly leaderEpoch: number;
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly highWatermark: number;
  /** One record batch v2, checksum verified. */
  readonly bytes: Buffer;

  constructor(origin: BatchOrigin, bytes: Buffer) {
    this.topic = origin.topic;
    this.partition = origin.partition;
    this.baseOffset = origin.baseOffset;
    this.recordCount = origin.recordCount;
    this.leaderEpoch = origin.leaderEpoch;
    this.firstOffset = origin.firstOffset;
    this.endOffset = origin.endOffset;
    this.highWatermark = origin.highWatermark;
    this.bytes = bytes;
  }

  /** The messages of [firstOffset, endOffset). @throws BrokerError MALFORMED_BATCH when its producer encoded nonsense */
  messages(): ReceivedMessage[] {
    const cursor = new MessageCursor(this);
    const messages: ReceivedMessage[] = [];
    for (let next = cursor.next(); next !== undefined; next = cursor.next()) messages.push(next);
    return messages;
  }
}

/** Steps through a batch's messages. */
export class MessageCursor {
  readonly #batch: ReceivedBatch;
  readonly #walker: RecordWalker;

  /** @throws BrokerError MALFORMED_BATCH */
  constructor(batch: ReceivedBatch) {
    this.#batch = batch;
    this.#walker = new RecordWalker(batch.bytes);
  }

  /** @throws BrokerError MALFORMED_BATCH */
  next(): ReceivedMessage | undefined {
    const walker = this.#walker;
    const { firstOffset, endOffset } = this.#batch;
    while (walker.next()) {
      if (walker.offset < firstOffset) continue;
      if (walker.offset >= endOffset) return undefined;
      return new ReceivedMessage(this.#batch, walker);
    }
    return undefined;
  }
}

/** Ownership: key, value and header values are views of the received batch; copy them before keeping them for long. */
export class ReceivedMessage {
  /** Offset within the partition, 0-based. */
  readonly offset: number;
  /** As the producer gave it, ms since 1970. */
  readonly timestampMs: number;
  readonly #batch: ReceivedBatch;
  readonly #keyFrom: number;
  readonly #keyTo: number;
  readonly #valueFrom: number;
  readonly #valueTo: number;
  readonly #headersFrom: number;

  constructor(batch: ReceivedBatch, walker: RecordWalker) {
    this.#batch = batch;
    this.offset = walker.offset;
    this.timestampMs = walker.timestampMs;
    this.#keyFrom = walker.keyFrom;
    this.#keyTo = walker.keyTo;
    this.#valueFrom = walker.valueFrom;
    this.#valueTo = walker.valueTo;
    this.#headersFrom = walker.headersFrom;
  }

  get topic(): string {
    return this.#batch.topic;
  }

  get partition(): number {
    return this.#batch.partition;
  }

  /** Term of the leader that appended it. */
  get leaderEpoch(): number {
    return this.#batch.leaderEpoch;
  }

  /** Undefined: no key. */
  get key(): Buffer | undefined {
    return this.#view(this.#keyFrom, this.#keyTo);
  }

  /** Undefined: a tombstone. */
  get value(): Buffer | undefined {
    return this.#view(this.#valueFrom, this.#valueTo);
  }

  get headers(): readonly RecordHeader[] {
    return readHeaders(this.#batch.bytes, this.#headersFrom);
  }

  /** The value as UTF-8; "" for a tombstone. */
  text(): string {
    if (this.#valueFrom < 0) return "";
    return this.#batch.bytes.toString("utf8", this.#valueFrom, this.#valueTo);
  }

  #view(from: number, to: number): Buffer | undefined {
    return from < 0 ? undefined : this.#batch.bytes.subarray(from, to);
  }
}
