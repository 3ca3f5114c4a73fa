// Prepares a batch that was read for a dispatcher: which records the filter does not want, and keys where order follows them.
// Nothing is decoded when neither matters. Called by delivery runners; explain() uses the same test for a single record.
import type { CompiledFilter } from "../filter/compile-filter.ts";
import { FILTER_LIMITS } from "../filter/filter-definition.ts";
import type { MessageView } from "../filter/message-view.ts";
import { mayCarry } from "../model/batch-hints.ts";
import { isBrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { readBatchHeader } from "../model/record-batch.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";
import { RecordWalker } from "../model/record-batch-decoder.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { LoadedBatch } from "./dispatch-types.ts";

/** What the records of a batch have in common. */
export interface BatchPlace {
  readonly topic: string;
  readonly partition: number;
  /** When its entry was appended, ms since 1970. */
  readonly appendTimeMs: number;
}

export interface LoadOptions {
  readonly filter: CompiledFilter;
  /** Modes other than shared. */
  readonly needsKeys: boolean;
  /** Of the batch. */
  readonly hints?: Buffer | undefined;
}

const NONE: readonly OffsetRange[] = [];
/** UTF-8 of so many bytes is longer than filters look at. */
const TEXT_BYTES_MAX = 3 * (FILTER_LIMITS.textCharacters + 1);

/**
 * Records that can not be decoded are nobody's to leave out: they go out without keys, and whoever gets them rejects them.
 * Brokers do not look into batches when they store them.
 */
export function loadBatch(
  batch: Buffer,
  place: BatchPlace,
  { filter, hints, needsKeys }: LoadOptions,
): LoadedBatch<Buffer> {
  const header = readBatchHeader(batch);
  const baseOffset = header?.baseOffset ?? 0;
  const recordCount = header?.recordCount ?? 0;
  const loaded = {
    handle: batch,
    baseOffset,
    endOffset: baseOffset + recordCount,
    bytes: batch.length,
  };
  if (filter.isEverything && !needsKeys) return { ...loaded, unwanted: NONE, keys: undefined };
  const { tagHashes } = filter;
  if (tagHashes !== undefined && !mayCarry(hints, tagHashes)) {
    const keys = needsKeys ? withoutKeys(recordCount) : undefined;
    return { ...loaded, unwanted: [[baseOffset, loaded.endOffset]], keys };
  }
  const unwanted: [Offset, Offset][] = [];
  const keys: (Buffer | undefined)[] = [];
  try {
    const walker = new RecordWalker(batch);
    const view = new WalkerView(walker, place);
    while (walker.next()) {
      keys.push(needsKeys ? walker.key() : undefined);
      if (!filter.isEverything && !filter.matches(view.next())) exclude(unwanted, walker.offset);
    }
  } catch (error) {
    if (!isBrokerError(error)) throw error;
    return { ...loaded, unwanted: NONE, keys: needsKeys ? withoutKeys(recordCount) : undefined };
  }
  return { ...loaded, unwanted, keys: needsKeys ? keys : undefined };
}

/** Whether the filter wants this record of the batch; undefined: it can not be decoded, or is not in it. */
export function isWanted(
  batch: Buffer,
  place: BatchPlace,
  offset: Offset,
  filter: CompiledFilter,
): boolean | undefined {
  if (filter.isEverything) return true;
  const loaded = loadBatch(batch, place, { filter, needsKeys: false });
  if (offset < loaded.baseOffset || offset >= loaded.endOffset) return undefined;
  return !loaded.unwanted.some(([from, to]) => offset >= from && offset < to);
}

function withoutKeys(count: number): undefined[] {
  return Array.from({ length: count }, () => undefined);
}

function exclude(ranges: [Offset, Offset][], offset: Offset): void {
  const last = ranges.at(-1);
  if (last !== undefined && last[1] === offset) last[1] = offset + 1;
  else ranges.push([offset, offset + 1]);
}

/** The record that the walker stands at; its headers are decoded when the filter first asks for one. */
class WalkerView implements MessageView {
  readonly topic: string;
  readonly partition: number;
  readonly timestampMs: number;
  readonly #walker: RecordWalker;
  #headers: readonly RecordHeader[] | undefined;

  constructor(walker: RecordWalker, { appendTimeMs, partition, topic }: BatchPlace) {
    this.#walker = walker;
    this.topic = topic;
    this.partition = partition;
    this.timestampMs = appendTimeMs;
  }

  /** The same object for the next record. */
  next(): MessageView {
    this.#headers = undefined;
    return this;
  }

  get offset(): number {
    return this.#walker.offset;
  }

  get size(): number {
    return this.#walker.value()?.length ?? 0;
  }

  get key(): string | undefined {
    const key = this.#walker.key();
    return key === undefined ? undefined : textOf(key);
  }

  header(name: string): string | undefined {
    this.#headers ??= this.#walker.headers();
    const found = this.#headers.find((header) => header.name === name);
    return found === undefined ? undefined : textOf(found.value);
  }
}

/** A header or key, as far as filters look at it. */
function textOf({ buffer, byteLength, byteOffset }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, Math.min(byteLength, TEXT_BYTES_MAX)).toString("utf8");
}
