// Looks for dead letters of one subscription in a partition of its dead letter topic: a bounded part of the log per call. Listing
// and redriving share it.
import type { CompiledFilter } from "../filter/compile-filter.ts";
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import { type DecodedRecord, decodeBatch } from "../model/record-batch-decoder.ts";
import { deadFactsOf } from "./dead-letter-facts.ts";
import { type FoundLetter, viewOf } from "./dead-letter-view.ts";
import type { DeliveryPartition } from "./ports.ts";
import { RecordFeed } from "./record-feed.ts";
import type { SettledTable } from "./settled-table.ts";

/** Bytes of batches that one call looks at; the batch that goes beyond is looked at, too. */
const SCAN_BYTES_MAX = 2 * 1024 * 1024;
const READ_BYTES = 256 * 1024;
/** Bytes of values, keys and headers that one call finds; the letter that goes beyond is found, too. */
const FOUND_BYTES_MAX = 1024 * 1024;

export interface ScanWish {
  readonly subscription: string;
  readonly from: Offset;
  /** Exclusive. */
  readonly to: Offset;
  readonly limit: number;
  readonly filter: CompiledFilter;
  /** What is dealt with; undefined: nothing is. */
  readonly settled: SettledTable | undefined;
  readonly openOnly: boolean;
  readonly nowMs: number;
}

export interface Scan {
  readonly found: readonly FoundLetter[];
  /** Letters of the subscription, open ones where only those are wanted. */
  readonly lookedAt: number;
  /** Where to go on; `to` when nothing is left. */
  readonly nextOffset: Offset;
}

/** @throws BrokerError as RecordFeed.run */
export async function scanDeadLetters(partition: DeliveryPartition, wish: ScanWish): Promise<Scan> {
  const { openOnly, settled, to } = wish;
  const feed = new RecordFeed(partition);
  const search = new Search(wish);
  let next = Math.max(wish.from, partition.logStartOffset);
  for (let bytes = 0; next < to && !search.isFull && bytes < SCAN_BYTES_MAX; ) {
    // What is dealt with need not be read again.
    if (openOnly && settled !== undefined) next = settled.nextUnsettled(next);
    if (next >= to) break;
    const { appendTimesMs, batches } = await feed.run(next, READ_BYTES);
    if (batches.length === 0) {
      next = to;
      break;
    }
    for (const [at, batch] of batches.entries()) {
      bytes += batch.length;
      next = search.batch(batch, next, appendTimesMs[at] ?? 0);
      if (search.isFull) break;
    }
  }
  return { found: search.found, lookedAt: search.lookedAt, nextOffset: Math.min(next, to) };
}

class Search {
  readonly found: FoundLetter[] = [];
  lookedAt = 0;
  readonly #wish: ScanWish;
  #bytes = 0;

  constructor(wish: ScanWish) {
    this.#wish = wish;
  }

  get isFull(): boolean {
    return this.found.length >= this.#wish.limit || this.#bytes >= FOUND_BYTES_MAX;
  }

  /** @returns the offset to go on with */
  batch(batch: Buffer, from: Offset, diedMs: number): Offset {
    for (const record of recordsOf(batch)) {
      const { offset } = record;
      if (offset < from) continue;
      if (this.isFull || offset >= this.#wish.to) return offset;
      this.#record(record, diedMs);
    }
    const header = readBatchHeader(batch);
    return header === undefined ? from + 1 : header.baseOffset + header.recordCount;
  }

  #record(record: DecodedRecord, diedMs: number): void {
    const { filter, nowMs, openOnly, settled, subscription } = this.#wish;
    if (openOnly && settled?.isSettled(record.offset) === true) return;
    const facts = deadFactsOf(record.headers);
    if (facts?.subscription !== subscription) return;
    this.lookedAt += 1;
    const letter = { record, facts, diedMs };
    if (!filter.matches(viewOf(letter, nowMs))) return;
    this.found.push(letter);
    this.#bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    for (const { name, value } of record.headers) this.#bytes += name.length + value.length;
  }
}

/** A batch that can not be decoded holds no letter: brokers wrote those one by one. */
function recordsOf(batch: Buffer): readonly DecodedRecord[] {
  try {
    return decodeBatch(batch);
  } catch (error) {
    if (!isBrokerError(error)) throw error;
    return [];
  }
}
