// Some records of a batch as a batch of their own: offsets, timestamps and bytes of the records stay as they are, so that
// nothing is encoded anew. Used by the delivery room for consumers that get only a small part of a stored batch.
import { assert } from "../base/assert.ts";
import { BATCH_HEADER_BYTES, rewriteRecordCount } from "./record-batch.ts";
import { RecordWalker } from "./record-batch-decoder.ts";

/** Half-open, ascending, apart from each other. */
export type OffsetRanges = readonly (readonly [from: number, to: number])[];

/**
 * Copies the records whose offsets stand in `ranges`. The header stays that of the whole batch but for length, count and
 * checksum: the last offset may be one that was left out.
 * @throws BrokerError MALFORMED_BATCH
 */
export function selectRecords(batch: Buffer, ranges: OffsetRanges): Buffer {
  const walker = new RecordWalker(batch);
  const pieces: Buffer[] = [batch.subarray(0, BATCH_HEADER_BYTES)];
  let count = 0;
  let at = 0;
  // Neighbours are copied together.
  let from = -1;
  let to = -1;
  while (walker.next()) {
    const { offset } = walker;
    let range = ranges[at];
    while (range !== undefined && range[1] <= offset) {
      at += 1;
      range = ranges[at];
    }
    if (range === undefined) break;
    if (offset < range[0]) continue;
    count += 1;
    if (walker.recordFrom !== to) {
      if (from >= 0) pieces.push(batch.subarray(from, to));
      from = walker.recordFrom;
    }
    to = walker.recordTo;
  }
  assert(count > 0, "a selection has records");
  pieces.push(batch.subarray(from, to));
  const selected = Buffer.concat(pieces);
  rewriteRecordCount(selected, count);
  return selected;
}
