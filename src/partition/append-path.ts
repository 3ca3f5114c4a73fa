// The way of a batch into the log, on the leader: every check comes first and nothing is written when one fails; then the
// entry is proposed and the acknowledgement parked until the watermark that was asked for reaches it. Validation and
// append happen in one synchronous step, so no other append comes between (architecture §7.2).

import { areHints, HINTS_BYTES_MAX } from "../model/batch-hints.ts";
import {
  type AckLevel,
  type Acks,
  ackLevel,
  acksRank,
  effectiveFlush,
  type Flush,
} from "../model/durability.ts";
import { type FrameSection, SECTION } from "../model/entry-frame.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { BATCH_BYTES_MAX } from "../model/limits.ts";
import type { LogIndex, Offset, Term } from "../model/positions.ts";
import {
  type BatchHeader,
  checkBatch,
  patchBatch,
  readBatchHeader,
} from "../model/record-batch.ts";
import type { ReplicaHandle } from "../replica/ports.ts";
import { encodeMessageIds, type StoredMessage } from "./message-id-table.ts";
import { AppendOverlay } from "./overlay.ts";
import { noPartitionMetrics, type PartitionMetrics } from "./partition-metrics.ts";
import type { PartitionState } from "./partition-state.ts";
import type {
  AppendObserver,
  AppendReceipt,
  AppendRequest,
  PartitionEnvironment,
  PartitionSettings,
} from "./ports.ts";
import { type BatchRecord, checkSequence, type SequenceCheck } from "./producer-table.ts";
import { AckWaiters, markOf } from "./waiters.ts";

/** Acknowledgements parked per partition. Beyond: appends, and repetitions that would wait, are refused with OVERLOADED. */
export const PARKED_ACKS_MAX = 131_072;

/** What the append path needs of its partition. */
export interface AppendContext {
  readonly replica: ReplicaHandle;
  readonly state: PartitionState;
  readonly settings: PartitionSettings;
  readonly environment: PartitionEnvironment;
  /** @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | SHUTTING_DOWN unless this replica serves as leader */
  requireLeader(): void;
}

/** An entry that an acknowledgement is about. */
interface AppendedEntry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly baseOffset: Offset;
  readonly recordCount: number;
}

/** What a send asks for. */
export interface SendClass {
  readonly acks: Acks;
  readonly flush: Flush | undefined;
}

export class AppendPath {
  readonly overlay = new AppendOverlay();
  readonly #context: AppendContext;
  readonly #metrics: PartitionMetrics;
  readonly #waiters = new AckWaiters((ack) => this.#acknowledged(ack.receipt, ack.sinceMs));
  /** The batch being proposed: one function instead of a closure per batch. */
  #patching: Buffer | undefined;
  readonly #patch = (baseOffset: Offset, leaderEpoch: Term): void => {
    if (this.#patching !== undefined) patchBatch(this.#patching, baseOffset, leaderEpoch);
  };

  constructor(context: AppendContext) {
    this.#context = context;
    this.#metrics = context.environment.metrics ?? noPartitionMetrics;
  }

  get parkedAcks(): number {
    return this.#waiters.length;
  }

  /**
   * Appends a producer's batch, or finds that it is stored already. The observer is told later, or before this returns.
   * @throws BrokerError when refused (nothing is written then): NOT_LEADER, LEADER_UNKNOWN, STALE_LAYOUT,
   *   INVALID_REQUEST (hints), RECORD_TOO_LARGE, CORRUPT_BATCH, MALFORMED_BATCH, ACKS_TOO_WEAK, SEQUENCE_GAP, PRODUCER_FENCED, UNKNOWN_PRODUCER,
   *   DUPLICATE_OUT_OF_WINDOW, OVERLOADED, DISK_FULL, STORAGE_FAILED, SHUTTING_DOWN, QUOTA_EXCEEDED
   */
  submit(request: AppendRequest, observer: AppendObserver): void {
    try {
      this.#submit(request, observer);
    } catch (error) {
      if (isBrokerError(error)) this.#metrics.produceRefused(error);
      throw error;
    }
  }

  /**
   * Appends plain messages as one batch together with their ids. The batch was built here, so it is not checked again.
   * @param ids in record order, "" where a message has none
   * @param hints of the batch
   * @throws as submit
   */
  submitMessages(
    { batch, hints }: { readonly batch: Buffer; readonly hints: Buffer },
    ids: readonly string[],
    send: SendClass,
    observer: AppendObserver,
  ): void {
    try {
      this.#submitMessages(sectionsOf(batch, hints), ids, send, observer);
    } catch (error) {
      if (isBrokerError(error)) this.#metrics.produceRefused(error, true);
      throw error;
    }
  }

  #submitMessages(
    { batch, sections }: BatchSections,
    ids: readonly string[],
    send: SendClass,
    observer: AppendObserver,
  ): void {
    this.#admit(send.acks, this.#context.settings.layoutEpoch);
    this.#checkLoad(batch.length);
    const hasIds = ids.some((id) => id !== "");
    if (hasIds) {
      const bytes = encodeMessageIds(ids);
      sections.unshift({ type: SECTION.MESSAGE_IDS, ignorable: false, bytes });
    }
    const entry = this.#propose(batch, ids.length, sections);
    if (hasIds) {
      const { baseOffset: offset, term, index } = entry;
      this.overlay.addMessages(ids, { offset, term, index });
    }
    this.#acknowledge(entry, false, send, observer);
  }

  /**
   * Before a request appends anything: may it wait for the acknowledgement of what it repeats?
   * @throws BrokerError OVERLOADED
   */
  admitStored({ index }: StoredMessage, send: SendClass): void {
    try {
      this.#checkWait(index, send);
    } catch (error) {
      if (isBrokerError(error)) this.#metrics.produceRefused(error, true);
      throw error;
    }
  }

  /** Answers for a plain message that is stored already and admitted, at the acks and flush that the repetition asks for. */
  acknowledgeStored(stored: StoredMessage, send: SendClass, observer: AppendObserver): void {
    const { offset: baseOffset, term, index } = stored;
    this.#metrics.count("duplicates_answered");
    this.#acknowledge({ index, term, baseOffset, recordCount: 1 }, true, send, observer);
  }

  /** @throws BrokerError as submit, for what does not depend on a batch */
  admit(send: SendClass): void {
    try {
      this.#admit(send.acks, this.#context.settings.layoutEpoch);
    } catch (error) {
      if (isBrokerError(error)) this.#metrics.produceRefused(error, true);
      throw error;
    }
  }

  /** The replica's watermarks moved. */
  advance(isSameLeadership: boolean): void {
    const { replica } = this.#context;
    const marks = replica.watermarks;
    this.overlay.applied(marks.appliedIndex);
    this.#waiters.advance(marks, isSameLeadership ? undefined : (index) => replica.termAt(index));
  }

  leadershipLost(): void {
    const { replica } = this.#context;
    this.overlay.clear();
    const lost = this.#waiters.leadershipLost(replica.watermarks, (index) => replica.termAt(index));
    if (lost > 0) this.#metrics.count("acks_lost", lost);
  }

  #submit(request: AppendRequest, observer: AppendObserver): void {
    const { batch, hints, layoutEpoch } = request;
    this.#context.requireLeader();
    this.#checkLayout(layoutEpoch);
    checkHints(hints);
    const header = this.#checkedHeader(batch);
    this.#checkAcks(request.acks);
    const stored = header.producerId === 0 ? undefined : this.#storedBatch(header);
    if (stored !== undefined) {
      this.#checkWait(stored.index, request);
      this.#metrics.count("duplicates_answered");
      this.#acknowledge(stored, true, request, observer);
      return;
    }
    this.#checkLoad(batch.length);
    const { sections } = sectionsOf(batch, hints);
    const entry = this.#propose(batch, header.recordCount, sections);
    if (header.producerId !== 0) {
      const { recordCount, baseOffset, term, index } = entry;
      const { baseSequence } = header;
      this.overlay.addBatch(header, { baseSequence, recordCount, baseOffset, term, index });
    }
    this.#acknowledge(entry, false, request, observer);
  }

  #admit(acks: Acks, layoutEpoch: number): void {
    this.#context.requireLeader();
    this.#checkLayout(layoutEpoch);
    this.#checkAcks(acks);
  }

  #checkLayout(layoutEpoch: number): void {
    const current = this.#context.settings.layoutEpoch;
    if (layoutEpoch === current) return;
    throw new BrokerError("STALE_LAYOUT", "the topic's slot layout is another one", {
      layoutEpoch: current,
    });
  }

  #checkAcks(acks: Acks): void {
    const { minAcks } = this.#context.settings;
    if (acksRank(acks) >= acksRank(minAcks)) return;
    throw new BrokerError("ACKS_TOO_WEAK", `the topic asks for acks=${minAcks} at least`, {
      minAcks,
    });
  }

  #checkedHeader(batch: Buffer): BatchHeader {
    if (batch.length > BATCH_BYTES_MAX) throw tooLarge(batch.length, BATCH_BYTES_MAX);
    const problem = checkBatch(batch);
    const header = problem === undefined ? readBatchHeader(batch) : undefined;
    if (header === undefined) {
      const { reason, field } = problem ?? { reason: "MALFORMED_BATCH", field: "batchLength" };
      throw new BrokerError(reason, `the record batch is refused: ${field}`, { field });
    }
    // Records are not decoded here; a batch larger than this surely holds a record that is too large.
    const bytesMax = header.recordCount * this.#context.settings.messageBytesMax;
    if (batch.length > bytesMax) throw tooLarge(batch.length, bytesMax);
    return header;
  }

  /** @returns the original of a duplicate; undefined when the batch is new. @throws the refusals of the producer table */
  #storedBatch(header: BatchHeader): BatchRecord | undefined {
    const { producerId } = header;
    const check = checkSequence(
      header,
      this.#context.state.producers.get(producerId),
      this.overlay.producer(producerId),
    );
    if (check.kind === "accept") return undefined;
    if (check.kind === "duplicate") return check.batch;
    throw sequenceRefusal(check, header);
  }

  /** A repetition writes nothing and is answered whatever the load, unless it would have to wait. */
  #checkWait(index: LogIndex, send: SendClass): void {
    const { acks } = send;
    const level = acks === "none" ? undefined : ackLevel(acks, this.#flushOf(send));
    if (level === undefined || this.#isReached(level, index)) return;
    this.#checkParked();
  }

  #checkParked(): void {
    if (this.#waiters.length < PARKED_ACKS_MAX) return;
    throw new BrokerError("OVERLOADED", "too many acknowledgements are outstanding", {
      limit: "parkedAcks",
    });
  }

  #checkLoad(bytes: number): void {
    this.#checkParked();
    const refusal = this.#context.environment.produceRefusal?.(bytes);
    if (refusal !== undefined) throw refusal;
  }

  #propose(batch: Buffer, recordCount: number, sections: readonly FrameSection[]): AppendedEntry {
    const { replica, settings } = this.#context;
    this.#patching = batch;
    const { layoutEpoch } = settings;
    const { index, term, baseOffset } = replica.propose({
      kind: "data",
      recordCount,
      layoutEpoch,
      sections,
      patch: this.#patch,
    });
    this.#patching = undefined;
    this.#metrics.count("batches_appended");
    this.#metrics.count("records_appended", recordCount);
    this.#metrics.count("bytes_appended", batch.length);
    return { index, term, baseOffset, recordCount };
  }

  #acknowledge(
    entry: AppendedEntry,
    duplicate: boolean,
    send: SendClass,
    observer: AppendObserver,
  ): void {
    const { replica, state } = this.#context;
    const { index, term, baseOffset, recordCount } = entry;
    const { acks } = send;
    const flush = this.#flushOf(send);
    const receipt = { baseOffset, leaderEpoch: term, recordCount, duplicate, acks, flush };
    const sinceMs = this.#nowMs();
    const level = acks === "none" ? undefined : ackLevel(acks, flush);
    if (level === undefined || (duplicate && this.#isReached(level, index))) {
      observer.onReceipt(receipt);
      this.#acknowledged(receipt, sinceMs);
      return;
    }
    this.#waiters.park(level, { index, term, receipt, observer, sinceMs });
    if (flush === "sync" && state.flush === "async") replica.requestFlush();
  }

  /** The group follows its log's flush; while a change is on its way the stronger one counts. */
  #flushOf(send: SendClass): Flush {
    const { settings, state } = this.#context;
    return effectiveFlush(effectiveFlush(settings.flush, state.flush), send.flush);
  }

  #isReached(level: AckLevel, index: LogIndex): boolean {
    return index <= markOf(level, this.#context.replica.watermarks);
  }

  #acknowledged({ acks, flush }: AppendReceipt, sinceMs: number): void {
    this.#metrics.acknowledged(acks, flush, this.#nowMs() - sinceMs);
  }

  #nowMs(): number {
    return this.#context.environment.clock?.monotonicMs() ?? 0;
  }
}

interface BatchSections {
  readonly batch: Buffer;
  readonly sections: FrameSection[];
}

function sectionsOf(batch: Buffer, hints: Buffer | undefined): BatchSections {
  const sections: FrameSection[] = [{ type: SECTION.BATCH, ignorable: false, bytes: batch }];
  if (hints !== undefined && hints.length > 0) {
    sections.unshift({ type: SECTION.HINTS, ignorable: true, bytes: hints });
  }
  return { batch, sections };
}

/** @throws BrokerError INVALID_REQUEST */
function checkHints(hints: Buffer | undefined): void {
  if (hints === undefined || hints.length === 0 || areHints(hints)) return;
  throw new BrokerError("INVALID_REQUEST", "the hints of a batch are malformed or too long", {
    field: "batches.hints",
    limit: HINTS_BYTES_MAX,
  });
}

function tooLarge(bytes: number, bytesMax: number): BrokerError {
  return new BrokerError("RECORD_TOO_LARGE", `a batch of ${bytes} bytes exceeds ${bytesMax}`, {
    bytesMax,
  });
}

function sequenceRefusal(
  check: Extract<SequenceCheck, { readonly kind: "refuse" }>,
  header: BatchHeader,
): BrokerError {
  const { producerId, baseSequence } = header;
  switch (check.reason) {
    case "SEQUENCE_GAP":
      return new BrokerError(
        "SEQUENCE_GAP",
        `sequence ${baseSequence} of producer ${producerId} is not ${check.expected}`,
        { expected: check.expected },
      );
    case "PRODUCER_FENCED":
      return new BrokerError("PRODUCER_FENCED", `producer ${producerId} has a newer session`, {
        producerEpoch: check.epoch,
      });
    case "UNKNOWN_PRODUCER":
      return new BrokerError("UNKNOWN_PRODUCER", `producer ${producerId} is not known here`);
    case "DUPLICATE_OUT_OF_WINDOW":
      return new BrokerError(
        "DUPLICATE_OUT_OF_WINDOW",
        `sequence ${baseSequence} of producer ${producerId} is older than what is remembered`,
      );
  }
}
