// The records of one batch on its way, and who waits for them. A lane fills it, gives it a place in its producer's sequence
// at the first sending, and settles it once. Per record it keeps one function and nothing else.
import type { Acks, Flush } from "../model/durability.ts";
import type { BatchMemory } from "../model/memory-pool.ts";
import { rewriteProducer } from "../model/record-batch.ts";
import type { BatchBuilder, BatchProducer } from "../model/record-batch-builder.ts";
import type { FlotillaError } from "./flotilla-error.ts";

/** What an acknowledged send gets. */
export interface Receipt {
  readonly topic: string;
  readonly partition: number;
  /** Of the record; −1 with acks=none. */
  readonly offset: number;
  /** Term of the leader that appended it; 0 with acks=none. */
  readonly leaderEpoch: number;
  /** What the acknowledgement waited for. */
  readonly acks: Acks;
  /** Whether that included the disk. */
  readonly flush: Flush;
  /** It was stored by an earlier attempt of the SDK. */
  readonly duplicate: boolean;
}

/** Exactly one of the two is given. It must not throw; if it does, the error is uncaught. */
export type SendCallback = (error: FlotillaError | undefined, receipt?: Receipt) => void;

const EMPTY = Buffer.alloc(0);
/** A builder begins its next batch with at most this: idle lanes keep theirs. */
const SPARE_BYTES_MAX = 16 * 1024;

export class SendBatch {
  /** Until the first sending. */
  builder: BatchBuilder | undefined;
  /** From the first sending on: exactly what is sent, also when it is sent again. */
  bytes: Buffer = EMPTY;
  /** Of `bytes`: which tags are in it. */
  hints: Buffer = EMPTY;
  /** What `bytes` is a view of. */
  #memory: Buffer = EMPTY;
  recordCount = 0;
  /** In record order. */
  readonly done: SendCallback[] = [];
  /** The callers named the partition: it does not follow a change of the layout. */
  readonly isExplicit: boolean;
  readonly createdMs: number;
  readonly deadlineMs: number;
  /** Of the first record; −1 before the first sending. */
  baseSequence = -1;
  /** Sent at least once without a definite answer: it may be stored. */
  isUnknown = false;
  /** The callers were told. It may stay in its lane until its outcome is known, to keep the sequence whole. */
  isSettled = false;
  /** What the producer's buffer was charged with, bytes. */
  chargedBytes = 0;
  /** Told after settling. */
  readonly onSettled: (() => void)[] = [];

  constructor(builder: BatchBuilder, isExplicit: boolean, createdMs: number, deadlineMs: number) {
    this.builder = builder;
    this.isExplicit = isExplicit;
    this.createdMs = createdMs;
    this.deadlineMs = deadlineMs;
  }

  /** Encoded size so far. */
  get byteLength(): number {
    return this.builder === undefined ? this.bytes.length : this.builder.bytes;
  }

  /** First sending: the records become bytes. @returns the builder, empty again */
  encode(producer: BatchProducer): BatchBuilder | undefined {
    const { builder } = this;
    if (builder === undefined) return undefined;
    this.recordCount = builder.recordCount;
    this.baseSequence = producer.baseSequence;
    const capacity = Math.min(builder.bytes, SPARE_BYTES_MAX);
    const { batch, hints, memory } = builder.finishIn(producer, capacity);
    this.bytes = batch;
    this.hints = hints;
    this.#memory = memory;
    this.builder = undefined;
    return builder;
  }

  /** It left its lane for good, and a transport copied what it was given: its memory may be used again. */
  release(memory: BatchMemory): void {
    if (this.#memory.length > 0) memory.give(this.#memory);
    this.#memory = EMPTY;
    this.bytes = EMPTY;
  }

  /** Another place in the sequence, or in another session's. Only while it is certainly not stored. */
  moveTo(producerId: number, producerEpoch: number, baseSequence: number): void {
    if (this.builder !== undefined) return;
    this.baseSequence = baseSequence;
    rewriteProducer(this.bytes, producerId, producerEpoch, baseSequence);
  }

  /** Tells all callers, once. `offset` is the first record's. */
  acknowledge(first: Receipt): void {
    if (this.isSettled) return;
    this.isSettled = true;
    const { topic, partition, leaderEpoch, acks, flush, duplicate } = first;
    const isNumbered = first.offset >= 0;
    for (let i = 0; i < this.done.length; i += 1) {
      const offset = isNumbered ? first.offset + i : -1;
      const receipt = { topic, partition, offset, leaderEpoch, acks, flush, duplicate };
      tell(this.done[i], undefined, receipt);
    }
    this.#settled();
  }

  fail(error: FlotillaError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    for (const done of this.done) tell(done, error);
    this.#settled();
  }

  /** Its records are in other batches now. */
  moved(): void {
    this.isSettled = true;
    this.#settled();
  }

  #settled(): void {
    this.done.length = 0;
    for (const onSettled of this.onSettled) onSettled();
    this.onSettled.length = 0;
  }
}

/** A callback that throws must not harm the others; its error surfaces as an uncaught one. */
export function tell(
  done: SendCallback | undefined,
  error: FlotillaError | undefined,
  receipt?: Receipt,
): void {
  try {
    done?.(error, receipt);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
