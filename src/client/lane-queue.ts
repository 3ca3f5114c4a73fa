// The batches of one lane, in the order of their sequences, and where each of them stands:
//
//   [ sent, unanswered … | waiting: full, or sent before … ]   open: the batch being filled
//    ◄──── sentCount ───►
//
// A batch gets its sequence at its first sending and keeps it and its bytes until its outcome is known. Batches that may be
// stored (isUnknown) always form the beginning: nothing behind a batch can be stored without it. No I/O and no decisions
// about failures here; those are producer-lane.ts's.
import type { Clock } from "../base/clock.ts";
import { PRODUCER_BATCH_WINDOW } from "../model/limits.ts";
import type { BatchMemory } from "../model/memory-pool.ts";
import { BatchBuilder, type RecordHeader } from "../model/record-batch-builder.ts";
import { sequenceAfter } from "../model/sequence.ts";
import { SendBatch, type SendCallback } from "./send-batch.ts";

export interface LaneQueueOptions {
  readonly clock: Clock;
  readonly memory: BatchMemory;
  readonly deliveryTimeoutMs: number;
  /** Soft size of a batch, and what it may grow to under load; bytes. */
  readonly batchBytes: number;
  readonly batchBytesMax: number;
  /** acks=leader or none: the broker takes gaps in the sequence. */
  readonly isWeak: boolean;
}

/** Under which name brokers know the lane's batches. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** What has passed its deadline. */
export interface Expired {
  /** Certainly not stored; taken out. */
  readonly removed: readonly SendBatch[];
  /** May be stored; they stay until their outcome is known or the lane gives them up. */
  readonly kept: readonly SendBatch[];
}

/** Not full batches are sent only while fewer than this many are unanswered: under load they fill up meanwhile. */
const PARTIAL_BATCHES_IN_FLIGHT = 4;
/** So many unanswered full batches mean load: larger ones are cheaper for everybody. */
const LOADED_BATCHES_IN_FLIGHT = 8;
/** Of the delivery timeout: a waiting batch takes records for so long. Its first record decides when all are failed. */
const FILLING_SHARE = 1 / 8;
const CAPACITY_BYTES = 4096;

export class LaneQueue {
  readonly #options: LaneQueueOptions;
  #batches: SendBatch[] = [];
  #sentCount = 0;
  #open: SendBatch | undefined;
  #spare: BatchBuilder | undefined;
  #targetBytes: number;
  #identity: ProducerIdentity = { producerId: 0, producerEpoch: 0 };
  #nextSequence = 0;

  constructor(options: LaneQueueOptions) {
    this.#options = options;
    this.#targetBytes = options.batchBytes;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0 && this.#open === undefined;
  }

  get sentCount(): number {
    return this.#sentCount;
  }

  get head(): SendBatch | undefined {
    return this.#batches[0];
  }

  /** Batches whose callers were not told yet, oldest first. */
  pending(): SendBatch[] {
    const all = this.#open === undefined ? this.#batches : [...this.#batches, this.#open];
    return all.filter((batch) => !batch.isSettled);
  }

  /**
   * Adds a record. @returns encoded bytes
   * @throws BrokerError INVALID_REQUEST as the batch builder; nothing is added then
   */
  append(
    key: Uint8Array | undefined,
    value: Uint8Array | string | undefined,
    headers: readonly RecordHeader[] | undefined,
    timestampMs: number,
    isExplicit: boolean,
    done: SendCallback,
  ): number {
    let open = this.#open;
    const room = (key === undefined ? 0 : key.length) + (value === undefined ? 0 : value.length);
    if (open !== undefined) {
      const fits = open.byteLength + room <= this.#targetBytes && open.isExplicit === isExplicit;
      if (!fits) {
        this.seal();
        open = undefined;
      }
    }
    open ??= this.#begin(isExplicit);
    const { builder } = open;
    if (builder === undefined) return 0;
    const before = builder.bytes;
    builder.append(key, value, headers, timestampMs);
    const bytes = builder.bytes - before;
    open.chargedBytes += bytes;
    open.done.push(done);
    this.#open = open;
    return bytes;
  }

  /** No more records for the open batch. */
  seal(): void {
    if (this.#open !== undefined) this.#batches.push(this.#open);
    this.#open = undefined;
  }

  /** The next batch that may be sent now; it counts as sent. Undefined when there is none, or the window is full. */
  takeNext(): SendBatch | undefined {
    const sent = this.#sentCount;
    if (sent >= PRODUCER_BATCH_WINDOW) return undefined;
    const { batchBytes, batchBytesMax } = this.#options;
    let batch = this.#batches[sent];
    if (batch === undefined) {
      if (this.#open === undefined || sent >= PARTIAL_BATCHES_IN_FLIGHT) return undefined;
      batch = this.#open;
      this.#targetBytes = Math.max(batchBytes, this.#targetBytes / 2);
      this.seal();
    } else if (sent >= LOADED_BATCHES_IN_FLIGHT) {
      this.#targetBytes = Math.min(batchBytesMax, this.#targetBytes * 2);
    }
    if (batch.builder !== undefined) {
      const baseSequence = this.#nextSequence;
      this.#spare = batch.encode({ ...this.#identity, baseSequence });
      this.#nextSequence = sequenceAfter(baseSequence, batch.recordCount);
    }
    this.#sentCount += 1;
    return batch;
  }

  /** The oldest sent batch was answered. */
  shiftSent(): SendBatch {
    const batch = this.#batches.shift();
    this.#sentCount -= 1;
    if (batch === undefined) throw new RangeError("no batch is under way");
    return batch;
  }

  /** Sent batches are waiting again, in their order. @returns their bytes */
  putBack(isUnknown: boolean): number {
    let bytes = 0;
    for (const batch of this.#batches.slice(0, this.#sentCount)) {
      bytes += batch.bytes.length;
      if (isUnknown) batch.isUnknown = true;
    }
    this.#sentCount = 0;
    return bytes;
  }

  /** Takes the first batch out. Nothing may be under way. */
  dropHead(): void {
    this.#batches.shift();
  }

  /** None of them can be stored, as a broker's answer shows. */
  clearUnknown(): void {
    for (const batch of this.#batches) batch.isUnknown = false;
  }

  /** Followers of a batch that certainly is not stored take its numbers: without it none of them can be stored either. */
  closeGap(from: number, baseSequence: number): void {
    if (this.#options.isWeak || baseSequence < 0) return;
    this.#renumber(from, baseSequence);
  }

  /** Another session: sequences begin at 0. Only while nothing that may be stored is left. */
  beginSession(identity: ProducerIdentity): void {
    this.#identity = identity;
    this.#renumber(0, 0);
  }

  /** Takes out what may be stored, and what nobody waits for any more. */
  takeLost(): SendBatch[] {
    const lost = this.#batches.filter((batch) => batch.isUnknown || batch.isSettled);
    this.#batches = this.#batches.filter((batch) => !batch.isUnknown && !batch.isSettled);
    return lost;
  }

  /** Takes out what certainly is not stored and follows its keys. Nothing may be under way. */
  takeMovable(): SendBatch[] {
    this.seal();
    const moving = this.#batches.filter((batch) => !batch.isUnknown && !batch.isExplicit);
    this.#batches = this.#batches.filter((batch) => batch.isUnknown || batch.isExplicit);
    const first = moving.find((batch) => batch.baseSequence >= 0);
    if (first !== undefined) this.closeGap(0, first.baseSequence);
    return moving;
  }

  takeAll(): SendBatch[] {
    this.seal();
    const all = this.#batches;
    this.#batches = [];
    this.#sentCount = 0;
    return all;
  }

  expire(nowMs: number): Expired {
    const open = this.#open;
    const { deliveryTimeoutMs } = this.#options;
    if (open !== undefined && nowMs - open.createdMs >= deliveryTimeoutMs * FILLING_SHARE) {
      this.seal();
    }
    const removed: SendBatch[] = [];
    const kept: SendBatch[] = [];
    let i = 0;
    for (;;) {
      const batch = this.#batches[i];
      if (batch === undefined || batch.deadlineMs > nowMs) return { removed, kept };
      if (i < this.#sentCount || batch.isUnknown) {
        if (!batch.isSettled) kept.push(batch);
        i += 1;
        continue;
      }
      this.#batches.splice(i, 1);
      removed.push(batch);
      this.closeGap(i, batch.baseSequence);
    }
  }

  /** True when there are batches that may be stored, and nobody waits for any of them any more. */
  get isGivenUp(): boolean {
    let lost = 0;
    for (const [i, batch] of this.#batches.entries()) {
      if (i >= this.#sentCount && !batch.isUnknown) break;
      if (!batch.isSettled) return false;
      lost += 1;
    }
    return lost > 0;
  }

  #begin(isExplicit: boolean): SendBatch {
    const { clock, deliveryTimeoutMs, memory } = this.#options;
    const builder = this.#spare ?? new BatchBuilder(CAPACITY_BYTES, memory);
    this.#spare = undefined;
    const nowMs = clock.monotonicMs();
    return new SendBatch(builder, isExplicit, nowMs, nowMs + deliveryTimeoutMs);
  }

  /** Gives consecutive sequences to what was sent before, from place `from` on; skips what may be stored. */
  #renumber(from: number, baseSequence: number): void {
    const { producerId, producerEpoch } = this.#identity;
    let next = baseSequence;
    for (const batch of this.#batches.slice(from)) {
      if (batch.builder !== undefined) break;
      if (batch.isUnknown) next = batch.baseSequence;
      else batch.moveTo(producerId, producerEpoch, next);
      next = sequenceAfter(next, batch.recordCount);
    }
    this.#nextSequence = next;
  }
}
