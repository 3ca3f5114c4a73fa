// Makes a dead message fit into its topic: producers of batches may store what no single message may be. Pure; called by
// dead-letter.ts. What is left out is named, and stays where the message died for as long as that topic keeps it.
import {
  BATCH_BYTES_MAX,
  HEADER_NAME_BYTES_MAX,
  HEADERS_PER_RECORD_MAX,
  KEY_BYTES_MAX,
} from "../model/limits.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";

/** What a batch takes around the content of its only record, with lengths and a message id; generous. */
const AROUND_BYTES = 16 * 1024;

export interface DeadContent {
  readonly key: Buffer | undefined;
  readonly value: Buffer | undefined;
  readonly headers: readonly RecordHeader[];
}

export interface FittedContent extends DeadContent {
  /** What is not whole: "key", "headers", "value". */
  readonly cut: readonly string[];
}

/**
 * @param reservedHeaders headers that are to be added
 * @param reservedBytes of their names and values together
 */
export function fitted(
  { headers, key, value }: DeadContent,
  reservedHeaders: number,
  reservedBytes: number,
): FittedContent {
  const shortKey = key === undefined ? undefined : key.subarray(0, KEY_BYTES_MAX);
  const room = Math.max(
    0,
    BATCH_BYTES_MAX - AROUND_BYTES - reservedBytes - (shortKey?.length ?? 0),
  );
  // Both matter: neither takes more than half from the other.
  const headersRoom = room - Math.min(value?.length ?? 0, Math.floor(room / 2));
  const kept: RecordHeader[] = [];
  let bytes = 0;
  for (const header of headers) {
    const nameBytes = Buffer.byteLength(header.name);
    const size = nameBytes + header.value.length;
    const isNamed = nameBytes >= 1 && nameBytes <= HEADER_NAME_BYTES_MAX;
    if (!isNamed || bytes + size > headersRoom) continue;
    if (kept.length >= HEADERS_PER_RECORD_MAX - reservedHeaders) break;
    kept.push(header);
    bytes += size;
  }
  const shortValue = value === undefined ? undefined : value.subarray(0, room - bytes);
  const cut: string[] = [];
  if (shortKey?.length !== key?.length) cut.push("key");
  if (kept.length < headers.length) cut.push("headers");
  if (shortValue?.length !== value?.length) cut.push("value");
  return { key: shortKey, value: shortValue, headers: kept, cut };
}
