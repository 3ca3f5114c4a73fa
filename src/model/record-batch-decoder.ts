// Decodes the records of a record batch v2. Everything read is a view of the batch. Malformed bytes give a typed error,
// never a crash: what a consumer reads was encoded by somebody else. Checksums are the caller's business (checkBatch).
import { BrokerError } from "./errors.ts";
import { HEADERS_PER_RECORD_MAX } from "./limits.ts";
import { BATCH_HEADER_BYTES, type BatchHeader, readBatchHeader } from "./record-batch.ts";
import type { RecordHeader } from "./record-batch-builder.ts";

/** One record with its place. Ownership: key, value and headers are views of the batch. */
export interface DecodedRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | undefined;
  readonly value: Buffer | undefined;
  readonly headers: readonly RecordHeader[];
}

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);
const MAGIC_POSITION = 16;
const MAGIC = 2;

/**
 * All records of the batch at `position`, in offset order.
 * @throws BrokerError MALFORMED_BATCH naming the field
 */
export function decodeBatch(bytes: Buffer, position = 0): DecodedRecord[] {
  const walker = new RecordWalker(bytes, position);
  const records: DecodedRecord[] = [];
  while (walker.next()) {
    records.push({
      offset: walker.offset,
      timestampMs: walker.timestampMs,
      key: walker.key(),
      value: walker.value(),
      headers: walker.headers(),
    });
  }
  return records;
}

/** Positions of the batches in concatenated ones, with their headers. @throws BrokerError MALFORMED_BATCH */
export function* batchesIn(
  bytes: Buffer,
): Generator<{ readonly position: number; readonly header: BatchHeader }> {
  let position = 0;
  while (position < bytes.length) {
    const header = checkedHeader(bytes, position);
    yield { position, header };
    position += header.bytes;
  }
}

/** Header fields and a length that fits. @throws BrokerError MALFORMED_BATCH */
function checkedHeader(bytes: Buffer, position: number): BatchHeader {
  const header = readBatchHeader(bytes, position);
  if (header === undefined || header.bytes < BATCH_HEADER_BYTES) throw malformed("batchLength");
  if (position + header.bytes > bytes.length) throw malformed("batchLength");
  if (bytes[position + MAGIC_POSITION] !== MAGIC) throw malformed("magic");
  if (header.attributes !== 0) throw malformed("attributes");
  const { baseOffset, recordCount, lastOffsetDelta, baseTimestampMs } = header;
  if (recordCount < 0) throw malformed("recordCount");
  if (lastOffsetDelta < recordCount - 1) throw malformed("lastOffsetDelta");
  if (!Number.isSafeInteger(baseOffset + lastOffsetDelta)) throw malformed("baseOffset");
  if (!Number.isSafeInteger(baseTimestampMs)) throw malformed("baseTimestamp");
  return header;
}

/**
 * Steps through the records of one batch without making an object per record. After a next() that returned true the
 * fields describe that record; positions count in the bytes given. next() checks a record's structure completely, its
 * headers included, so that nothing that it says can lead outside the batch.
 */
export class RecordWalker {
  readonly header: BatchHeader;
  offset = -1;
  timestampMs = 0;
  /** The whole record, its length included. */
  recordFrom = 0;
  recordTo = 0;
  /** −1: no key. */
  keyFrom = -1;
  keyTo = -1;
  /** −1: no value, a tombstone. */
  valueFrom = -1;
  valueTo = -1;
  /** Where the headers begin, their count included. */
  headersFrom = 0;
  readonly #bytes: Buffer;
  readonly #end: number;
  #position: number;
  #index = 0;
  #lastOffset: number;

  /** @throws BrokerError MALFORMED_BATCH when the header or the length is wrong, or the batch is compressed */
  constructor(bytes: Buffer, position = 0) {
    this.header = checkedHeader(bytes, position);
    this.#bytes = bytes;
    this.#position = position + BATCH_HEADER_BYTES;
    this.#end = position + this.header.bytes;
    this.#lastOffset = this.header.baseOffset - 1;
  }

  /** @throws BrokerError MALFORMED_BATCH naming the field */
  next(): boolean {
    const { header } = this;
    if (this.#index >= header.recordCount) {
      if (this.#position !== this.#end) throw malformed("records");
      return false;
    }
    this.recordFrom = this.#position;
    const length = this.#varint("record.length");
    const recordEnd = this.#position + length;
    if (length < 1 || recordEnd > this.#end) throw malformed("record.length");
    this.#position += 1;
    this.timestampMs = header.baseTimestampMs + this.#varint("record.timestampDelta");
    if (!Number.isSafeInteger(this.timestampMs)) throw malformed("record.timestampDelta");
    const offset = header.baseOffset + this.#varint("record.offsetDelta");
    // Growing and never beyond the last one: where no records were left out, that allows no gap.
    const last = header.baseOffset + header.lastOffsetDelta;
    if (offset <= this.#lastOffset || offset > last) throw malformed("record.offsetDelta");
    this.#lastOffset = offset;
    this.offset = offset;
    this.#index += 1;
    this.keyFrom = this.#content("record.key");
    this.keyTo = this.#position;
    this.valueFrom = this.#content("record.value");
    this.valueTo = this.#position;
    this.headersFrom = this.#position;
    this.#skipHeaders();
    if (this.#position !== recordEnd) throw malformed("record.length");
    this.recordTo = recordEnd;
    return true;
  }

  key(): Buffer | undefined {
    return this.keyFrom < 0 ? undefined : this.#bytes.subarray(this.keyFrom, this.keyTo);
  }

  value(): Buffer | undefined {
    return this.valueFrom < 0 ? undefined : this.#bytes.subarray(this.valueFrom, this.valueTo);
  }

  headers(): readonly RecordHeader[] {
    return readHeaders(this.#bytes, this.headersFrom);
  }

  #skipHeaders(): void {
    const count = this.#varint("record.headers");
    if (count === 0) return;
    if (count < 0 || count > HEADERS_PER_RECORD_MAX) throw malformed("record.headers");
    for (let i = 0; i < count; i += 1) {
      if (this.#content("record.headers.name") < 0) throw malformed("record.headers.name");
      this.#content("record.headers.value");
    }
  }

  /** Where a length-prefixed content begins; −1 when there is none. The position moves behind it. */
  #content(field: string): number {
    const length = this.#varint(field);
    if (length === -1) return -1;
    const from = this.#position;
    if (length < 0 || from + length > this.#end) throw malformed(field);
    this.#position = from + length;
    return from;
  }

  /** Zigzag varint or varlong within the batch, as a safe integer. */
  #varint(field: string): number {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#position;
    if (at >= end) throw malformed(field);
    const first = bytes[at] as number;
    at += 1;
    if (first < 0x80) {
      this.#position = at;
      return (first >>> 1) ^ -(first & 1);
    }
    let result = first & 0x7f;
    let scale = 0x80;
    for (let count = 1; count < 8; count += 1) {
      if (at >= end) throw malformed(field);
      const byte = bytes[at] as number;
      at += 1;
      result += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(result)) throw malformed(field);
        this.#position = at;
        return result % 2 === 0 ? result / 2 : -(result + 1) / 2;
      }
      scale *= 0x80;
    }
    throw malformed(field);
  }
}

/**
 * The headers of a record that a {@link RecordWalker} has checked.
 * @param position the walker's `headersFrom`
 */
export function readHeaders(bytes: Buffer, position: number): readonly RecordHeader[] {
  if (bytes[position] === 0) return NO_HEADERS;
  let at = position;
  const varint = (): number => {
    let result = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at] as number;
      at += 1;
      result += (byte & 0x7f) * scale;
      if (byte < 0x80) return result % 2 === 0 ? result / 2 : -(result + 1) / 2;
      scale *= 0x80;
    }
  };
  const count = varint();
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i += 1) {
    const nameLength = varint();
    const name = bytes.toString("utf8", at, at + nameLength);
    at += nameLength;
    // A header without value is possible in the format; here it is one with an empty value.
    const length = Math.max(0, varint());
    headers.push({ name, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return headers;
}

function malformed(field: string): BrokerError {
  return new BrokerError("MALFORMED_BATCH", `the record batch is malformed at ${field}`, { field });
}
