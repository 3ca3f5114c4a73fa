// What a partition remembers of producers: per id its epoch and its last batches, so that a batch sent again is answered
// with its original offset and a missing one is noticed (architecture §7.7). Part of the replicated state; pure.
// The append path asks checkSequence() before it appends; record() follows unconditionally when the entry is applied.
import type { KeyedWrite } from "../log/ports.ts";
import type { ProducerId } from "../model/ids.ts";
import { PRODUCER_BATCH_WINDOW, PRODUCERS_PER_PARTITION_MAX } from "../model/limits.ts";
import { isSequenceAhead, sequenceAfter, sequenceDistance } from "../model/sequence.ts";
import {
  type BatchRecord,
  decodeProducerSlot,
  encodeProducerSlot,
  producerKey,
} from "./producer-records.ts";

export type { BatchRecord };

/** Batches of one producer epoch, ascending in sequence; never empty. */
export interface RememberedBatches {
  readonly epoch: number;
  readonly length: number;
  /** 0 is the oldest. */
  at(position: number): BatchRecord | undefined;
}

/** What a batch says of its producer. */
export interface SequencedBatch {
  readonly producerId: ProducerId;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

export type SequenceCheck =
  | { readonly kind: "accept" }
  | { readonly kind: "duplicate"; readonly batch: BatchRecord }
  | { readonly kind: "refuse"; readonly reason: "SEQUENCE_GAP"; readonly expected: number }
  | { readonly kind: "refuse"; readonly reason: "PRODUCER_FENCED"; readonly epoch: number }
  | {
      readonly kind: "refuse";
      readonly reason: "UNKNOWN_PRODUCER" | "DUPLICATE_OUT_OF_WINDOW";
    };

const ACCEPT: SequenceCheck = { kind: "accept" };
const UNKNOWN_PRODUCER: SequenceCheck = { kind: "refuse", reason: "UNKNOWN_PRODUCER" };
const OUT_OF_WINDOW: SequenceCheck = { kind: "refuse", reason: "DUPLICATE_OUT_OF_WINDOW" };

/**
 * Weak ids serve acks=leader and acks=none, where a leader change may take batches away: their sequences only have to
 * increase. The metadata group gives ids out in pairs: even for acks=all, the odd one after it is weak.
 */
export function isWeakProducer(producerId: ProducerId): boolean {
  return producerId % 2 === 1;
}

/**
 * May this batch be appended?
 *
 * @param applied what the replicated state remembers of the producer
 * @param pending what the leader appended for it and is not applied yet; newer than `applied`
 */
export function checkSequence(
  batch: SequencedBatch,
  applied: RememberedBatches | undefined,
  pending: RememberedBatches | undefined,
): SequenceCheck {
  const isWeak = isWeakProducer(batch.producerId);
  const newest = pending ?? applied;
  if (newest === undefined) {
    return isWeak || batch.baseSequence === 0 ? ACCEPT : UNKNOWN_PRODUCER;
  }
  if (batch.producerEpoch < newest.epoch) {
    return { kind: "refuse", reason: "PRODUCER_FENCED", epoch: newest.epoch };
  }
  if (batch.producerEpoch > newest.epoch) {
    return isWeak || batch.baseSequence === 0 ? ACCEPT : gap(0);
  }
  const last = newest.at(newest.length - 1);
  const expected = last === undefined ? 0 : sequenceAfter(last.baseSequence, last.recordCount);
  if (batch.baseSequence === expected) return ACCEPT;
  if (isSequenceAhead(batch.baseSequence, expected)) return isWeak ? ACCEPT : gap(expected);
  return checkRepeated(batch, applied?.epoch === newest.epoch ? applied : undefined, {
    pending,
    expected,
  });
}

/** The sequence lies behind the newest one: either it is one of the remembered batches, or it cannot be stored any more. */
function checkRepeated(
  batch: SequencedBatch,
  applied: RememberedBatches | undefined,
  rest: { readonly pending: RememberedBatches | undefined; readonly expected: number },
): SequenceCheck {
  const { pending, expected } = rest;
  let view = pending;
  let place = pending === undefined ? -1 : findNotAfter(pending, batch.baseSequence);
  let next = pending?.at(place + 1);
  if (place < 0 && applied !== undefined) {
    view = applied;
    place = findNotAfter(applied, batch.baseSequence);
    next = applied.at(place + 1) ?? next;
  }
  const before = view?.at(place);
  if (place < 0 || before === undefined) return OUT_OF_WINDOW;
  if (before.baseSequence === batch.baseSequence && before.recordCount === batch.recordCount) {
    return { kind: "duplicate", batch: before };
  }
  // Between two remembered batches there is a hole only where batches were lost: then this one is surely not stored, but
  // appending it now would put it behind later ones. When it shares records with a stored batch, part of it is stored.
  const behind = sequenceDistance(before.baseSequence, batch.baseSequence);
  const isClear =
    behind >= before.recordCount &&
    (next === undefined ||
      sequenceDistance(batch.baseSequence, next.baseSequence) >= batch.recordCount);
  return isClear ? gap(expected) : OUT_OF_WINDOW;
}

/** Place of the newest batch whose first sequence is not after `sequence`; −1 when all are after it. */
function findNotAfter(batches: RememberedBatches, sequence: number): number {
  let low = 0;
  let high = batches.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const batch = batches.at(middle);
    if (batch !== undefined && isSequenceAhead(batch.baseSequence, sequence)) high = middle;
    else low = middle + 1;
  }
  return low - 1;
}

function gap(expected: number): SequenceCheck {
  return { kind: "refuse", reason: "SEQUENCE_GAP", expected };
}

/** One producer: a ring of its last batches. Slot numbers are part of the stored keys. */
export class ProducerRow implements RememberedBatches {
  readonly producerId: ProducerId;
  epoch: number;
  length = 0;
  lastActivityMs = 0;
  readonly #slots: (BatchRecord | undefined)[] = [];
  /** Append times of the slots' batches. */
  readonly #times: number[] = [];
  #newest = PRODUCER_BATCH_WINDOW - 1;

  constructor(producerId: ProducerId, epoch: number) {
    this.producerId = producerId;
    this.epoch = epoch;
  }

  get newest(): BatchRecord | undefined {
    return this.#slots[this.#newest];
  }

  at(position: number): BatchRecord | undefined {
    if (position < 0 || position >= this.length) return undefined;
    const slot = this.#newest + 1 - this.length + position;
    return this.#slots[(slot + PRODUCER_BATCH_WINDOW) % PRODUCER_BATCH_WINDOW];
  }

  /** @returns the slot that the batch was put into */
  push(batch: BatchRecord, appendTimeMs: number): number {
    const slot = (this.#newest + 1) % PRODUCER_BATCH_WINDOW;
    this.#slots[slot] = batch;
    this.#times[slot] = appendTimeMs;
    this.#newest = slot;
    this.length = Math.min(this.length + 1, PRODUCER_BATCH_WINDOW);
    this.lastActivityMs = appendTimeMs;
    return slot;
  }

  /** Reading back; slots may come in any order. */
  place(slot: number, batch: BatchRecord, appendTimeMs: number): void {
    const newest = this.newest;
    this.#slots[slot] = batch;
    this.#times[slot] = appendTimeMs;
    this.length += 1;
    if (newest !== undefined && newest.index > batch.index) return;
    this.#newest = slot;
    this.lastActivityMs = appendTimeMs;
  }

  clear(epoch: number): void {
    this.epoch = epoch;
    this.length = 0;
    this.#slots.length = 0;
    this.#times.length = 0;
    this.#newest = PRODUCER_BATCH_WINDOW - 1;
  }

  /** Slots in use with what stands in them. */
  *slots(): Generator<readonly [number, BatchRecord, number]> {
    for (const [slot, batch] of this.#slots.entries()) {
      if (batch !== undefined) yield [slot, batch, this.#times[slot] ?? 0];
    }
  }
}

/** All producers of a partition, the one idle for longest first. At most PRODUCERS_PER_PARTITION_MAX. */
export class ProducerTable {
  #rows = new Map<ProducerId, ProducerRow>();
  readonly #producersMax: number;

  constructor(producersMax: number = PRODUCERS_PER_PARTITION_MAX) {
    this.#producersMax = producersMax;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(producerId: ProducerId): ProducerRow | undefined {
    return this.#rows.get(producerId);
  }

  /**
   * An entry with a batch was applied. A new producer in a full table takes the place of the one idle for longest; every
   * replica makes the same choice, because the order is that of the log.
   */
  record(
    producer: { readonly producerId: ProducerId; readonly producerEpoch: number },
    batch: BatchRecord,
    appendTimeMs: number,
    writes: KeyedWrite[],
  ): void {
    const { producerId, producerEpoch } = producer;
    let row = this.#rows.get(producerId);
    // The leader refuses these; should one stand in the log nevertheless, a newer session is not undone by it.
    if (row !== undefined && producerEpoch < row.epoch) return;
    if (row === undefined) {
      this.#makeRoom(writes);
      row = new ProducerRow(producerId, producerEpoch);
    } else {
      if (producerEpoch > row.epoch) {
        deleteSlots(row, writes);
        row.clear(producerEpoch);
      }
      // Deleted and set again: the map's order is the order of last activity.
      this.#rows.delete(producerId);
    }
    this.#rows.set(producerId, row);
    const slot = row.push(batch, appendTimeMs);
    const value = encodeProducerSlot({ epoch: producerEpoch, batch, appendTimeMs });
    writes.push({ type: "put", key: producerKey(producerId, slot), value });
  }

  /** Producers without a batch since `idleBeforeMs` (inclusive), longest idle first, at most `idsMax`. */
  idleSince(idleBeforeMs: number, idsMax: number): ProducerId[] {
    const ids: ProducerId[] = [];
    for (const row of this.#rows.values()) {
      if (row.lastActivityMs > idleBeforeMs || ids.length >= idsMax) break;
      ids.push(row.producerId);
    }
    return ids;
  }

  /** Forgets those of `ids` that are still idle: a batch may have been appended since the command was proposed. */
  expire(ids: readonly ProducerId[], idleBeforeMs: number, writes: KeyedWrite[]): number {
    let expired = 0;
    for (const producerId of ids) {
      const row = this.#rows.get(producerId);
      if (row === undefined || row.lastActivityMs > idleBeforeMs) continue;
      this.#forget(row, writes);
      expired += 1;
    }
    return expired;
  }

  restore(slots: Iterable<readonly [string, Uint8Array]>): void {
    const rows = new Map<ProducerId, ProducerRow>();
    for (const [key, value] of slots) {
      const { producerId, slot, epoch, batch, appendTimeMs } = decodeProducerSlot(key, value);
      let row = rows.get(producerId);
      if (row === undefined) {
        row = new ProducerRow(producerId, epoch);
        rows.set(producerId, row);
      }
      row.place(slot, batch, appendTimeMs);
    }
    const ordered = [...rows.values()].sort(
      (left, right) => (left.newest?.index ?? 0) - (right.newest?.index ?? 0),
    );
    this.#rows = new Map(ordered.map((row) => [row.producerId, row]));
  }

  *pairs(): Generator<readonly [string, Uint8Array]> {
    for (const row of this.#rows.values()) {
      for (const [slot, batch, appendTimeMs] of row.slots()) {
        const value = encodeProducerSlot({ epoch: row.epoch, batch, appendTimeMs });
        yield [producerKey(row.producerId, slot), value];
      }
    }
  }

  #makeRoom(writes: KeyedWrite[]): void {
    while (this.#rows.size >= this.#producersMax) {
      const longestIdle = this.#rows.values().next().value;
      if (longestIdle === undefined) return;
      this.#forget(longestIdle, writes);
    }
  }

  #forget(row: ProducerRow, writes: KeyedWrite[]): void {
    deleteSlots(row, writes);
    this.#rows.delete(row.producerId);
  }
}

function deleteSlots(row: ProducerRow, writes: KeyedWrite[]): void {
  for (const [slot] of row.slots()) {
    writes.push({ type: "delete", key: producerKey(row.producerId, slot) });
  }
}
